import type { ErrnoResult } from "../layout/errno.js";
import { setPages } from "./page-bitmap.js";
import { type AddressRange, newCounters, type Tracker } from "./tracker.js";

/** No tracking at all: every sync reports everything, as QEMU does for what cannot track (specification 6.1). */
export class AllDirty implements Tracker {
  readonly name: string;
  readonly space = "gpa";
  readonly discipline = "none";
  readonly counters = newCounters();

  constructor(name = "all-dirty") {
    this.name = name;
  }

  start(_ranges: readonly AddressRange[], pageHint: number): ErrnoResult {
    return pageHint;
  }

  stop(): ErrnoResult {
    return 0;
  }

  report(_address: number, bytes: number, pageBytes: number, bitmap: Uint32Array): ErrnoResult {
    const pages = Math.ceil(bytes / pageBytes);
    setPages(bitmap, 0, pages);
    this.counters.harvests += 1;
    this.counters.harvestWords += Math.ceil(pages / 32);
    this.counters.pagesReported += pages;
    return 0;
  }

  footprintBytes(): number {
    return 0;
  }
}
