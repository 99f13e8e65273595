import { VRING_DESC } from "../../layout/virtio-ring.js";
import { type DriverRing, writeDescriptor } from "../../ring/driver-ring.js";
import type { Party, PartyMemory } from "./automaton.js";
import type { Requests } from "./requests.js";
import { checkAccounts, NO_MEMORY, restored, type SavedRole, saved } from "./saved-role.js";
import type { Stage } from "./stage.js";

/** What a driver is played with. */
export interface DriverScene {
  readonly DriverRing: typeof DriverRing;
  readonly stage: Stage;
  readonly requests: Requests;
  /** Descriptors of a chain. */
  readonly chain: 1 | 2;
  readonly eventIdx: boolean;
  /** Whether chains stand in indirect tables: one table for each head, written anew for each request. */
  readonly indirect: boolean;
  /** Whether requests have to come back in the order in which they were offered. */
  readonly inOrder: boolean;
}

/** What is remembered from one step to the next. */
export interface DriverState {
  readonly phase: "work" | "arm";
  readonly submitted: number;
  readonly completed: number;
  /** By head: the request that is in flight there, or -1. */
  readonly heads: readonly number[];
  readonly ring: SavedRole;
}

/** Takes back what is used, offers one request, and sleeps when there was nothing to do. */
export function driverParty(scene: DriverScene): Party<DriverState> {
  const { stage, requests, eventIdx } = scene;
  const make = (memory: PartyMemory) => new scene.DriverRing(stage.areas(stage.guest, memory), { eventIdx });
  const ring = make(NO_MEMORY);
  const heads = Array.from({ length: ring.areas.num }, () => -1);
  return {
    name: "driver",
    start: { phase: "work", submitted: 0, completed: 0, heads, ring: saved(ring) },
    step: (state, memory) => stepped(scene, state, restored(make(memory), state.ring), memory),
  };

  function stepped(
    scene: DriverScene,
    state: DriverState,
    ring: DriverRing,
    memory: PartyMemory,
  ): DriverState | "ended" {
    if (state.phase === "arm") {
      if (ring.arm()) memory.sleep(stage.bells.driver);
      return { ...state, phase: "work", ring: saved(ring) };
    }
    ring.disarm();
    const heads = [...state.heads];
    let { submitted, completed } = state;
    for (; ring.takeUsed(); completed++) checkReturned(scene, heads, ring.used, completed);
    if (completed === requests.count) return "ended";
    const room = submitted < requests.count && ring.state.freeCount >= (scene.indirect ? 1 : scene.chain);
    if (room) {
      heads[offer(scene, ring, submitted, memory)] = submitted;
      submitted += 1;
      if (ring.publishAvail()) memory.setBits32(stage.bells.relay, 1);
    }
    checkAccounts(ring.accounting());
    const moved = room || completed !== state.completed;
    return { phase: moved ? "work" : "arm", submitted, completed, heads, ring: saved(ring) };
  }
}

/** Each request comes back once, with its own length; `heads` is told. */
function checkReturned(
  { requests, inOrder }: DriverScene,
  heads: number[],
  { id, len }: { readonly id: number; readonly len: number },
  completed: number,
): void {
  const request = heads[id]!;
  heads[id] = -1;
  if (inOrder && request !== completed) throw new Error(`request ${request} comes back before ${completed}`);
  if (len !== requests.length(request)) throw new Error(`request ${request} has length ${len}`);
}

function offer({ stage, requests, indirect }: DriverScene, ring: DriverRing, request: number, memory: PartyMemory) {
  const segments = requests.segments(request);
  if (!indirect) return ring.addChain(segments);
  const table = stage.table(ring.state.freeHead);
  for (const [i, segment] of segments.entries()) {
    const more = i + 1 < segments.length;
    writeDescriptor(memory, table + i * VRING_DESC.size, segment, more, more ? i + 1 : 0);
  }
  return ring.addIndirect(table, segments.length);
}
