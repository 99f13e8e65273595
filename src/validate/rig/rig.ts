import { DirtyLog } from "../../dirty/dirty-log.js";
import { GpaMap } from "../../iova/gpa-map.js";
import { VRING_USED } from "../../layout/virtio-ring.js";
import { assert } from "../../memory/assert.js";
import { GuestMemory } from "../../memory/guest-memory.js";
import { GuestMarks } from "../../relay/guest-marks.js";
import { ShadowVirtqueue, type ShadowVirtqueueParts } from "../../relay/shadow-virtqueue.js";
import type { Accounting } from "../../ring/driver-ring.js";
import { type FaultReason, PeerFault } from "../../ring/peer-fault.js";
import { COUNTERS } from "../../telemetry/counters.js";
import { DirtyStamps } from "../oracles/dirty-stamps.js";
import { Ledger } from "../oracles/ledger.js";
import { Permits } from "../oracles/permits.js";
import { Violation } from "../oracles/violation.js";
import { NaiveDevice } from "./naive-device.js";
import { NaiveGuest } from "./naive-guest.js";
import { type Action, hostileSides, type Poke, type Program } from "./program.js";
import { ACCESS, type Watch, WatchedMemory } from "./watched-memory.js";
import { RIG_END, RIG_IOVA_BASE, RIG_REGIONS, SPACE, World } from "./world.js";

/** What a rig asks of a relay: the shipping one, a mutant, or somebody's own. */
export interface RelayUnderTest {
  /** Moves what there is to move; false when there was nothing. Throws PeerFault to give the queue up. */
  step(): boolean;
  /** Asks to be told of more, then looks again; true when sleeping is safe. */
  arm(): boolean;
  /** Marks what the device may have written to chains that will not come back. */
  abandon(): void;
  /** Where the descriptors of its shadow ring are. */
  accounting?(): Accounting;
}

/** Makes the relay of a rig. */
export type MakeRelay = (parts: ShadowVirtqueueParts) => RelayUnderTest;

/** Sees each access of the relay, for a trace: ACCESS, SPACE, offset, bytes, value. */
export type OnAccess = (kind: number, space: number, offset: number, bytes: number, value: number) => void;

/** What came of a run. */
export interface RunResult {
  /** The first thing that an oracle found. */
  readonly violation: Violation | undefined;
  /** Why the queue was given up. */
  readonly broken: FaultReason | undefined;
  readonly forwarded: number;
  readonly returned: number;
  readonly quarantined: number;
  /** Accesses of the relay. */
  readonly accesses: number;
  /** Index of the action at which it ended; the number of actions when it ran to its end. */
  readonly action: number;
}

/** The shipping relay. */
export const SHIPPING: MakeRelay = (parts) => new ShadowVirtqueue(parts);

/** Runs a program once, under every oracle. */
export function runProgram(program: Program, make: MakeRelay = SHIPPING, onAccess?: OnAccess): RunResult {
  return new Rig(program, make, onAccess).run();
}

/** One queue, one relay, and two sides that do what a program says; judged at every access of the relay. */
export class Rig implements Watch {
  readonly world: World;
  readonly guest: NaiveGuest;
  readonly device: NaiveDevice;
  readonly ledger: Ledger;
  readonly stamps: DirtyStamps;
  readonly relay: RelayUnderTest;
  /** Accesses of the relay so far. */
  accesses = 0;
  kicks = 0;
  calls = 0;
  asleep = false;
  broken: FaultReason | undefined;
  readonly #program: Program;
  readonly #permits: Permits;
  readonly #seen: readonly Uint8Array[];
  readonly #told: readonly Uint8Array[];
  readonly #onAccess: OnAccess | undefined;
  readonly #ambushes: { access: number; poke: Poke }[] = [];
  #budget = 0;
  #availIdxSeen: number;

