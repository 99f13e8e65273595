/** A run of pages. */
export interface PageRange {
  readonly firstPage: number;
  readonly pageCount: number;
}

/** Joins the set bits of a bitmap (bit p of word p / 32) into runs of pages, across word boundaries. */
export function pageRanges(bitmap: Uint32Array): PageRange[] {
  const ranges: PageRange[] = [];
  let start = -1;
  const pages = bitmap.length * 32;
  for (let page = 0; page < pages; page++) {
    const word = bitmap[page >>> 5]!;
    if (word === 0 && start < 0) {
      page |= 31;
      continue;
    }
    const set = (word & (1 << (page & 31))) !== 0;
    if (set && start < 0) start = page;
    if (!set && start >= 0) {
      ranges.push({ firstPage: start, pageCount: page - start });
      start = -1;
    }
  }
  if (start >= 0) ranges.push({ firstPage: start, pageCount: pages - start });
  return ranges;
}
