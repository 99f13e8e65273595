import { bitCount, bitsBetween } from "./dirty-log.js";

/** 32-bit words of a bitmap of `pageCount` pages, a whole number of 64-bit ones. */
export function bitmapWords(pageCount: number): number {
  return Math.ceil(pageCount / 64) * 2;
}

/** Sets the bits of `count` pages from `first` on. */
export function setPages(bitmap: Uint32Array, first: number, count: number): void {
  if (count <= 0) return;
  const last = first + count - 1;
  const lastWord = Math.floor(last / 32);
  for (let word = Math.floor(first / 32); word <= lastWord; word++) {
    bitmap[word]! |= bitsBetween(word * 32 < first ? first : 0, word === lastWord ? last : 31);
  }
}

/** Whether the bit of a page is set. */
export function hasPage(bitmap: Uint32Array, page: number): boolean {
  return ((bitmap[Math.floor(page / 32)] ?? 0) & (1 << (page & 31))) !== 0;
}

/** Number of pages whose bit is set. */
export function countPages(bitmap: Uint32Array): number {
  let pages = 0;
  for (const word of bitmap) if (word !== 0) pages += bitCount(word);
  return pages;
}

/** Sets in `target`, from bit `at` on, the bits that `source` has among its first `count`. */
export function orPages(target: Uint32Array, at: number, source: Uint32Array, count: number): void {
  for (let word = 0; word * 32 < count; word++) {
    const rest = count - word * 32;
    const bits = rest < 32 ? source[word]! & bitsBetween(0, rest - 1) : source[word]!;
    if (bits === 0) continue;
    const into = at + word * 32;
    const shift = into & 31;
    const index = Math.floor(into / 32);
    target[index]! |= bits << shift;
    if (shift !== 0 && bits >>> (32 - shift) !== 0) target[index + 1]! |= bits >>> (32 - shift);
  }
}
