import { PAGE_BYTES } from "../memory/address.js";
import { assert } from "../memory/assert.js";
import type { SharedMemory } from "../memory/shared-memory.js";

/** log2 of the pages to one 32-bit word of the log. */
export const WORD_SHIFT = 5;
const WORD_PAGES = 1 << WORD_SHIFT;
const WORD_BYTES = WORD_PAGES * PAGE_BYTES;

/** What `take` looks at before it takes: as much as RealMemory compares at once. */
const BLOCK_BYTES = 16_384;

/** Bytes of a log that covers guest addresses below `end`; a whole number of 64-bit words, as vhost's users read it. */
export function logBytes(end: number): number {
  return Math.ceil(end / PAGE_BYTES / 64) * 8;
}

/**
 * The vhost dirty log: bit p is page p of 4096 bytes of guest physical space, lowest bit first, holes included
 * (VHOST_SET_LOG_BASE, VHOST_PAGE_SIZE).
 *
 * The relay *marks*, after the bytes are written; the migration *takes*, before it copies them. Marks are unconditional
 * read-modify-writes: testing a bit before setting it loses pages (README, Decisions).
 */
export class DirtyLog {
  readonly memory: SharedMemory;
  /** Byte offset of the first word. */
  readonly offset: number;
  /** Pages it covers; marks beyond them are a mistake of the caller. */
  readonly pageCount: number;
  /** One past the last byte of the last page. */
  readonly #endBytes: number;
  /** Offsets of the marked words of a block. */
  readonly #found = new Int32Array(BLOCK_BYTES / 4);

  /** Covers guest addresses below `end`, in `logBytes(end)` bytes at `offset`. */
  constructor(memory: SharedMemory, offset: number, end: number) {
    const inside = offset >= 0 && offset + logBytes(end) <= memory.byteLength;
    assert(offset % 4 === 0 && inside, "the log lies inside its memory");
    this.memory = memory;
    this.offset = offset;
    this.pageCount = Math.ceil(end / PAGE_BYTES);
    this.#endBytes = this.pageCount * PAGE_BYTES;
  }

  /** Marks every page of `bytes` bytes at guest address `address`; returns the number of read-modify-writes it took. */
  markRange(address: number, bytes: number): number {
    if (bytes === 0) return 0;
    assert(address >= 0 && address + bytes <= this.#endBytes, "marked pages lie inside the log");
    // Cut off to 32 bits: words are fewer, and of a page number a shift sees no more than its low bits.
    const first = (address / PAGE_BYTES) | 0;
    const last = ((address + bytes - 1) / PAGE_BYTES) | 0;
    const firstWord = (address / WORD_BYTES) | 0;
    const lastWord = ((address + bytes - 1) / WORD_BYTES) | 0;
    for (let word = firstWord; word <= lastWord; word++) {
      const from = word === firstWord ? first : 0;
      const to = word === lastWord ? last : WORD_PAGES - 1;
      this.memory.setBits32(this.offset + word * 4, bitsBetween(from, to));
    }
    return lastWord - firstWord + 1;
  }

  /** Marks every page of several ranges, each word once; returns the number of read-modify-writes it took. */
  markRanges(ranges: readonly { readonly address: number; readonly bytes: number }[]): number {
    const words = new Map<number, number>();
    for (const { address, bytes } of ranges) {
      const endPage = bytes === 0 ? 0 : Math.ceil((address + bytes) / PAGE_BYTES);
      for (let page = Math.floor(address / PAGE_BYTES); page < endPage; page++) {
        const word = Math.floor(page / WORD_PAGES);
        words.set(word, (words.get(word) ?? 0) | (1 << (page & 31)));
      }
    }
    for (const [word, bits] of words) this.markWord(word, bits);
    return words.size;
  }

  /** Marks pages of one word of the log, `bits` of them, by a single read-modify-write. */
  markWord(word: number, bits: number): void {
    const last = word * WORD_PAGES + WORD_PAGES - 1 - Math.clz32(bits);
    assert(word >= 0 && last < this.pageCount, "marked pages lie inside the log");
    this.memory.setBits32(this.offset + word * 4, bits);
  }

  /**
   * Takes every mark and adds it to `bitmap` (same format); returns the number of pages taken.
   *
   * Words are looked at plainly first: a mark that the look misses stays for the next round, and the last round runs
   * when nobody marks any more. Each mark is handed out once. Of words `firstWord` to `endWord − 1` only, whose first
   * then is the first of `bitmap`; throws when that is shorter.
   */
  take(bitmap: Uint32Array, firstWord = 0, endWord = Math.ceil(this.pageCount / WORD_PAGES)): number {
    assert(firstWord >= 0 && endWord <= Math.ceil(this.pageCount / WORD_PAGES), "taken words lie inside the log");
    assert(bitmap.length >= endWord - firstWord, "the bitmap covers the log");
    const base = this.offset + firstWord * 4;
    const end = this.offset + endWord * 4;
    let pages = 0;
    for (let from = base; from < end; from += BLOCK_BYTES) {
      pages += this.#takeBlock(from, Math.min(from + BLOCK_BYTES, end), base, bitmap);
    }
    return pages;
  }

  #takeBlock(from: number, end: number, base: number, bitmap: Uint32Array): number {
    const { memory } = this;
    const found = this.#found;
    const count = memory.listNonZero32(from, end, found);
    let pages = 0;
    for (let i = 0; i < count; i++) {
      const at = found[i]!;
      const bits = memory.takeBits32(at);
      bitmap[(at - base) >>> 2]! |= bits;
      pages += bitCount(bits);
    }
    return pages;
  }

  /** Moves every mark into `next`, which whoever marks already uses: nothing is lost when a log grows or shrinks. */
  moveTo(next: DirtyLog): void {
    const bitmap = new Uint32Array(Math.ceil(this.pageCount / WORD_PAGES));
    this.take(bitmap);
    for (let word = 0; word < bitmap.length; word++) {
      if (bitmap[word] === 0) continue;
      const last = (word + 1) * WORD_PAGES - 1 - Math.clz32(bitmap[word]!);
      assert(last < next.pageCount, "no mark lies beyond the new log");
      next.memory.setBits32(next.offset + word * 4, bitmap[word]!);
    }
  }
}

/** The bits of pages `first` to `last` of one word of the log, both included, as int32; shifts take them modulo 32. */
export function bitsBetween(first: number, last: number): number {
  return (-1 << first) & (-1 >>> (WORD_PAGES - 1 - last));
}

/** Number of set bits in a 32-bit word. */
export function bitCount(word: number): number {
  let v = word - ((word >>> 1) & 0x55555555);
  v = (v & 0x33333333) + ((v >>> 2) & 0x33333333);
  return Math.imul((v + (v >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
