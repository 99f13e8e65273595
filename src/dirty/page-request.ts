import { type ErrnoResult, errno } from "../layout/errno.js";
import { PAGE_BYTES } from "../memory/address.js";
import { bitCount, bitsBetween } from "./dirty-log.js";
import { hasPage, setPages } from "./page-bitmap.js";

/** A range that a report is asked for, in pages. */
export interface PageRequest {
  readonly firstPage: number;
  readonly pageCount: number;
  /** Pages of 4096 bytes to one bit of the answer. */
  readonly grain: number;
}

/** The arguments of a report in pages; EINVAL where they are not whole pages. */
export function pageRequest(address: number, bytes: number, pageBytes: number): PageRequest | ErrnoResult {
  const aligned = address >= 0 && address % PAGE_BYTES === 0 && bytes > 0 && bytes % PAGE_BYTES === 0;
  if (!aligned || pageBytes < PAGE_BYTES || pageBytes % PAGE_BYTES !== 0) return errno("EINVAL");
  return { firstPage: address / PAGE_BYTES, pageCount: bytes / PAGE_BYTES, grain: pageBytes / PAGE_BYTES };
}

/** Pages that a user of KVM or of a report queue has learned of and not handed on: QEMU's bitmap of a slot. */
export class PendingPages {
  readonly firstPage: number;
  readonly pageCount: number;
  /** Bit n, lowest first, is page `firstPage + n`. */
  readonly words: Uint32Array;

  constructor(firstPage: number, pageCount: number) {
    this.firstPage = firstPage;
    this.pageCount = pageCount;
    this.words = new Uint32Array(Math.ceil(pageCount / 64) * 2);
  }

  /** Notes a page; false when it is none of these. */
  add(page: number): boolean {
    const index = page - this.firstPage;
    if (!(index >= 0 && index < this.pageCount)) return false;
    setPages(this.words, index, 1);
    return true;
  }

  /** Sets the bits of those within a request, and forgets them unless `keeps`; returns how many they were. */
  hand(request: PageRequest, bitmap: Uint32Array, keeps = false): number {
    const from = Math.max(this.firstPage, request.firstPage);
    const to = Math.min(this.firstPage + this.pageCount, request.firstPage + request.pageCount);
    if (from >= to) return 0;
    const into = from - request.firstPage;
    const at = from - this.firstPage;
    if (request.grain === 1 && into % 32 === 0 && at % 32 === 0) {
      return this.#handWords(at, to - from, bitmap, into / 32, keeps);
    }
    let pages = 0;
    for (let page = from; page < to; page++) {
      if (!hasPage(this.words, page - this.firstPage)) continue;
      setPages(bitmap, Math.floor((page - request.firstPage) / request.grain), 1);
      if (!keeps) this.words[(page - this.firstPage) >>> 5]! &= ~(1 << ((page - this.firstPage) & 31));
      pages += 1;
    }
    return pages;
  }

  #handWords(at: number, count: number, bitmap: Uint32Array, into: number, keeps: boolean): number {
    let pages = 0;
    for (let done = 0; done < count; done += 32) {
      const index = (at + done) >>> 5;
      const mask = count - done < 32 ? bitsBetween(0, count - done - 1) : -1;
      const bits = this.words[index]! & mask;
      if (bits === 0) continue;
      bitmap[into + (done >>> 5)]! |= bits;
      if (!keeps) this.words[index]! &= ~mask;
      pages += bitCount(bits);
    }
    return pages;
  }
}
