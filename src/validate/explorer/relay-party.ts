import { DirtyLog, logBytes } from "../../dirty/dirty-log.js";
import { PAGE_BYTES } from "../../memory/address.js";
import { GuestMemory } from "../../memory/guest-memory.js";
import type { SharedMemory } from "../../memory/shared-memory.js";
import type { DataPath } from "../../relay/data-path.js";
import { GuestMarks } from "../../relay/guest-marks.js";
import { NotifyRelay, type QueueNotifiers } from "../../relay/passthrough.js";
import { ShadowBooks } from "../../relay/shadow-books.js";
import type { ShadowVirtqueueParts } from "../../relay/shadow-parts.js";
import type { ShadowVirtqueue } from "../../relay/shadow-virtqueue.js";
import { checkedRingState, type RingState } from "../../ring/ring-state.js";
import { clearRings } from "../../ring/vring-areas.js";
import { COUNTERS } from "../../telemetry/counters.js";
import { copyOutByWord, type Party, type PartyMemory } from "./automaton.js";
import type { PlayedPath } from "./device-party.js";
import type { Requests } from "./requests.js";
import { checkAccounts, NO_MEMORY, restored, type SavedRole, saved } from "./saved-role.js";
import type { Stage } from "./stage.js";

/** What a relay is played with. */
export interface RelayScene {
  readonly ShadowVirtqueue: typeof ShadowVirtqueue;
  readonly stage: Stage;
  readonly requests: Requests;
  readonly ring: number;
  readonly eventIdx: boolean;
  readonly indirect: boolean;
  readonly log: boolean;
  readonly paths: readonly PlayedPath[];
}

/** What is remembered from one step to the next. */
export interface RelayState {
  /** "idle": it may sleep; "drain": the device has been told to stop and has not answered. */
  readonly phase: "work" | "arm" | "idle" | "drain";
  /** Number of the path, in the order of the play. */
  readonly path: number;
  /** Where the guest's ring stood when this path began. */
  readonly start: RingState;
  /** On the path "notify": whether somebody may have rung. */
  readonly rung: boolean;
  /** On the path "svq": what the shadow virtqueue remembers. */
  readonly own: Record<string, number>;
  readonly books: SavedRole;
}

/** Moves what there is to move, sleeps when there was nothing, and goes on to the next path whenever it likes. */
export function relayParty(scene: RelayScene): Party<RelayState> {
  const start = { lastAvailIdx: 0, usedIdx: 0 };
  return {
    name: "relay",
    serves: true,
    start: begun(scene, 0, start),
    step: (state, memory) => new RelayStep(scene, state, memory).next(),
  };
}

/** What a relay is made of, over the memory of a party. */
export function relayParts(scene: RelayScene, memory: PartyMemory): ShadowVirtqueueParts {
  const { stage, ring, eventIdx, indirect } = scene;
  const counters = newCounters();
  const log = scene.log ? new DirtyLog(memory, stage.log, logBytes(PAGE_BYTES) * 8 * PAGE_BYTES) : undefined;
  return {
    guest: stage.areas(stage.guest, memory),
    shadow: stage.areas(stage.shadow, memory),
    guestMemory: new GuestMemory([{ gpa: 0, bytes: PAGE_BYTES, memory }]),
    map: scene.requests.map,
    marks: new GuestMarks(log, "all-writable", stage.guest.used, ring, counters),
    eventIdx,
    indirect,
    deviceKick: { signal: () => memory.setBits32(stage.bells.device, 1) },
    guestCall: { signal: () => memory.setBits32(stage.bells.driver, 1) },
    counters,
    start: { lastAvailIdx: 0, usedIdx: 0 },
  };
}

/** One step of the relay. */
class RelayStep {
  readonly #scene: RelayScene;
  readonly #state: RelayState;
  readonly #memory: PartyMemory;
  readonly #books: ShadowBooks;
  readonly #queue: ShadowVirtqueue;
  readonly #path: DataPath;
  readonly #direct: boolean;

