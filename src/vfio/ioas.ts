import { type ErrnoResult, errno } from "../layout/errno.js";
import { PAGE_BYTES } from "../memory/address.js";
import type { Hwpt } from "./hwpt.js";
import { TABLE_END_PAGE } from "./io-page-table.js";
import { type IovaRange, overlaps } from "./iova-ranges.js";

/** An area of an I/O address space and the guest pages behind it. */
export interface IoasArea extends IovaRange {
  readonly gpaPage: number;
  readonly writable: boolean;
}

/**
 * An I/O address space: what is mapped where, without hardware; each of its domains has the same in a table of its own.
 *
 * Areas are what somebody mapped by one call, and are unmapped whole. Addresses are bytes below 2^48.
 */
export class Ioas {
  readonly #areas: IoasArea[] = [];
  readonly #hwpts: Hwpt[] = [];

  /** What is mapped now, by rising address. */
  get areas(): readonly IoasArea[] {
    return this.#areas;
  }

  /** Gives a domain everything that is mapped, and all that will be. */
  add(hwpt: Hwpt): void {
    this.#hwpts.push(hwpt);
    for (const { firstPage, pageCount, gpaPage, writable } of this.#areas) {
      hwpt.table.map(firstPage, pageCount, gpaPage, writable);
    }
  }

  /** IOMMU_IOAS_MAP: 0, EINVAL (not aligned, or out of reach) or EEXIST. */
  map(iova: number, bytes: number, gpa: number, writable = true): ErrnoResult {
    const range = pagesOf(iova, bytes);
    if (range === undefined || gpa % PAGE_BYTES !== 0) return errno("EINVAL");
    if (this.#areas.some((area) => overlaps(area, range))) return errno("EEXIST");
    const area = { ...range, gpaPage: gpa / PAGE_BYTES, writable };
    this.#areas.push(area);
    this.#areas.sort((a, b) => a.firstPage - b.firstPage);
    for (const hwpt of this.#hwpts) hwpt.table.map(area.firstPage, area.pageCount, area.gpaPage, writable);
    return 0;
  }

  /**
   * IOMMU_IOAS_UNMAP: the bytes unmapped, EINVAL (cuts an area in two) or ENOENT (nothing there).
   *
   * It returns no dirty bits: whoever wants them has read them before.
   */
  unmap(iova: number, bytes: number): number {
    const range = pagesOf(iova, bytes);
    if (range === undefined) return errno("EINVAL");
    const inside = this.#areas.filter((area) => overlaps(area, range));
    if (inside.length === 0) return errno("ENOENT");
    const end = range.firstPage + range.pageCount;
    if (inside.some((area) => area.firstPage < range.firstPage || area.firstPage + area.pageCount > end)) {
      return errno("EINVAL");
    }
    for (const area of inside) {
      this.#areas.splice(this.#areas.indexOf(area), 1);
      for (const hwpt of this.#hwpts) hwpt.unmap(area);
    }
    return inside.reduce((sum, { pageCount }) => sum + pageCount, 0) * PAGE_BYTES;
  }
}

function pagesOf(iova: number, bytes: number): IovaRange | undefined {
  if (bytes <= 0 || iova % PAGE_BYTES !== 0 || bytes % PAGE_BYTES !== 0) return undefined;
  const range = { firstPage: iova / PAGE_BYTES, pageCount: bytes / PAGE_BYTES };
  return range.firstPage + range.pageCount <= TABLE_END_PAGE ? range : undefined;
}
