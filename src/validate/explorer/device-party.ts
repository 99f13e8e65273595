import type { DeviceRing } from "../../ring/device-ring.js";
import type { RingState } from "../../ring/ring-state.js";
import type { Party, PartyMemory } from "./automaton.js";
import type { Requests } from "./requests.js";
import { NO_MEMORY, restored, type SavedRole, saved } from "./saved-role.js";
import type { Stage } from "./stage.js";

/** Which ring the device is given: the relay's, or the guest's own, with the relay passing notifications on. */
export type PlayedPath = "svq" | "notify";

/** What a device is played with. */
export interface DeviceScene {
  readonly DeviceRing: typeof DeviceRing;
  readonly stage: Stage;
  readonly requests: Requests;
  readonly eventIdx: boolean;
  readonly indirect: boolean;
  /** In turn: the relay stops the device between two of them. */
  readonly paths: readonly PlayedPath[];
  /** "any": it takes and completes in whichever order it likes, every one of them; "fifo": one after the other. */
  readonly order: "fifo" | "any";
}

/** What is remembered from one step to the next. */
export interface DeviceState {
  /** "finish": there is nothing to take, so it completes what it has; "stopped": it waits for another ring. */
  readonly phase: "work" | "finish" | "arm" | "stopped";
  /** Number of the path, in the order of the play. */
  readonly path: number;
  /** Requests taken so far: they are offered in order, so the next one is known. */
  readonly taken: number;
  /** Chains it has: request and head. */
  readonly held: readonly (readonly [request: number, head: number])[];
  readonly ring: SavedRole;
}

const ZERO: RingState = { lastAvailIdx: 0, usedIdx: 0 };

/** Serves chains, sleeps when there are none, and lets go of its ring when it is told to. */
export function deviceParty(scene: DeviceScene): Party<DeviceState> {
  return {
    name: "device",
    serves: true,
    start: { phase: "work", path: 0, taken: 0, held: [], ring: saved(ringOf(scene, 0, NO_MEMORY, ZERO)) },
    step: (state, memory) => new DeviceStep(scene, state, memory).next(),
  };
}

/** One step of the device. */
class DeviceStep {
  readonly #scene: DeviceScene;
  readonly #state: DeviceState;
  readonly #memory: PartyMemory;
  readonly #ring: DeviceRing;

  constructor(scene: DeviceScene, state: DeviceState, memory: PartyMemory) {
    this.#scene = scene;
    this.#state = state;
    this.#memory = memory;
    this.#ring = restored(ringOf(scene, state.path, memory, ZERO), state.ring);
  }

  next(): DeviceState {
    const { phase, held, path } = this.#state;
    if (phase === "stopped") return this.#started();
    if (phase === "arm") {
      if (this.#ring.arm()) this.#memory.sleep(this.#scene.stage.bells.device);
      return this.#after({ phase: "work" });
    }
    this.#ring.disarm();
    if (path + 1 < this.#scene.paths.length && this.#order() !== path * 2) return this.#stopping();
    const pick = this.#picked();
    if (pick < held.length) return this.#completed(pick);
    if (!this.#ring.takeAvail()) return this.#after({ phase: held.length > 0 ? "finish" : "arm" });
    return this.#took();
  }

  /** Which of the chains it has is completed; their number when another is to be taken. */
  #picked(): number {
    const { phase, held } = this.#state;
    const choices = held.length + (phase === "finish" ? 0 : 1);
    return choices === 1 ? 0 : this.#memory.choose(choices);
  }

  #took(): DeviceState {
    const { requests, paths, order } = this.#scene;
    const { taken, held, path } = this.#state;
    const { chain } = this.#ring;
    const right = taken < requests.count && requests.isHandedOut(taken, chain, paths[path] === "svq");
    const address = chain.addresses.subarray(0, chain.count).join();
    if (!right) throw new Error(`request ${taken} is ${chain.count} × ${chain.writableBytes} bytes at ${address}`);
    if (order === "any") return this.#after({ taken: taken + 1, held: [...held, [taken, chain.head]] });
    this.#use(taken, chain.head);
    return this.#after({ taken: taken + 1 });
  }

  #completed(pick: number): DeviceState {
    const { held } = this.#state;
    this.#use(...held[pick]!);
    return this.#after({ phase: "work", held: held.toSpliced(pick, 1) });
  }

  #use(request: number, head: number): void {
    const { stage, requests } = this.#scene;
    this.#ring.addUsed(head, requests.length(request));
    if (this.#ring.publishUsed()) this.#memory.setBits32(stage.bells.relay, 1);
  }

  /** Completes what it has, one chain a step, then says where it stands and lets go. */
  #stopping(): DeviceState {
    const { stage } = this.#scene;
    const { held, path } = this.#state;
    if (held.length > 0) return this.#completed(held.length === 1 ? 0 : this.#memory.choose(held.length));
    const { lastAvailIdx, usedIdx } = this.#ring.state;
    this.#memory.write16(stage.control.base, lastAvailIdx);
    this.#memory.write16(stage.control.base + 2, usedIdx);
    this.#memory.publish16(stage.control.answer, path * 2 + 1);
    this.#memory.setBits32(stage.bells.relay, 1);
    return this.#after({ phase: "stopped" });
  }

  #started(): DeviceState {
    const { stage } = this.#scene;
    const path = this.#state.path + 1;
    // It may have been told to let go of the next ring already.
    if (this.#order() < path * 2) {
      this.#memory.sleep(stage.bells.device);
      return this.#state;
    }
    const lastAvailIdx = this.#memory.read16(stage.control.start);
    const usedIdx = this.#memory.read16(stage.control.start + 2);
    const ring = saved(ringOf(this.#scene, path, this.#memory, { lastAvailIdx, usedIdx }));
    return { ...this.#state, phase: "work", path, ring };
  }

  #order(): number {
    return this.#memory.observe16(this.#scene.stage.control.order);
  }

  #after(change: Partial<DeviceState>): DeviceState {
    return { ...this.#state, ...change, ring: saved(this.#ring) };
  }
}

function ringOf(scene: DeviceScene, path: number, memory: PartyMemory, start: RingState): DeviceRing {
  const { stage, eventIdx } = scene;
  const direct = scene.paths[path] === "notify";
  const features = { eventIdx, indirect: scene.indirect && direct };
  return new scene.DeviceRing(
    stage.areas(direct ? stage.guest : stage.shadow, memory),
    features,
    (address, target) => {
      if (!direct) return "unmapped";
      memory.copyOut(address, target);
      return "ok";
    },
    start,
  );
}