  constructor(scene: RelayScene, state: RelayState, memory: PartyMemory) {
    this.#scene = scene;
    this.#state = state;
    this.#memory = memory;
    this.#books = restored(newBooks(scene), state.books);
    this.#queue = queueOver(scene, memory, this.#books, state.start);
    Object.assign(this.#queue.state, state.own);
    this.#direct = scene.paths[state.path] === "notify";
    this.#path = this.#direct ? notifyOver(scene, memory, state.rung) : this.#queue;
  }

  next(): RelayState {
    const { phase, path } = this.#state;
    if (phase === "drain") return this.#draining();
    const mayEnd = path + 1 < this.#scene.paths.length;
    if (mayEnd && phase !== "arm" && this.#memory.choose(2) === 1) return this.#told();
    if (phase === "idle") return this.#slept();
    let next: RelayState["phase"] = "work";
    if (phase === "work") next = this.#path.step() ? "work" : "arm";
    else if (this.#path.arm()) {
      if (!mayEnd) return this.#slept();
      next = "idle";
    }
    return this.#after({ phase: next, rung: false });
  }

  #slept(): RelayState {
    this.#memory.sleep(this.#scene.stage.bells.relay);
    return this.#after({ phase: "work", rung: this.#direct });
  }

  /** Tells the device to let go of its ring. */
  #told(): RelayState {
    const { stage } = this.#scene;
    this.#memory.publish16(stage.control.order, this.#state.path * 2 + 1);
    this.#memory.setBits32(stage.bells.device, 1);
    return this.#after({ phase: "drain" });
  }

  /** Returns what comes back meanwhile; the device rings when it answers, so nothing is armed. */
  #draining(): RelayState {
    const { stage } = this.#scene;
    if (this.#memory.observe16(stage.control.answer) === this.#state.path * 2 + 1) return this.#switched();
    const moved = this.#path.drain();
    if (!moved) this.#memory.sleep(stage.bells.relay);
    return this.#after({ rung: this.#direct && !moved });
  }

  /** Ends the path where the device stopped, and begins the next one. */
  #switched(): RelayState {
    const { stage, ring, paths } = this.#scene;
    const path = this.#state.path + 1;
    this.#path.drain();
    const lastAvailIdx = this.#memory.read16(stage.control.base);
    const usedIdx = this.#memory.read16(stage.control.base + 2);
    const base = checkedRingState({ lastAvailIdx, usedIdx }, ring);
    const start = this.#path.stop(base);
    checkAccounts(this.#queue.accounting());
    if (paths[path] === "svq") clearRings(stage.areas(stage.shadow, this.#memory));
    const from = paths[path] === "svq" ? { lastAvailIdx: 0, usedIdx: 0 } : start;
    this.#memory.write16(stage.control.start, from.lastAvailIdx);
    this.#memory.write16(stage.control.start + 2, from.usedIdx);
    this.#memory.publish16(stage.control.order, path * 2);
    // Attaching a notification to whoever waits for it now signals it once.
    this.#memory.setBits32(stage.bells.device, 1);
    this.#memory.setBits32(stage.bells.driver, 1);
    return begun(this.#scene, path, start);
  }

  #after(change: Partial<RelayState>): RelayState {
    checkAccounts(this.#queue.accounting());
    return { ...this.#state, ...change, own: { ...this.#queue.state }, books: saved(this.#books) };
  }
}

function begun(scene: RelayScene, path: number, start: RingState): RelayState {
  const books = newBooks(scene);
  const own = { ...queueOver(scene, NO_MEMORY, books, start).state };
  return { phase: "work", path, start, rung: path > 0 && scene.paths[path] === "notify", own, books: saved(books) };
}

function newBooks({ ring }: RelayScene): ShadowBooks {
  return new ShadowBooks(ring, ring);
}

function queueOver(scene: RelayScene, memory: PartyMemory, books: ShadowBooks, start: RingState): ShadowVirtqueue {
  const parts = relayParts(scene, memory);
  const once = eachReadOnce(memory);
  return new scene.ShadowVirtqueue({
    ...parts,
    guest: { ...parts.guest, descMemory: once },
    guestMemory: new GuestMemory([{ gpa: 0, bytes: PAGE_BYTES, memory: once }]),
    start,
    books,
  });
}

/** A bell that was taken does not say who rang, so both are told. */
function notifyOver({ stage }: RelayScene, memory: PartyMemory, rung: boolean): NotifyRelay {
  const notifier = (bell: number) => ({ signal: () => memory.setBits32(bell, 1), take: () => rung });
  const guestKick = notifier(stage.bells.relay);
  const [deviceKick, guestCall] = [notifier(stage.bells.device), notifier(stage.bells.driver)];
  const notifiers = { guestKick, deviceCall: guestKick, deviceKick, guestCall } as unknown as QueueNotifiers;
  return new NotifyRelay(notifiers, newCounters());
}

/** Descriptors and tables of a guest are read once in a step: what is decided is decided on a copy. */
function eachReadOnce(memory: PartyMemory): SharedMemory {
  const seen = new Set<number>();
  const read32 = (offset: number) => {
    if (seen.has(offset)) throw new Error(`the guest's word at ${offset} is read twice`);
    seen.add(offset);
    return memory.read32(offset);
  };
  const copyOut = (offset: number, target: Uint8Array) => copyOutByWord({ read32 }, offset, target);
  return { ...memory, read32, copyOut };
}

function newCounters(): Float64Array {
  return new Float64Array(Object.keys(COUNTERS).length);
}
