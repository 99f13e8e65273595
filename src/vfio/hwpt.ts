import type { AtTranslateHook, Leaf, TranslationFlush } from "../dirty/discipline.js";
import { newCounters } from "../dirty/tracker.js";
import { type ErrnoResult, errno } from "../layout/errno.js";
import { gpaPageOf, IoPageTable, isDirty, isWritable, setDirty, type TableLeaf } from "./io-page-table.js";
import type { IommuProfile } from "./iommu-profile.js";
import type { IovaBitmap } from "./iova-bitmap.js";
import type { IovaRange } from "./iova-ranges.js";

/** What a domain is allocated with. */
export interface HwptOptions {
  readonly profile: IommuProfile;
  /** IOMMU_HWPT_ALLOC_DIRTY_TRACKING: what may be enabled later has to be said at the beginning. */
  readonly dirtyTracking?: boolean;
  /** HUGE_PAGES of the address space: 2 MiB leaves where addresses allow them. */
  readonly hugePages?: boolean;
  /** Ends cached translations when dirty bits are cleared; false loses pages, and is here to be shown to. */
  readonly flushes?: boolean;
  /** Refuses to report a range that has a hole; some versions of Linux do not. */
  readonly refusesHoles?: boolean;
}

/** How a domain is read. */
export interface ReadOptions {
  readonly noClear?: boolean;
}

/**
 * A domain: one page table of one IOMMU, with the dirty bits of every device that is attached (specification 4).
 *
 * A bit is set when a translation for writing is cached, so clearing one ends with a flush of every device's cache.
 * Whoever shares a domain is not told apart. Numbers are pages of 4096 bytes.
 */
export class Hwpt implements AtTranslateHook {
  readonly discipline = "mark-at-translate";
  readonly counters = newCounters();
  /** Writes of device-table or PASID-table entries. */
  readonly steering = { entryWrites: 0 };
  readonly table: IoPageTable;
  readonly profile: IommuProfile;
  readonly tracksDirty: boolean;
  readonly #caches: TranslationFlush[] = [];
  readonly #options: HwptOptions;
  #enabled = false;

  constructor(options: HwptOptions) {
    this.#options = options;
    this.profile = options.profile;
    this.tracksDirty = options.dirtyTracking === true && options.profile.tracksDirty;
    this.table = new IoPageTable(options.hugePages ?? true);
  }

  /** Whether dirty tracking is enabled. */
  get enabled(): boolean {
    return this.#enabled;
  }

  /** A device translates by this domain from now on, through a cache that has to be flushed. */
  attach(cache: TranslationFlush): void {
    this.#caches.push(cache);
    if (this.#enabled) this.#steer(1);
  }

  walkForWrite(page: number): Leaf | undefined {
    const leaf = this.table.leafOf(page);
    if (leaf === undefined || !isWritable(leaf)) {
      this.counters.faults += 1;
      return undefined;
    }
    if (this.#enabled || (this.profile.alwaysOn && this.tracksDirty)) this.#mark(leaf);
    return { firstPage: leaf.firstPage, pageCount: leaf.pageCount, gpaPage: gpaPageOf(leaf) };
  }

  /** Sets or clears a feature of the domain by name; "dirty" is the only one there is, others are EOPNOTSUPP. */
  setFeature(name: string, on: boolean): ErrnoResult {
    return name === "dirty" ? this.setDirtyTracking(on) : errno("EOPNOTSUPP");
  }

  /** Enables from a clean state, each time; or disables. EOPNOTSUPP where it was not allocated for it. */
  setDirtyTracking(enable: boolean): ErrnoResult {
    if (!this.tracksDirty) return errno("EOPNOTSUPP");
    if (enable) {
      this.table.everyLeaf((leaf) => setDirty(leaf, false));
      this.#flush();
    }
    if (enable !== this.#enabled) this.#steer(this.#caches.length);
    this.#enabled = enable;
    return 0;
  }

  /**
   * Sets the bits of dirty leaves in `bitmap`, clears those leaves and ends their translations (read_and_clear_dirty).
   *
   * A leaf that is asked for in part stays dirty: the rest was written as well, for all that is known. EINVAL when
   * tracking is not enabled (unless it always is), or when the range has a hole.
   */
  readAndClearDirty({ firstPage, pageCount }: IovaRange, bitmap: IovaBitmap, options: ReadOptions = {}): ErrnoResult {
    if (!this.#enabled && !(this.profile.alwaysOn && this.tracksDirty)) return errno("EINVAL");
    let mapped = 0;
    let cleared = 0;
    const askedEnd = firstPage + pageCount;
    // A large leaf across the end of a window is read with the first of the two, and not again.
    let done = firstPage;
    const visits = this.table.counters.leafVisits;
    bitmap.eachWindow((window) => {
      const end = window.firstPage + window.pageCount;
      mapped += this.table.eachLeaf(window.firstPage, end, (leaf) => {
        if (leaf.firstPage < done && leaf.firstPage >= firstPage) return;
        done = leaf.firstPage + leaf.pageCount;
        if (!isDirty(leaf)) return;
        bitmap.set(leaf.firstPage, leaf.pageCount);
        const whole = leaf.firstPage >= firstPage && leaf.firstPage + leaf.pageCount <= askedEnd;
        if (options.noClear === true || !whole) return;
        setDirty(leaf, false);
        cleared += 1;
      });
      return 0;
    });
    this.counters.harvests += 1;
    this.counters.harvestWords += this.table.counters.leafVisits - visits;
    if (cleared > 0) this.#flush();
    return mapped < pageCount && this.#options.refusesHoles !== false ? errno("EINVAL") : 0;
  }

  /**
   * Unmaps and flushes; with `taken`, dirty bits are read by the exchange that unmaps (the RFC's unmap-and-read).
   *
   * `meanwhile` happens between the exchange and the flush: what a device still writes through its cache.
   */
  unmap(range: IovaRange, taken?: IovaBitmap, meanwhile: () => void = () => {}): void {
    const take = ({ firstPage, pageCount }: IovaRange) => {
      this.table.unmap(firstPage, pageCount, (leaf) => taken?.set(leaf.firstPage, leaf.pageCount));
      return 0;
    };
    if (taken === undefined) take(range);
    else taken.eachWindow(take);
    meanwhile();
    this.#invalidate();
  }

  /** Splits large leaves: a separate and expensive step, before a migration. */
  demote({ firstPage, pageCount }: IovaRange): void {
    this.table.demote(firstPage, pageCount);
    this.#invalidate();
  }

  /** Joins small leaves again, afterwards. */
  promote({ firstPage, pageCount }: IovaRange): void {
    this.table.promote(firstPage, pageCount);
    this.#invalidate();
  }

  #mark(leaf: TableLeaf): void {
    this.counters.marks += 1;
    if (isDirty(leaf)) return;
    setDirty(leaf, true);
    this.counters.wordsTouched += 1;
    this.counters.rmw += 1;
  }

  #flush(): void {
    if (this.#options.flushes === false) return;
    this.#invalidate();
  }

  #invalidate(): void {
    this.counters.flushes += 1;
    for (const cache of this.#caches) cache.flush();
  }

  #steer(devices: number): void {
    if (this.profile.perDevice !== "nothing") this.steering.entryWrites += devices;
  }
}
