import { assert } from "./assert.js";
import type { SharedMemory } from "./shared-memory.js";

/** The largest buffer a RealMemory covers: offsets stay below 2^31, so that index arithmetic stays in int32. */
export const REGION_BYTES_MAX = 0x8000_0000;

/** What listNonZero32 rules out by one call of memcmp, which costs as much as its first kilobyte. */
const ZEROS = Buffer.alloc(16_384);

/**
 * Shared words in a SharedArrayBuffer, at full speed.
 *
 * Offsets are trusted in the 16- and 32-bit verbs: a typed-array access out of range would be lost silently, so every
 * caller proves its range when it is constructed (`VringAreas`, `DirtyLog`, the arena). The byte copies check.
 * An ArrayBuffer serves as well, for private tables that are walked by the same code.
 */
export class RealMemory implements SharedMemory {
  readonly byteLength: number;
  readonly #u16: Uint16Array;
  readonly #i32: Int32Array;
  readonly #bytes: Buffer;

  /** Covers a whole buffer; its size is a multiple of 4 and at most 2 GiB. */
  constructor(buffer: SharedArrayBuffer | ArrayBuffer) {
    assert(buffer.byteLength % 4 === 0, "a region is a whole number of 32-bit words");
    assert(buffer.byteLength <= REGION_BYTES_MAX, "a region has at most 2 GiB");
    this.byteLength = buffer.byteLength;
    this.#u16 = new Uint16Array(buffer);
    this.#i32 = new Int32Array(buffer);
    this.#bytes = Buffer.from(buffer);
  }

  /** New memory of a size, all zero. */
  static allocate(bytes: number): RealMemory {
    return new RealMemory(new SharedArrayBuffer(bytes));
  }

  read16(offset: number): number {
    return this.#u16[offset >>> 1]!;
  }

  read32(offset: number): number {
    return this.#i32[offset >>> 2]!;
  }

  write16(offset: number, value: number): void {
    this.#u16[offset >>> 1] = value;
  }

  write32(offset: number, value: number): void {
    this.#i32[offset >>> 2] = value;
  }

  copyOut(offset: number, target: Uint8Array): void {
    this.#checkRange(offset, target.length);
    target.set(this.#bytes.subarray(offset, offset + target.length));
  }

  copyIn(offset: number, source: Uint8Array): void {
    this.#checkRange(offset, source.length);
    this.#bytes.set(source, offset);
  }

  observe16(offset: number): number {
    return Atomics.load(this.#u16, offset >>> 1);
  }

  publish16(offset: number, value: number): void {
    Atomics.store(this.#u16, offset >>> 1, value & 0xffff);
  }

  setBits32(offset: number, bits: number): void {
    Atomics.or(this.#i32, offset >>> 2, bits);
  }

  takeBits32(offset: number): number {
    return Atomics.exchange(this.#i32, offset >>> 2, 0);
  }

  listNonZero32(offset: number, end: number, found: Int32Array): number {
    const bytes = end - offset;
    if (bytes <= ZEROS.length && this.#bytes.compare(ZEROS, 0, bytes, offset, end) === 0) return 0;
    return listNonZero(this.#i32, offset >>> 2, end >>> 2, found);
  }

  /** Empty on purpose: Atomics.store and Atomics.load are sequentially consistent, which is what a fence would add. */
  fence(): void {}

  #checkRange(offset: number, length: number): void {
    if (!(offset >= 0 && offset + length <= this.byteLength)) {
      throw new RangeError(`${length} bytes at ${offset} lie outside a region of ${this.byteLength}`);
    }
  }
}

/** Lists what is not zero in words[from] … words[end - 1], as byte offsets; eight words are looked at together. */
function listNonZero(words: Int32Array, from: number, end: number, found: Int32Array): number {
  let count = 0;
  for (let word = from; word < end; word += 8) {
    if (word + 8 <= end && eightAreZero(words, word)) continue;
    const last = Math.min(word + 8, end);
    for (let at = word; at < last; at++) {
      // Always written, kept if not zero: at some dirty words in a hundred nobody can predict a branch.
      found[count] = at << 2;
      const value = words[at]!;
      count += (value | -value) >>> 31;
    }
  }
  return count;
}

function eightAreZero(words: Int32Array, at: number): boolean {
  const near = words[at]! | words[at + 1]! | words[at + 2]! | words[at + 3]!;
  return (near | words[at + 4]! | words[at + 5]! | words[at + 6]! | words[at + 7]!) === 0;
}
