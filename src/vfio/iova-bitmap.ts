import { PAGE_BYTES } from "../memory/address.js";
import { assert } from "../memory/assert.js";

/** Pages of a user's bitmap that are held at once: one page of pointers (specification 3.7). */
export const WINDOW_BITMAP_PAGES = 512;

/** How bits reach the user's bitmap: set in place, or in a buffer that is copied whole, or where it is not zero. */
export type BitmapPath = "in-place" | "copy" | "sparse";

/** Where bits go, and what they stand for. */
export interface IovaBitmapParts {
  /** The user's bitmap, of bits lowest first; at any byte address. */
  readonly bits: Uint8Array;
  /** First page of 4096 bytes that is asked for; bit 0 starts there. */
  readonly firstPage: number;
  /** Pages of 4096 bytes that are asked for. */
  readonly pageCount: number;
  /** Pages of 4096 bytes to a bit; a power of two. */
  readonly grainPages: number;
  readonly path?: BitmapPath;
  /** Sparse path: so many words of 64 zero bits between two that are not are copied along, for fewer runs. */
  readonly gapWords?: number;
}

/** A window: a part of what is asked for, whose bits are held now. In pages of 4096 bytes. */
export interface BitmapWindow {
  readonly firstPage: number;
  readonly pageCount: number;
}

/**
 * Writes dirty bits into a user's bitmap, window by window (iova_bitmap in Linux; specification 3.7).
 *
 * A window holds at most 512 pages of the bitmap: 64 GiB of addresses at 4 KiB, less what the bitmap's offset in its
 * first page takes. What set() is given beyond the window's end is remembered and set when the next one opens: a large
 * entry is reported, and cleared, once. Bits are only ever set; none behind the last one asked for.
 */
export class IovaBitmap {
  readonly counters = { windows: 0, pinnedPages: 0, bitsSet: 0, copiedBytes: 0, copiedRuns: 0 };
  readonly #parts: IovaBitmapParts;
  readonly #path: BitmapPath;
  readonly #bitCount: number;
  /** Bits of the window, from `#bit` on. */
  #held: Uint8Array = new Uint8Array(0);
  #bit = 0;
  #endBit = 0;
  /** Bits up to here are to be set when their window opens. */
  #aheadBit = 0;

  constructor(parts: IovaBitmapParts) {
    this.#parts = parts;
    this.#path = parts.path ?? "in-place";
    this.#bitCount = Math.ceil(parts.pageCount / parts.grainPages);
    assert(parts.bits.length * 8 >= this.#bitCount, "whoever asks has checked that the bitmap is long enough");
  }

  /** Opens one window after the other; a negative answer of `visit` ends it and is returned. */
  eachWindow(visit: (window: BitmapWindow) => number): number {
    const { firstPage, pageCount, grainPages } = this.#parts;
    while (this.#endBit < this.#bitCount) {
      this.#open();
      const from = this.#bit * grainPages;
      const to = Math.min(this.#endBit * grainPages, pageCount);
      const result = visit({ firstPage: firstPage + from, pageCount: to - from });
      this.#close();
      if (result < 0) return result;
    }
    return 0;
  }

  /** Sets the bits of a run of pages of 4096 bytes, as far as they are asked for. */
  set(page: number, count: number): void {
    const { firstPage, pageCount, grainPages } = this.#parts;
    const from = Math.max(page - firstPage, 0);
    const to = Math.min(page + count - firstPage, pageCount);
    if (from >= to) return;
    const first = Math.max(Math.floor(from / grainPages), this.#bit);
    const end = Math.ceil(to / grainPages);
    if (end > this.#endBit) this.#aheadBit = Math.max(this.#aheadBit, end);
    this.#setBits(first, Math.min(end, this.#endBit));
  }

  #open(): void {
    const { bits } = this.#parts;
    this.#bit = this.#endBit;
    const address = bits.byteOffset + this.#bit / 8;
    const bytesMax = WINDOW_BITMAP_PAGES * PAGE_BYTES - (address % PAGE_BYTES);
    this.#endBit = Math.min(this.#bit + bytesMax * 8, this.#bitCount);
    const bytes = Math.ceil((this.#endBit - this.#bit) / 8);
    this.counters.windows += 1;
    this.counters.pinnedPages += Math.ceil(((address % PAGE_BYTES) + bytes) / PAGE_BYTES);
    const users = bits.subarray(this.#bit / 8, this.#bit / 8 + bytes);
    this.#held = this.#path === "in-place" ? users : new Uint8Array(bytes);
    if (this.#aheadBit > this.#bit) this.#setBits(this.#bit, Math.min(this.#aheadBit, this.#endBit));
  }

  #close(): void {
    if (this.#path === "in-place") return;
    const at = this.#bit / 8;
    if (this.#path === "copy") this.#copyOut(at, 0, this.#held.length);
    else for (const [from, to] of runsOf(this.#held, this.#parts.gapWords ?? 0)) this.#copyOut(at, from, to);
  }

  #copyOut(at: number, from: number, to: number): void {
    const { bits } = this.#parts;
    for (let byte = from; byte < to; byte++) bits[at + byte]! |= this.#held[byte]!;
    this.counters.copiedBytes += to - from;
    this.counters.copiedRuns += 1;
  }

  #setBits(first: number, end: number): void {
    if (first >= end) return;
    this.counters.bitsSet += end - first;
    const from = first - this.#bit;
    const last = end - 1 - this.#bit;
    const firstByte = from >>> 3;
    const lastByte = last >>> 3;
    const head = 0xff << (from & 7);
    const tail = 0xff >> (7 - (last & 7));
    if (firstByte === lastByte) {
      this.#held[firstByte]! |= head & tail;
      return;
    }
    this.#held[firstByte]! |= head;
    this.#held.fill(0xff, firstByte + 1, lastByte);
    this.#held[lastByte]! |= tail;
  }
}

/** Runs of 8-byte words that are not zero, in bytes, with up to `gapWords` zero words between joined. */
function* runsOf(held: Uint8Array, gapWords: number): Generator<readonly [number, number]> {
  let from = -1;
  let to = -1;
  for (let at = 0; at < held.length; at += 8) {
    const end = Math.min(at + 8, held.length);
    if (isZero(held, at, end)) continue;
    if (from >= 0 && at - to > gapWords * 8) {
      yield [from, to];
      from = -1;
    }
    if (from < 0) from = at;
    to = end;
  }
  if (from >= 0) yield [from, to];
}

function isZero(held: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (held[at] !== 0) return false;
  return true;
}
