import { assert } from "../../memory/assert.js";

/** Ids of images and positions are below this: four of them are the 96 bits of a packed state. */
export const IDS_MAX = 2 ** 24;

const STATE_WORDS = 3;
const CHUNK_SHIFT = 14;
const CHUNK_MASK = (1 << CHUNK_SHIFT) - 1;
const LOAD_MAX = 0.75;
/** Entries of the largest index: 8 GiB. */
const INDEX_MAX = 2 ** 31;
/** More than that find no room in the index. */
export const STATES_MAX = INDEX_MAX * LOAD_MAX - 1;

/** A state of the play as four ids: what everybody sees, and where the three parties stand. */
export class PackedState {
  image = 0;
  readonly at = new Int32Array(3);
}

/**
 * The set of the states that were seen, in the order in which they were: set and queue of a breadth-first search.
 *
 * A state is three words in a chunk that never moves, found through an index of open addressing; nothing is shortened
 * to a hash, so a state is left out only when it is the same.
 */
export class StateSet {
  readonly #chunks: Int32Array[] = [];
  /**
   * An entry is 0 when it is empty, else the number of a state plus one, which fits the bits that number a slot.
   *
   * The bits above are those of the state's hash: they tell most other states without a look into a chunk.
   */
  #index = new Int32Array(1 << 12);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Bytes of the chunks and of the index. */
  get bytes(): number {
    return this.#chunks.length * STATE_WORDS * 4 * (CHUNK_MASK + 1) + this.#index.byteLength;
  }

  /** Adds a state; false when it is there already. */
  add(image: number, first: number, second: number, third: number): boolean {
    const a = image | (third << 24);
    const b = first | ((third >>> 8) << 24);
    const c = second | ((third >>> 16) << 24);
    const mask = this.#index.length - 1;
    const hashed = hash(a, b, c);
    let slot = hashed & mask;
    for (let entry = this.#index[slot]!; entry !== 0; entry = this.#index[slot]!) {
      if (((entry ^ hashed) & ~mask) === 0) {
        const number = (entry & mask) - 1;
        const chunk = this.#chunks[number >>> CHUNK_SHIFT]!;
        const at = (number & CHUNK_MASK) * STATE_WORDS;
        if (chunk[at] === a && chunk[at + 1] === b && chunk[at + 2] === c) return false;
      }
      slot = (slot + 1) & mask;
    }
    this.#append(a, b, c);
    this.#index[slot] = (hashed & ~mask) | this.#size;
    if (this.#size > this.#index.length * LOAD_MAX) this.#grow();
    return true;
  }

  /** Unpacks a state by its number. */
  get(number: number, into: PackedState): void {
    const chunk = this.#chunks[number >>> CHUNK_SHIFT]!;
    const at = (number & CHUNK_MASK) * STATE_WORDS;
    const a = chunk[at]!;
    const b = chunk[at + 1]!;
    const c = chunk[at + 2]!;
    into.image = a & 0xff_ffff;
    into.at[0] = b & 0xff_ffff;
    into.at[1] = c & 0xff_ffff;
    into.at[2] = (a >>> 24) | ((b >>> 24) << 8) | ((c >>> 24) << 16);
  }

  #append(a: number, b: number, c: number): void {
    const at = this.#size & CHUNK_MASK;
    if (at === 0) this.#chunks.push(new Int32Array(STATE_WORDS * (CHUNK_MASK + 1)));
    const chunk = this.#chunks[this.#size >>> CHUNK_SHIFT]!;
    const to = at * STATE_WORDS;
    chunk[to] = a;
    chunk[to + 1] = b;
    chunk[to + 2] = c;
    this.#size += 1;
  }

  /** Builds the index anew from the states, so that the old one need not be kept meanwhile. */
  #grow(): void {
    const length = this.#index.length * 2;
    assert(length <= INDEX_MAX, "there are no more than STATES_MAX states");
    this.#index = new Int32Array();
    const index = new Int32Array(length);
    this.#index = index;
    const mask = index.length - 1;
    for (let number = 0; number < this.#size; number++) {
      const chunk = this.#chunks[number >>> CHUNK_SHIFT]!;
      const at = (number & CHUNK_MASK) * STATE_WORDS;
      const hashed = hash(chunk[at]!, chunk[at + 1]!, chunk[at + 2]!);
      let slot = hashed & mask;
      while (index[slot] !== 0) slot = (slot + 1) & mask;
      index[slot] = (hashed & ~mask) | (number + 1);
    }
  }
}

/** From a pair of ids to a third: what was worked out once is looked up. */
export class PairTable {
  #slots = new Int32Array(3 << 10);
  #mask = (1 << 10) - 1;
  #size = 0;

  get bytes(): number {
    return this.#slots.byteLength;
  }

  /** The id that belongs to a pair, -1 when it was never set. */
  get(a: number, b: number): number {
    const slots = this.#slots;
    for (let slot = hash(a, b, 0) & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const at = slot * 3;
      const value = slots[at + 2]! - 1;
      if (value < 0 || (slots[at] === a && slots[at + 1] === b)) return value;
    }
  }

  /** Notes the id of a pair that has none. */
  set(a: number, b: number, value: number): void {
    assert(value >= 0 && value < IDS_MAX, "an id fits 24 bits");
    if (this.#size > this.#mask * LOAD_MAX) this.#grow();
    this.#put(a, b, value + 1);
    this.#size += 1;
  }

  #put(a: number, b: number, stored: number): void {
    let slot = hash(a, b, 0) & this.#mask;
    while (this.#slots[slot * 3 + 2] !== 0) slot = (slot + 1) & this.#mask;
    this.#slots.set([a, b, stored], slot * 3);
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Int32Array(old.length * 2);
    this.#mask = this.#mask * 2 + 1;
    for (let at = 0; at < old.length; at += 3) {
      if (old[at + 2] !== 0) this.#put(old[at]!, old[at + 1]!, old[at + 2]!);
    }
  }
}

function hash(a: number, b: number, c: number): number {
  let mixed = Math.imul(a, 0x9e37_79b1) ^ Math.imul(b, 0x85eb_ca6b) ^ Math.imul(c, 0xc2b2_ae35);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b_3c6d);
  return mixed ^ (mixed >>> 13);
}
