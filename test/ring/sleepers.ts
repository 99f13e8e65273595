import { availEventOffset, usedEventOffset, VRING_AVAIL, VRING_USED } from "../../src/layout/virtio-ring.js";
import type { Parts } from "../../src/memory/role.js";
import type { VringAreas } from "../../src/ring/vring-areas.js";
import { vringOffsets } from "../../src/ring/vring-areas.js";
import { everyOrder, type Outcomes, type Party, type PartyMemory, type StoreOrder } from "../helpers/every-order.js";
import type { Halves } from "./two-halves.js";

/** A driver and a device that sleep whenever they may. */
export interface SleeperOptions {
  readonly num: number;
  readonly requests: number;
  readonly eventIdx: boolean;
  readonly order: StoreOrder;
  /** Number of the kick, or of the call, that goes nowhere; counted from 1. */
  readonly lostKick?: number;
  readonly lostCall?: number;
}

/** Parts of a ring half, as plain data. */
interface Saved {
  readonly state: Record<string, number>;
  readonly tables: readonly (readonly number[])[];
}

interface DriverState {
  readonly submitted: number;
  readonly completed: number;
  readonly kicks: number;
  readonly ring: Saved;
}

interface DeviceState {
  readonly served: number;
  readonly calls: number;
  readonly ring: Saved;
}

const ADDRESS = 0x7000;
const LENGTH = 0x300;

/** What comes of two requests or more in every order of the two sides' accesses: "ended", or somebody left asleep. */
export function everyNap(halves: Halves, options: SleeperOptions): Outcomes {
  const { num, order } = options;
  const at = vringOffsets(num, 0);
  const bells = { driver: Math.ceil((at.used + availEventOffset(num) + 2) / 4) * 4, device: 0 };
  bells.device = bells.driver + 4;
  const bytes = new Uint8Array(bells.device + 4).fill(0xa5);
  // What a driver clears before it hands a ring over; all else is poison.
  const words = [at.avail, at.avail + VRING_AVAIL.offsets.idx, at.avail + usedEventOffset(num)];
  words.push(at.used, at.used + VRING_USED.offsets.idx, at.used + availEventOffset(num));
  for (const word of words) bytes.fill(0, word, word + 2);
  bytes.fill(0, bells.driver);
  const areas = (memory: PartyMemory): VringAreas => {
    return { num, ...at, descMemory: memory, availMemory: memory, usedMemory: memory };
  };
  const play = { halves, options, areas, bells };
  return everyOrder({ order, bytes, parties: [driverParty(play), deviceParty(play)] });
}

interface RingPlay {
  readonly halves: Halves;
  readonly options: SleeperOptions;
  readonly areas: (memory: PartyMemory) => VringAreas;
  readonly bells: { readonly driver: number; readonly device: number };
}

/** Takes back what is used, submits one request, and sleeps when there was nothing to do. */
function driverParty({ halves, options, areas, bells }: RingPlay): Party<DriverState> {
  const { requests, eventIdx } = options;
  const make = (memory: PartyMemory) => new halves.DriverRing(areas(memory), { eventIdx });
  return {
    name: "driver",
    start: { submitted: 0, completed: 0, kicks: 0, ring: saved(make(NO_MEMORY)) },
    step(state, memory) {
      const ring = restored(make(memory), state.ring);
      let { submitted, completed, kicks } = state;
      ring.disarm();
      while (ring.takeUsed()) {
        if (ring.used.len !== LENGTH + completed) throw new Error(`length ${ring.used.len} in use ${completed}`);
        completed += 1;
      }
      if (completed === requests) return "ended";
      const room = submitted < requests && ring.state.freeCount > 0;
      if (room) {
        ring.addChain([{ address: ADDRESS + submitted, bytes: 1, deviceWritable: true }]);
        submitted += 1;
        if (ring.publishAvail() && ++kicks !== options.lostKick) memory.setBits32(bells.device, 1);
      }
      if (!room && completed === state.completed && ring.arm()) memory.sleep(bells.driver);
      return { submitted, completed, kicks, ring: saved(ring) };
    },
  };
}

/** Serves one chain, and sleeps when there was none. */
function deviceParty({ halves, options, areas, bells }: RingPlay): Party<DeviceState> {
  const features = { eventIdx: options.eventIdx, indirect: false };
  const make = (memory: PartyMemory) => new halves.DeviceRing(areas(memory), features, () => "unmapped");
  return {
    name: "device",
    serves: true,
    start: { served: 0, calls: 0, ring: saved(make(NO_MEMORY)) },
    step(state, memory) {
      const ring = restored(make(memory), state.ring);
      let { served, calls } = state;
      ring.disarm();
      if (ring.takeAvail()) {
        const [address] = ring.chain.addresses;
        if (address !== ADDRESS + served) throw new Error(`address ${address} in request ${served}`);
        ring.addUsed(ring.chain.head, LENGTH + served);
        served += 1;
        if (ring.publishUsed() && ++calls !== options.lostCall) memory.setBits32(bells.driver, 1);
      } else if (ring.arm()) {
        memory.sleep(bells.device);
      }
      return { served, calls, ring: saved(ring) };
    },
  };
}

const NO_MEMORY = { byteLength: 0x7fff_ffff } as PartyMemory;

function saved(ring: { parts(): Parts }): Saved {
  const { state, tables } = ring.parts();
  return { state: { ...state }, tables: tables.map((table) => [...table]) };
}

function restored<Ring extends { parts(): Parts }>(ring: Ring, from: Saved): Ring {
  const { state, tables } = ring.parts();
  Object.assign(state, from.state);
  for (const [i, table] of tables.entries()) table.set(from.tables[i]!);
  return ring;
}
