import { countPages, orPages } from "../dirty/page-bitmap.js";
import { type AddressRange, newCounters, type ReportOptions, type Tracker } from "../dirty/tracker.js";
import { type ErrnoResult, errno } from "../layout/errno.js";
import { PAGE_BYTES } from "../memory/address.js";
import { DIRTY_PAGES, type Type1Container } from "./type1-container.js";

/**
 * A legacy container as a tracker: copies each bitmap out and ORs it, because GET overwrites (specification 3.6).
 *
 * It never marks anything. Every report has all that is mapped, or all that is pinned.
 */
export class Type1Tracker implements Tracker {
  readonly name: string;
  readonly space = "iova";
  readonly discipline = "none";
  readonly counters = newCounters();
  readonly container: Type1Container;

  constructor(name: string, container: Type1Container) {
    this.name = name;
    this.container = container;
  }

  start(_ranges: readonly AddressRange[], _pageHint: number): ErrnoResult {
    const result = this.container.dirtyPages(DIRTY_PAGES.start);
    return result < 0 ? result : PAGE_BYTES;
  }

  stop(): ErrnoResult {
    return this.container.dirtyPages(DIRTY_PAGES.stop);
  }

  report(
    address: number,
    bytes: number,
    pageBytes: number,
    bitmap: Uint32Array,
    options: ReportOptions = {},
  ): ErrnoResult {
    if (options.noClear === true) return errno("EOPNOTSUPP");
    const pages = bytes / PAGE_BYTES;
    const bits = new Uint32Array(Math.ceil(pages / 64) * 2);
    const result = this.container.dirtyPages(DIRTY_PAGES.getBitmap, {
      iova: address,
      bytes,
      bitmap: { pageBytes, bits },
    });
    if (result < 0) return result;
    orPages(bitmap, 0, bits, pages);
    this.counters.harvests += 1;
    this.counters.harvestWords += bits.length;
    this.counters.pagesReported += countPages(bits);
    this.counters.bytesMarshalled += bits.byteLength;
    return 0;
  }

  footprintBytes(): number {
    return this.container.footprintBytes();
  }
}
