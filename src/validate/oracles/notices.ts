import { u16 } from "../../memory/shared-memory.js";
import { ACCESS } from "../rig/watched-memory.js";
import { Violation } from "./violation.js";

/** How far the relay has got with asking to be told: asked, then fenced, then looked again. */
const ASK = { never: 0, asked: 1, fenced: 2, looked: 3, off: 4 } as const;

/** What one ring of a rig is to its relay. */
export interface RingSide {
  /** For messages. */
  readonly what: string;
  readonly num: number;
  readonly eventIdx: boolean;
  /** Where the relay's own index stands. */
  readonly start: number;
  /** The flags and the event word by which the relay asks, as they are before it writes them. */
  readonly flags: number;
  readonly event: number;
}

/**
 * O5: telling and asking to be told, on one ring of the relay.
 *
 * Whoever publishes then fences, looks at what the other side wished, and tells it if the rule says so. Whoever wants
 * to sleep asks, fences, and looks again. Both by the order of accesses, so that one run shows what only a race would.
 */
export class Notices {
  /** Where the relay's own index stands; free-running. */
  published: number;
  /** The other side's index as the relay saw it last. */
  seen: number;
  told = 0;
  /** Times the other side was told, and had not asked for it: legal, and counted. */
  extra = 0;
  readonly #side: RingSide;
  #flags: number;
  #event: number;
  #ask: number = ASK.never;
  #askedInTurn = false;
  /** The index before whatever nobody has been told of; -1 where nothing is due. */
  #dueFrom = -1;
  #fenced = false;

  constructor(side: RingSide) {
    this.#side = side;
    this.published = this.seen = side.start;
    this.#flags = side.flags;
    this.#event = side.event;
  }

  /** The relay moved its index. */
  publish(idx: number): void {
    if (idx === this.published) throw new Violation("O3", 13, `${this.#side.what}: nothing is published`);
    if (this.#dueFrom < 0) this.#dueFrom = this.published;
    this.published = idx;
    this.#fenced = false;
  }

  /** A full fence, on whatever memory. */
  fence(): void {
    this.#fenced = true;
    if (this.#ask === ASK.asked) this.#ask = ASK.fenced;
  }

  /** The relay looks at the flags or the event word of the other side; a wider load is of something out of place. */
  wish(kind: number, bytes: number, value: number, isEvent: boolean): void {
    if (bytes === 2 && kind !== ACCESS.observe) {
      throw new Violation("O5", 25, `the wish of ${this.#side.what} is read without acquire`);
    }
    if (isEvent !== this.#side.eventIdx || this.#dueFrom < 0 || !this.#fenced) return;
    if (!this.#wanted(value)) this.#dueFrom = -1;
  }

  /** The relay tells the other side, whose wish is `value` at this moment. */
  signal(value: number): void {
    this.told += 1;
    if (this.#dueFrom < 0 || !this.#wanted(value)) this.extra += 1;
    this.#dueFrom = -1;
  }

  /** The relay writes its own flags: 0 to be told. */
  askByFlags(value: number): void {
    const { eventIdx, what } = this.#side;
    if (value > 1 || (eventIdx && value !== 0)) throw new Violation("O5", 25, `${what}: flags are set to ${value}`);
    this.#flags = value;
    if (!eventIdx) this.#asked(value === 0 ? ASK.asked : ASK.off);
  }

  /** The relay writes its own event word; it has taken all before `taken`. */
  askByEvent(value: number, taken: number): void {
    const { eventIdx, what, num } = this.#side;
    if (!eventIdx) throw new Violation("O5", 26, `${what}: an event word without EVENT_IDX`);
    if (u16(value - taken) > num) throw new Violation("O5", 26, `${what}: event ${value}, of which ${taken} are taken`);
    this.#event = value;
    this.#asked(ASK.asked);
  }

  /** The relay looks at the index of the other side. */
  look(value: number): void {
    this.seen = value;
    if (this.#ask === ASK.fenced) this.#ask = ASK.looked;
  }

  turn(): void {
    this.#askedInTurn = false;
  }

  /** Throws when the other side has not been told of something it wanted to hear of. */
  checkTold(): void {
    if (this.#dueFrom < 0) return;
    const { what } = this.#side;
    throw new Violation("O5", 25, `${what}: entries from ${this.#dueFrom} are published, and nobody was told`);
  }

  /** As it falls asleep: throws unless it is told of at least one of the next `within` entries after `taken`. */
  checkListens(taken: number, within: number, invariant: number): void {
    const { what, eventIdx } = this.#side;
    const on = eventIdx ? u16(this.#event - taken) < within : this.#flags === 0;
    if (!on) throw new Violation("O5", invariant, `${what}: it sleeps and has not asked to be told`);
    if (this.#ask === ASK.asked || this.#ask === ASK.fenced) {
      const missing = this.#ask === ASK.asked ? "fenced" : "looked again";
      throw new Violation("O5", 25, `${what}: it sleeps and has not ${missing} since it asked`);
    }
  }

  /** As it falls asleep over a chain that it holds: throws when it asks for more of them. */
  checkDeaf(): void {
    const { what, eventIdx } = this.#side;
    if (eventIdx ? this.#askedInTurn : this.#flags === 0) {
      throw new Violation("O5", 11, `${what}: it holds a chain, and asks to be told of more`);
    }
  }

  #asked(state: number): void {
    this.#ask = state;
    this.#askedInTurn = state === ASK.asked;
  }

  /** By the rule of the standard, over all that is due (VIRTIO 1.3, 2.7.7.2 and 2.7.10.1). */
  #wanted(wish: number): boolean {
    if (!this.#side.eventIdx) return (wish & 1) === 0;
    return u16(this.published - wish - 1) < u16(this.published - this.#dueFrom);
  }
}
