import { RIG_REGIONS, SPACE, type World } from "../rig/world.js";
import { Violation } from "./violation.js";

/** By half-word of guest RAM, for which chain it was read last, and how. No two share a number: all rigs share this. */
const STAMPS = new Uint32Array((RIG_REGIONS[0].bytes + RIG_REGIONS[1].bytes) / 2);
const HIGH_STAMPS = RIG_REGIONS[0].bytes / 2;
let chains = 0;

/**
 * O8: each word of a peer is read once for a decision, so that nothing can change between a check and its use.
 *
 * A chain begins with its avail entry. Until the next one, a word of a descriptor is read as often as the chain comes
 * by it, which is once unless the guest made a loop. Entries of either ring are read once from one publication to the
 * next. Indices, flags and event words are looked at as often as one likes.
 */
export class ReadOnce {
  readonly #avail: Uint32Array;
  readonly #used: Uint32Array;
  /** By gpa / 2, how often words were read again in this turn, less what chains explain by coming by them again. */
  readonly #again = new Map<number, number>();
  readonly #visits = new Map<number, number>();
  /** Whether an avail entry was read in this turn. */
  entered = false;
  #availBatch = 0;
  #usedBatch = 0;
  #chain = 0;

  constructor({ setup }: World) {
    this.#avail = new Uint32Array(setup.num);
    this.#used = new Uint32Array(setup.shadowNum * 2);
    this.turn();
  }

  /** Whether words were read again, for which there may be a reason. */
  get inDoubt(): boolean {
    return this.#again.size > 0;
  }

  /** The relay looks at everything anew: a turn begins. */
  turn(): void {
    this.availPublished();
    this.usedPublished();
    this.#nextChain();
    this.entered = false;
    if (this.#again.size > 0) this.#again.clear();
  }

  /** What was read of the guest's avail ring has been handed on. */
  availPublished(): void {
    this.#availBatch += 1;
  }

  /** What was read of the shadow used ring has been handed on. */
  usedPublished(): void {
    this.#usedBatch += 1;
  }

  /** The relay reads an entry of the guest's avail ring. */
  availEntry(slot: number): void {
    if (this.#avail[slot] === this.#availBatch) throw new Violation("O8", 37, `avail entry ${slot} is read twice`);
    this.#avail[slot] = this.#availBatch;
    this.entered = true;
    this.#nextChain();
  }

  /** The relay reads words of the shadow used ring's entries, `from` bytes behind the first. */
  usedEntry(from: number, bytes: number): void {
    for (let word = from >>> 2; word * 4 < from + bytes; word++) {
      if (this.#used[word] === this.#usedBatch) throw new Violation("O8", 37, `used entry ${word >>> 1} is read twice`);
      this.#used[word] = this.#usedBatch;
    }
  }

  /** The relay reads a part of a descriptor, or copies a table of them. */
  descriptor(space: number, offset: number, bytes: number, copied: boolean): void {
    const base = space === SPACE.high ? HIGH_STAMPS : 0;
    const last = base + ((offset + bytes - 1) >>> 1);
    // A table may lie over the descriptor that leads to it: read for another purpose.
    const stamp = this.#chain + (copied ? 1 : 0);
    for (let at = base + (offset >>> 1); at <= last; at++) {
      if (STAMPS[at] === stamp) this.#readAgain((RIG_REGIONS[space]!.gpa >>> 1) + at - base);
      STAMPS[at] = stamp;
    }
  }

  /** A second opinion comes by a byte of a descriptor; only worth telling while something is in doubt. */
  visit(gpa: number): void {
    const word = gpa >>> 1;
    if ((gpa & 1) === 0 && this.#again.has(word)) this.#visits.set(word, (this.#visits.get(word) ?? 0) + 1);
  }

  /** The second opinion has been formed: what it came by more than once explains as many second readings. */
  counted(): void {
    for (const [word, visits] of this.#visits) {
      const again = this.#again.get(word);
      if (again !== undefined) this.#again.set(word, again - (visits - 1));
    }
    if (this.#visits.size > 0) this.#visits.clear();
  }

  /** Throws for words that were read again without a reason. */
  check(): void {
    for (const [word, times] of this.#again) {
      if (times > 0) throw new Violation("O8", 37, `the word at guest address ${word * 2} is read again`);
    }
  }

  #readAgain(word: number): void {
    this.#again.set(word, (this.#again.get(word) ?? 0) + 1);
  }

  #nextChain(): void {
    chains += 2;
    if (chains === 2 ** 32) {
      STAMPS.fill(0);
      chains = 2;
    }
    this.#chain = chains;
  }
}
