import type { AtTranslateHook, Leaf, TranslationFlush } from "../dirty/discipline.js";

/** log2 of the pages from which on a leaf is remembered by pieces of this size: 2 MiB. */
const LARGE_SHIFT = 9;

/**
 * The translations that a device's IOTLB, or a CPU's TLB, remembers: why mark-at-translate needs a flush.
 *
 * A write through a cached translation marks nothing. So whoever clears a dirty bit has to end the translation too, and
 * to wait for the writes that were translated before: `drain` finishes those (specification 0.4).
 */
export class TranslationCache implements TranslationFlush {
  readonly counters = { hits: 0, misses: 0, faults: 0, flushes: 0, drained: 0 };
  readonly #walker: AtTranslateHook;
  readonly #drain: () => number;
  readonly #small = new Map<number, Leaf>();
  readonly #large = new Map<number, Leaf>();

  /** `drain` finishes every write that was translated and is not done yet, and says how many there were. */
  constructor(walker: AtTranslateHook, drain: () => number = () => 0) {
    this.#walker = walker;
    this.#drain = drain;
  }

  /** Finds the guest page behind `page` for a write; −1 when nothing maps it. */
  translateForWrite(page: number): number {
    const hit = this.#small.get(page) ?? this.#large.get(Math.floor(page / 2 ** LARGE_SHIFT));
    if (hit !== undefined) this.counters.hits += 1;
    const leaf = hit ?? this.#walk(page);
    return leaf === undefined ? -1 : leaf.gpaPage + (page - leaf.firstPage);
  }

  flush(): void {
    this.counters.flushes += 1;
    this.#small.clear();
    this.#large.clear();
    this.counters.drained += this.#drain();
  }

  #walk(page: number): Leaf | undefined {
    const leaf = this.#walker.walkForWrite(page);
    if (leaf === undefined) {
      this.counters.faults += 1;
      return undefined;
    }
    this.counters.misses += 1;
    const large = leaf.pageCount % 2 ** LARGE_SHIFT === 0 && leaf.firstPage % 2 ** LARGE_SHIFT === 0;
    if (large) this.#large.set(Math.floor(page / 2 ** LARGE_SHIFT), leaf);
    else this.#small.set(page, leaf);
    return leaf;
  }
}
