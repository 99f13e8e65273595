import { availEventOffset, usedEventOffset } from "../../layout/virtio-ring.js";
import { u16 } from "../../memory/shared-memory.js";
import type { Accounting } from "../../ring/driver-ring.js";
import type { Judgement } from "../rig/naive-walker.js";
import { ACCESS } from "../rig/watched-memory.js";
import { SPACE, type World } from "../rig/world.js";
import type { Ledger } from "./ledger.js";
import { MarkPermits } from "./mark-permits.js";
import { Notices } from "./notices.js";
import { ReadOnce } from "./read-once.js";
import { Slots } from "./slots.js";
import { Violation } from "./violation.js";

const FLAGS = 0;
const IDX = 2;
const ENTRIES = 4;

/** What is known of single words, by whoever watches accesses and whoever judges outcomes. */
export interface RingRules {
  readonly slots: Slots;
  readonly fetches: ReadOnce;
  readonly marks: MarkPermits;
}

/** The rules of a world in which nothing has happened; `told` is the shadow ring as the relay stores it. */
export function ringRules(world: World, told: Uint8Array): RingRules {
  return { slots: new Slots(world, told), fetches: new ReadOnce(world), marks: new MarkPermits(world) };
}

/**
 * Which word of a ring each access goes to, and what the rules say of it: who may read and write it, how often, with
 * which value and in which order.
 *
 * Ledger says whether the outcome is right; this says whether it was come by in a way that holds in every order.
 */
export class Conduct {
  /** The relay towards the guest, and towards the device. */
  readonly guest: Notices;
  readonly device: Notices;
  readonly #parts: RingRules & { readonly world: World; readonly ledger: Ledger };
  readonly #availEvent: { readonly guest: number; readonly shadow: number };
  readonly #usedEvent: { readonly guest: number; readonly shadow: number };
  #position = 0;
  #returned = 0;
  /** What the book said of the chain that waits, in the turn in which it was read. */
  #waiting: Judgement | undefined;
  #overrun: "avail-idx-overrun" | "used-idx-overrun" | undefined;