  constructor(program: Program, make: MakeRelay, onAccess?: OnAccess) {
    this.#program = program;
    this.#onAccess = onAccess;
    this.world = new World(program.setup);
    this.#seen = this.world.buffers.map((buffer) => new Uint8Array(buffer.slice(0)));
    this.#told = this.world.buffers.map((buffer) => new Uint8Array(buffer.slice(0)));
    this.stamps = new DirtyStamps(this.world);
    this.ledger = new Ledger(this.world, this.#seen, this.#told, this.stamps);
    this.#permits = new Permits(this.world);
    this.guest = new NaiveGuest(this.world, this.stamps);
    this.device = new NaiveDevice(this.world, this.stamps);
    this.#availIdxSeen = program.setup.start;
    this.relay = make(this.#parts());
  }

  /** Runs the program, then lets all sides that follow the rules finish. */
  run(): RunResult {
    let violation: Violation | undefined;
    let action = 0;
    try {
      for (; action < this.#program.actions.length; action++) this.act(this.#program.actions[action]!);
      this.#finish();
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      violation = error;
    }
    const { returned, quarantined, inFlight } = this.ledger;
    const forwarded = returned + inFlight.size;
    return { violation, broken: this.broken, forwarded, returned, quarantined, accesses: this.accesses, action };
  }

  /** Does one action; throws Violation. */
  act(action: Action): void {
    switch (action.op) {
      case "offer":
        this.guest.offer(action.elements, action.form);
        break;
      case "offer-raw":
        this.guest.offerRaw(action.slot, action.descriptors, action.table);
        break;
      case "offer-head":
        this.guest.offerHead(action.head);
        break;
      case "publish":
        if (this.guest.publish(action.jump)) this.asleep = false;
        break;
      case "relay":
        this.turn();
        break;
      case "take":
        this.device.take();
        break;
      case "use":
        this.device.use(action.nth, action.bytes, action.claim);
        break;
      case "use-raw":
        this.device.useRaw(action.id, action.length);
        break;
      case "publish-used":
        if (this.device.publish(action.jump)) this.asleep = false;
        break;
      case "reap":
        this.guest.reap();
        break;
      case "harvest":
        if (this.world.setup.log) this.stamps.harvest();
        break;
      case "poke":
        this.#poke(action.poke);
        break;
      case "ambush":
        this.#ambushes.push({ access: this.accesses + action.access, poke: action.poke });
    }
  }

  /** Lets the relay take a turn, and arm when it finds nothing; true when it moved something. */
  turn(): boolean {
    if (this.broken !== undefined) return false;
    const { num, shadowNum } = this.world.setup;
    this.#budget = this.accesses + 256 + 64 * num * (num + shadowNum);
    let moved = false;
    try {
      moved = this.relay.step();
      this.asleep = !moved && this.relay.arm();
    } catch (error) {
      this.#caught(error);
    }
    this.#checkBooks();
    return moved;
  }

  before(kind: number, space: number, offset: number, bytes: number): void {
    this.accesses += 1;
    if (this.accesses > this.#budget) throw new Violation("O7", 38, `a turn of more than ${this.#budget} accesses`);
    if (this.#ambushes.length > 0) this.#spring();
    if (kind === ACCESS.fence) return;
    const { byteLength } = this.world.buffers[space]!;
    if (!(offset >= 0 && offset + bytes <= byteLength && offset % Math.min(bytes, 4) === 0) && bytes > 0) {
      throw new Violation("O6", 36, `${bytes} bytes at ${offset} of space ${space}, which has ${byteLength}`);
    }
    if (kind >= ACCESS.write) this.#permits.checkStore(space, offset, bytes);
  }

  after(kind: number, space: number, offset: number, bytes: number, value: number): void {
    this.#onAccess?.(kind, space, offset, bytes, value);
    if (kind < ACCESS.write) {
      this.#note(this.#seen[space]!, space, offset, bytes, value);
      if (kind === ACCESS.observe && space === SPACE.low && offset === this.world.guestRing.avail + 2) {
        this.#availIdxSeen = value;
      }
    } else if (kind <= ACCESS.copyIn) {
      this.#note(this.#told[space]!, space, offset, bytes, value);
      this.#stored(space, offset, bytes, value);
    }
  }

  #stored(space: number, offset: number, bytes: number, value: number): void {
    const { guestRing, shadowRing } = this.world;
    if (space === SPACE.low) this.stamps.wrote(RIG_REGIONS[SPACE.low].gpa + offset, bytes);
    if (space === SPACE.shadow && offset === shadowRing.avail + 2) this.ledger.shadowPublished(value);
    if (space === SPACE.low && offset === guestRing.used + VRING_USED.offsets.idx) this.ledger.usedPublished(value);
  }

  #note(overlay: Uint8Array, space: number, offset: number, bytes: number, value: number): void {
    if (bytes > 4) {
      overlay.set(new Uint8Array(this.world.buffers[space]!, offset, bytes), offset);
      return;
    }
    for (let i = 0; i < bytes; i++) overlay[offset + i] = value >>> (8 * i);
  }

  #caught(error: unknown): void {
    if (error instanceof Violation) throw error;
    if (!(error instanceof PeerFault)) throw new Violation("O8", 36, `it threw ${String(error)}`);
    this.broken = error.reason;
    const hostile = hostileSides(this.#program);
    if (!hostile.guest && !hostile.device) throw new Violation("O8", 36, `the queue broke for ${error.message}`);
    if (!hostile.device || !error.reason.startsWith("used-")) this.ledger.broke(error.reason, this.#availIdxSeen);
  }

  /** What has to hold between two turns. */
  #checkBooks(): void {
    const { setup, guestRing } = this.world;
    const accounting = this.broken === undefined ? this.relay.accounting?.() : undefined;
    if (accounting !== undefined && accounting.free + accounting.inFlight !== accounting.size) {
      const { free, inFlight, size } = accounting;
      throw new Violation("O1", 2, `${free} descriptors free and ${inFlight} in flight of ${size}`);
    }
    if (!setup.log || this.broken !== undefined) return;
    this.stamps.checkRange(guestRing.used, VRING_USED.offsets.ring + 8 * setup.num + 2, "after the relay's turn");
  }

  #finish(): void {
    const hostile = hostileSides(this.#program);
    if (!hostile.guest && !hostile.device) this.#settle();
    if (!hostile.guest && !hostile.device && this.guest.outstanding > 0) {
      throw new Violation("O5", 25, `${this.guest.outstanding} chains are not back, and everybody sleeps`);
    }
    if (!this.world.setup.log) return;
    this.relay.abandon();
    this.stamps.checkAll("at the end");
    this.stamps.harvest();
    this.stamps.compare();
  }

  /** Everybody goes on until nobody has anything to do; the relay only while it is awake. */
  #settle(): void {
    const { num } = this.world.setup;
    for (let round = 0; round < 16 * num; round++) {
      let moved = this.guest.publish();
      if (moved) this.asleep = false;
      while (!this.asleep && this.broken === undefined) this.turn();
      moved = this.device.take() || moved;
      while (this.device.use(0, 64)) moved = true;
      if (this.device.publish()) this.asleep = false;
      while (!this.asleep && this.broken === undefined) moved = this.turn() || moved;
      moved = this.guest.reap() || moved;
      if (!moved) return;
    }
  }

  #spring(): void {
    for (let i = this.#ambushes.length - 1; i >= 0; i--) {
      if (this.#ambushes[i]!.access > this.accesses) continue;
      this.#poke(this.#ambushes.splice(i, 1)[0]!.poke);
    }
  }

  #poke({ space, offset, width, value }: Poke): void {
    const view = this.world.views[space];
    if (view === undefined || offset < 0 || offset + width > view.byteLength) return;
    if (width === 1) view.setUint8(offset, value);
    else if (width === 2) view.setUint16(offset, value, true);
    else view.setUint32(offset, value, true);
    this.stamps.guestWrote(space, offset, width);
  }

  #parts(): ShadowVirtqueueParts {
    const { setup, buffers, guestRing, shadowRing, mappings } = this.world;
    const memories = buffers.map((buffer, space) => new WatchedMemory(buffer, space, this));
    const areas = (memory: WatchedMemory) => ({ descMemory: memory, availMemory: memory, usedMemory: memory });
    const guest = { num: setup.num, ...guestRing, ...areas(memories[SPACE.low]!) };
    const map = new GpaMap(RIG_IOVA_BASE);
    assert(map.addAll(mappings), "the mappings of a rig are disjoint");
    const counters = new Float64Array(Object.keys(COUNTERS).length);
    const log = setup.log ? new DirtyLog(memories[SPACE.log]!, 0, RIG_END) : undefined;
    return {
      guest,
      shadow: { num: setup.shadowNum, ...shadowRing, ...areas(memories[SPACE.shadow]!) },
      guestMemory: new GuestMemory(RIG_REGIONS.map((region, i) => ({ ...region, memory: memories[i]! }))),
      map,
      marks: new GuestMarks(log, "all-writable", guest.used, setup.num, counters),
      eventIdx: setup.eventIdx,
      indirect: setup.indirect,
      deviceKick: { signal: () => void this.kicks++ },
      guestCall: { signal: () => void this.calls++ },
      counters,
      start: { lastAvailIdx: setup.start, usedIdx: setup.start },
    };
  }
}
