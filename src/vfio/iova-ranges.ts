/** A run of pages of 4096 bytes of a device's address space. */
export interface IovaRange {
  readonly firstPage: number;
  readonly pageCount: number;
}

/**
 * Joins neighbours until at most `countMax` ranges are left, over the smallest gap first, the lowest of equal ones.
 *
 * What lies in the gap is tracked as well, and no report shows it unless it is asked for (vfio_combine_iova_ranges).
 * `ranges` do not overlap; the answer ascends.
 */
export function combineRanges(ranges: readonly IovaRange[], countMax: number): IovaRange[] {
  const combined = ranges.toSorted((a, b) => a.firstPage - b.firstPage);
  while (combined.length > Math.max(countMax, 1)) {
    let at = 0;
    for (let i = 1; i + 1 < combined.length; i++) if (gapAfter(combined, i) < gapAfter(combined, at)) at = i;
    const { firstPage } = combined[at]!;
    const next = combined[at + 1]!;
    combined.splice(at, 2, { firstPage, pageCount: next.firstPage + next.pageCount - firstPage });
  }
  return combined;
}

function gapAfter(ranges: readonly IovaRange[], i: number): number {
  const { firstPage, pageCount } = ranges[i]!;
  return ranges[i + 1]!.firstPage - (firstPage + pageCount);
}

/** Whether two ranges have a page in common. */
export function overlaps(one: IovaRange, other: IovaRange): boolean {
  return one.firstPage < other.firstPage + other.pageCount && other.firstPage < one.firstPage + one.pageCount;
}
