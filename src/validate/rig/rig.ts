import { VRING_USED } from "../../layout/virtio-ring.js";
import { type FaultReason, PeerFault } from "../../ring/peer-fault.js";
import { Conduct, ringRules } from "../oracles/conduct.js";
import { DirtyStamps } from "../oracles/dirty-stamps.js";
import { Ledger } from "../oracles/ledger.js";
import { Permits } from "../oracles/permits.js";
import { Violation } from "../oracles/violation.js";
import { type Bench, Ground } from "./ground.js";
import { NaiveDevice } from "./naive-device.js";
import { NaiveGuest } from "./naive-guest.js";
import { type Action, hostileSides, type Poke, type Program } from "./program.js";
import { type MakeRelay, type RelayUnderTest, relayParts, SHIPPING } from "./relay-under-test.js";
import type { Sheet } from "./sheet.js";
import { ACCESS, type Watch } from "./watched-memory.js";
import { RIG_REGIONS, SPACE, World } from "./world.js";

export { type MakeRelay, type RelayUnderTest, SHIPPING } from "./relay-under-test.js";

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
  /** Why each of these was. */
  readonly refused: readonly FaultReason[];
  /** Accesses of the relay. */
  readonly accesses: number;
  /** Index of the action at which it ended; the number of actions when it ran to its end. */
  readonly action: number;
}

/** Runs a program once, under every oracle; on ground of its own unless a bench has some for run after run. */
export function runProgram(
  program: Program,
  make: MakeRelay = SHIPPING,
  onAccess?: OnAccess,
  bench?: Bench,
): RunResult {
  return new Rig(program, make, onAccess, bench).run();
}

/** One queue, one relay, and two sides that do what a program says; judged at every access of the relay. */
export class Rig implements Watch {
  readonly world: World;
  readonly guest: NaiveGuest;
  readonly device: NaiveDevice;
  readonly ledger: Ledger;
  readonly conduct: Conduct;
  readonly stamps: DirtyStamps;
  readonly relay: RelayUnderTest;
  /** Accesses of the relay so far. */
  accesses = 0;
  asleep = false;
  broken: FaultReason | undefined;
  readonly #program: Program;
  readonly #hostile: { readonly guest: boolean; readonly device: boolean };
  readonly #ground: Ground;
  readonly #permits: Permits;
  readonly #onAccess: OnAccess | undefined;
  readonly #ambushes: { access: number; poke: Poke | undefined }[] = [];
  #budget = 0;