  constructor(world: World, ledger: Ledger, { slots, fetches, marks }: RingRules) {
    const { setup, guestRing, shadowRing, views } = world;
    const { num, shadowNum, eventIdx, start } = setup;
    this.#parts = { world, ledger, slots, fetches, marks };
    this.#availEvent = { guest: availEventOffset(num), shadow: availEventOffset(shadowNum) };
    this.#usedEvent = { guest: usedEventOffset(num), shadow: usedEventOffset(shadowNum) };
    const word = (space: number, offset: number) => views[space]!.getUint16(offset, true);
    this.guest = new Notices({
      what: "guest",
      num,
      eventIdx,
      start,
      flags: word(SPACE.low, guestRing.used),
      event: word(SPACE.low, guestRing.used + this.#availEvent.guest),
    });
    this.device = new Notices({
      what: "device",
      num: shadowNum,
      eventIdx,
      start: 0,
      flags: word(SPACE.shadow, shadowRing.avail),
      event: word(SPACE.shadow, shadowRing.avail + this.#usedEvent.shadow),
    });
  }

  /** The relay begins a turn. */
  turn(): void {
    const { ledger, fetches } = this.#parts;
    this.#position = ledger.position;
    this.#returned = ledger.returned;
    fetches.turn();
    this.guest.turn();
    this.device.turn();
  }

  fence(): void {
    this.guest.fence();
    this.device.fence();
  }

  /** The relay kicks the device. */
  kick(): void {
    const { world } = this.#parts;
    const at = world.shadowRing.used + (world.setup.eventIdx ? this.#availEvent.shadow : FLAGS);
    this.device.signal(world.views[SPACE.shadow]!.getUint16(at, true));
  }

  /** The relay calls the guest. */
  call(): void {
    const { world } = this.#parts;
    this.guest.signal(world.get16(world.guestRing.avail + (world.setup.eventIdx ? this.#usedEvent.guest : FLAGS)));
  }

  /** The relay read; called before that is noted as seen. */
  load(kind: number, space: number, offset: number, bytes: number, value: number): void {
    if (space === SPACE.log) return;
    if (space === SPACE.shadow) this.#loadShadow(kind, offset, bytes, value);
    else this.#loadGuest(kind, space, offset, bytes, value);
  }

  /** The relay stored; called before whatever that publishes is judged. */
  store(kind: number, space: number, offset: number, bytes: number, value: number): void {
    if (space === SPACE.log) throw new Violation("O4", 22, "a mark that is a plain store takes others with it");
    if (space === SPACE.shadow) this.#storeShadow(kind, offset, bytes, value);
    else this.#storeGuest(kind, offset, bytes, value);
  }

  /** The relay set or took bits. */
  bits(kind: number, space: number, offset: number, bits: number): void {
    if (space !== SPACE.log) throw new Violation("O6", 5, `bits at ${offset} of space ${space}, which is no log`);
    if (kind === ACCESS.takeBits) throw new Violation("O4", 20, "the relay takes marks away");
    this.#parts.marks.checkBits(offset >>> 2, bits);
  }

  /** What the relay says of its descriptors is what can be seen of them. */
  checkBooks({ size, free, inFlight }: Accounting): void {
    const { held } = this.#parts.slots;
    if (inFlight === held && free + inFlight === size) return;
    const seen = `${held} are in chains of the device`;
    throw new Violation("O1", 2, `${free} descriptors free and ${inFlight} in flight of ${size}, and ${seen}`);
  }

  /** What has to hold when a turn is over: it sleeps or not, and may have given the queue up. */
  turnEnds(asleep: boolean, broken: string | undefined): void {
    const { ledger, fetches, world } = this.#parts;
    const taken = u16(ledger.position - this.#position);
    const returned = ledger.returned - this.#returned;
    if (taken > world.setup.num || returned > world.setup.num) {
      throw new Violation("O7", 38, `${taken} chains taken and ${returned} returned in a turn`);
    }
    if (this.#overrun !== undefined && broken !== this.#overrun) {
      throw new Violation("O8", 40, `the queue goes on after ${this.#overrun}`);
    }
    this.guest.checkTold();
    this.device.checkTold();
    if (fetches.inDoubt) {
      // The chain at which the turn ended may have its reasons too.
      ledger.nextJudgement();
      fetches.check();
    }
    if (broken !== undefined) return;
    if (this.guest.seen === ledger.position) this.#waiting = undefined;
    else if (fetches.entered) this.#waiting = ledger.nextJudgement();
    if (asleep) this.#checkSleep();
  }

  /** As the relay falls asleep: somebody will wake it, or nothing is left to do. */
  #checkSleep(): void {
    const { ledger, slots, world } = this.#parts;
    const inFlight = ledger.inFlight.size;
    if (this.device.seen !== ledger.consumed) throw new Violation("O5", 25, "it sleeps over used chains it has seen");
    if (inFlight > 0) this.device.checkListens(ledger.consumed, inFlight, 25);
    if (this.guest.seen === ledger.position) {
      this.guest.checkListens(ledger.position, 1, 11);
      return;
    }
    const judged = this.#waiting ?? ledger.nextJudgement();
    if (judged.outcome === "forward" && judged.pieces <= world.setup.shadowNum - slots.held) {
      throw new Violation("O5", 12, "it sleeps over a chain that has room");
    }
    if (judged.outcome === "refuse" && inFlight === 0) throw new Violation("O8", 36, `silence over ${judged.reason}`);
    this.guest.checkDeaf();
  }

  #loadGuest(kind: number, space: number, offset: number, bytes: number, value: number): void {
    const { world, fetches } = this.#parts;
    const { avail, used } = world.guestRing;
    const inAvail = offset - avail;
    // A copy is an indirect table, wherever the guest says that it lies.
    if (space === SPACE.high || kind === ACCESS.copyOut || offset < avail || offset >= used + this.#usedEnd) {
      fetches.descriptor(space, offset, bytes, kind === ACCESS.copyOut);
    } else if (offset >= used) throw new Violation("O1", 3, `the guest's used ring is read back, at ${offset - used}`);
    else if (inAvail === IDX && bytes === 2) this.#sawAvailIdx(kind, value);
    else if (inAvail < ENTRIES || inAvail >= this.#usedEvent.guest)
      this.guest.wish(kind, bytes, value, inAvail >= ENTRIES);
    else fetches.availEntry((inAvail - ENTRIES) >>> 1);
  }

  #loadShadow(kind: number, offset: number, bytes: number, value: number): void {
    const { world, fetches } = this.#parts;
    const inUsed = offset - world.shadowRing.used;
    if (inUsed < 0) throw new Violation("O1", 3, `the shadow ring is read back, at ${offset}`);
    if (inUsed === IDX && bytes === 2) this.#sawUsedIdx(kind, value);
    else if (inUsed < ENTRIES || inUsed >= this.#availEvent.shadow)
      this.device.wish(kind, bytes, value, inUsed >= ENTRIES);
    else fetches.usedEntry(inUsed - ENTRIES, bytes);
  }

  #storeGuest(kind: number, offset: number, bytes: number, value: number): void {
    const { world, slots, ledger, fetches } = this.#parts;
    const inUsed = offset - world.guestRing.used;
    if (inUsed <= IDX && inUsed + bytes > IDX) {
      checkPublication("guest", kind, inUsed, bytes);
      fetches.usedPublished();
      // A chain that is refused has its place in the avail ring used up by this.
      fetches.availPublished();
      this.guest.publish(value);
    } else if (inUsed < ENTRIES) this.guest.askByFlags(value);
    else if (inUsed >= this.#availEvent.guest) this.guest.askByEvent(value, ledger.position);
    else {
      for (let slot = (inUsed - ENTRIES) >>> 3; slot * 8 + ENTRIES < inUsed + bytes; slot++) {
        slots.checkUsedEntry(slot, this.guest.published, this.guest.seen);
      }
    }
  }

  #storeShadow(kind: number, offset: number, bytes: number, value: number): void {
    const { world, slots, ledger, fetches } = this.#parts;
    const inAvail = offset - world.shadowRing.avail;
    if (inAvail < 0) slots.checkDescriptor(offset - world.shadowRing.desc, bytes);
    if (inAvail + bytes <= 0) return;
    if (inAvail <= IDX && inAvail + bytes > IDX) {
      checkPublication("device", kind, inAvail, bytes);
      fetches.availPublished();
      this.device.publish(value);
    } else if (inAvail < ENTRIES) this.device.askByFlags(value);
    else if (inAvail >= this.#usedEvent.shadow) this.device.askByEvent(value, ledger.consumed);
    else {
      for (let slot = (inAvail - ENTRIES) >>> 1; slot * 2 + ENTRIES < inAvail + bytes; slot++) {
        slots.checkAvailEntry(slot, this.device.published);
      }
    }
  }

  get #usedEnd(): number {
    return this.#availEvent.guest + 2;
  }

  #sawAvailIdx(kind: number, value: number): void {
    const { ledger, world } = this.#parts;
    if (kind !== ACCESS.observe) throw new Violation("O2", 6, "avail.idx is read without acquire");
    this.guest.look(value);
    if (u16(value - ledger.position) > world.setup.num) this.#overrun ??= "avail-idx-overrun";
  }

  #sawUsedIdx(kind: number, value: number): void {
    const { ledger } = this.#parts;
    if (kind !== ACCESS.observe) throw new Violation("O3", 8, "used.idx is read without acquire");
    this.device.look(value);
    if (u16(value - ledger.consumed) > ledger.inFlight.size) this.#overrun ??= "used-idx-overrun";
  }
}

/** An index is moved by a store of its own that releases what was written before. */
function checkPublication(what: "guest" | "device", kind: number, at: number, bytes: number): void {
  if (at === IDX && bytes === 2 && kind === ACCESS.publish) return;
  const fault = bytes === 2 ? "without release" : `with ${bytes - 2} bytes beside it`;
  if (what === "guest") throw new Violation("O3", 8, `used.idx is stored ${fault}`);
  throw new Violation("O2", 6, `avail.idx is stored ${fault}`);
}