  constructor(program: Program, make: MakeRelay, onAccess?: OnAccess, bench?: Bench) {
    this.#program = program;
    this.#onAccess = onAccess;
    this.#hostile = hostileSides(program);
    this.#ground = bench?.ground(program.setup.shadowNum) ?? new Ground(program.setup.shadowNum);
    this.world = new World(program.setup, this.#ground);
    this.stamps = new DirtyStamps(this.world, this.#ground);
    const { seenBytes, toldBytes } = this.#ground;
    const rules = ringRules(this.world, toldBytes[SPACE.shadow]!);
    this.ledger = new Ledger(this.world, seenBytes, toldBytes, this.stamps, rules, this.#ground.readings);
    this.conduct = new Conduct(this.world, this.ledger, rules);
    this.#permits = new Permits(this.world);
    this.guest = new NaiveGuest(this.world, this.stamps);
    this.device = new NaiveDevice(this.world, this.stamps, this.ledger);
    for (const memory of this.#ground.memories) memory.watch = this;
    this.relay = make(relayParts(this.world, this.#ground, this.conduct));
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
    const { accesses, broken, ledger } = this;
    const { returned, quarantined, refused, inFlight } = ledger;
    const forwarded = returned + inFlight.size;
    return { violation, broken, forwarded, returned, quarantined, refused, accesses, action };
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
        break;
      case "ambush-harvest":
        this.#ambushes.push({ access: this.accesses + action.access, poke: undefined });
    }
  }

  /** Lets the relay take a turn, and arm when it finds nothing; true when it moved something. */
  turn(): boolean {
    if (this.broken !== undefined) return false;
    const { num, shadowNum } = this.world.setup;
    this.#budget = this.accesses + 256 + 64 * num * (num + shadowNum);
    let moved = false;
    this.ledger.turn();
    this.conduct.turn();
    try {
      moved = this.relay.step();
      this.asleep = !moved && this.relay.arm();
    } catch (error) {
      this.#caught(error);
    }
    this.conduct.turnEnds(this.asleep, this.broken);
    this.#checkBooks();
    return moved;
  }

  before(kind: number, space: number, offset: number, bytes: number): void {
    this.accesses += 1;
    if (this.accesses > this.#budget) throw new Violation("O7", 38, `a turn of more than ${this.#budget} accesses`);
    if (this.#ambushes.length > 0) this.#spring();
    if (kind === ACCESS.fence) return;
    const { byteLength } = this.world.buffers[space]!;
    // Copies go byte by byte: only words have to be aligned.
    const aligned = kind === ACCESS.copyOut || kind === ACCESS.copyIn || offset % Math.min(bytes, 4) === 0;
    if (!(offset >= 0 && offset + bytes <= byteLength && aligned) && bytes > 0) {
      throw new Violation("O6", 36, `${bytes} bytes at ${offset} of space ${space}, which has ${byteLength}`);
    }
    if (kind >= ACCESS.write) this.#permits.checkStore(space, offset, bytes);
  }

  after(kind: number, space: number, offset: number, bytes: number, value: number): void {
    this.#onAccess?.(kind, space, offset, bytes, value);
    if (kind < ACCESS.write) {
      this.conduct.load(kind, space, offset, bytes, value);
      this.#note(this.#ground.seen[space]!, space, offset, bytes, value);
      if (space <= SPACE.high) this.#noteReading(space, offset, bytes, value);
    } else if (kind <= ACCESS.copyIn) {
      this.conduct.store(kind, space, offset, bytes, value);
      this.#note(this.#ground.told[space]!, space, offset, bytes, value);
      this.world.touch(space, offset, bytes);
      this.#stored(space, offset, bytes, value);
    } else if (kind === ACCESS.fence) this.conduct.fence();
    else {
      this.conduct.bits(kind, space, offset, value);
      this.world.touch(space, offset, bytes);
    }
  }

  #noteReading(space: number, offset: number, bytes: number, value: number): void {
    const { readings, sheets } = this.#ground;
    const gpa = RIG_REGIONS[space]!.gpa + offset;
    if (bytes <= 4) readings.word(gpa, bytes, value);
    else readings.copy(gpa, sheets[space]!.bytes.subarray(offset, offset + bytes));
  }

  #stored(space: number, offset: number, bytes: number, value: number): void {
    const { guestRing, shadowRing } = this.world;
    if (space === SPACE.low) this.stamps.relayWrote(RIG_REGIONS[SPACE.low].gpa + offset, bytes);
    if (space === SPACE.shadow && offset === shadowRing.avail + 2) this.ledger.shadowPublished(value);
    if (space === SPACE.low && offset === guestRing.used + VRING_USED.offsets.idx) this.ledger.usedPublished(value);
  }

  #note(overlay: Sheet, space: number, offset: number, bytes: number, value: number): void {
    overlay.touch(offset, bytes);
    const target = overlay.bytes;
    if (bytes > 4) target.set(this.#ground.sheets[space]!.bytes.subarray(offset, offset + bytes), offset);
    else for (let i = 0; i < bytes; i++) target[offset + i] = value >>> (8 * i);
  }

  #caught(error: unknown): void {
    if (error instanceof Violation) throw error;
    if (!(error instanceof PeerFault)) throw new Violation("O8", 36, `it threw ${String(error)}`);
    this.broken = error.reason;
    if (!this.#isHostile) throw new Violation("O8", 36, `the queue broke for ${error.message}`);
    this.ledger.broke(error.reason, this.conduct.guest.seen, this.conduct.device.seen);
  }

  /** What has to hold between two turns. */
  #checkBooks(): void {
    const { setup, guestRing } = this.world;
    const accounting = this.broken === undefined ? this.relay.accounting?.() : undefined;
    if (accounting !== undefined) this.conduct.checkBooks(accounting);
    if (!setup.log || this.broken !== undefined) return;
    this.stamps.checkRelays(guestRing.used, VRING_USED.offsets.ring + 8 * setup.num + 2, "after the relay's turn");
  }

  #finish(): void {
    if (this.#isHostile) this.#untilAsleep();
    else this.#settle();
    if (!this.#isHostile && this.guest.outstanding > 0) {
      throw new Violation("O5", 25, `${this.guest.outstanding} chains are not back, and everybody sleeps`);
    }
    if (!this.world.setup.log) return;
    this.relay.abandon();
    this.stamps.checkAll("at the end");
    this.stamps.harvest();
    this.stamps.compare();
  }

  get #isHostile(): boolean {
    return this.#hostile.guest || this.#hostile.device;
  }

  /** Everybody goes on until nobody has anything to do; the relay only while it is awake. */
  #settle(): void {
    const { num } = this.world.setup;
    for (let round = 0; round < 16 * num; round++) {
      let moved = this.guest.publish();
      if (moved) this.asleep = false;
      this.#untilAsleep();
      moved = this.device.take() || moved;
      while (this.device.use(0, 64)) moved = true;
      if (this.device.publish()) this.asleep = false;
      moved = this.#untilAsleep() || moved;
      moved = this.guest.reap() || moved;
      if (!moved) return;
    }
  }

  /** The relay goes on until it sleeps, with nobody in its way. */
  #untilAsleep(): boolean {
    let moved = false;
    this.#ambushes.length = 0;
    for (let idle = 0; !this.asleep && this.broken === undefined; ) {
      const before = this.ledger.position + this.ledger.returned;
      this.turn();
      idle = this.ledger.position + this.ledger.returned === before ? idle + 1 : 0;
      moved ||= idle === 0;
      if (idle === 3 && !this.asleep) throw new Violation("O7", 38, "it neither moves anything nor sleeps");
    }
    return moved;
  }

  #spring(): void {
    for (let i = this.#ambushes.length - 1; i >= 0; i--) {
      if (this.#ambushes[i]!.access > this.accesses) continue;
      const { poke } = this.#ambushes.splice(i, 1)[0]!;
      if (poke !== undefined) this.#poke(poke);
      else if (this.world.setup.log) this.stamps.harvest();
    }
  }

  #poke(poke: Poke): void {
    if (this.world.poke(poke)) this.stamps.guestWrote(poke.space, poke.offset, poke.width);
  }
}
