import { type ErrnoResult, errno } from "../layout/errno.js";
import { PAGE_BYTES } from "../memory/address.js";
import { RealMemory } from "../memory/real-memory.js";
import type { SharedMemory } from "../memory/shared-memory.js";
import { CountedMemory } from "./counted-memory.js";
import { DirtyLog, logBytes, WORD_SHIFT } from "./dirty-log.js";
import type { AfterWriteHook } from "./discipline.js";
import { bitmapWords, countPages, hasPage, orPages, setPages } from "./page-bitmap.js";
import { type AddressRange, newCounters, type ReportOptions, type Tracker, type TrackerCounters } from "./tracker.js";

/**
 * A DirtyLog as a tracker: vhost's log for a device, and the log of a store barrier for vCPUs.
 *
 * Marks arrive after the write. What lies outside the ranges it was started with is not marked; a report may ask for
 * any range, and leaves the marks outside of it where they are.
 */
export class LogTracker implements Tracker, AfterWriteHook {
  readonly name: string;
  readonly space = "gpa";
  readonly discipline = "mark-after-write";
  readonly memory: CountedMemory;
  readonly #counters = newCounters();
  readonly #log: DirtyLog;
  readonly #bytes: number;
  #active = false;

  /** Covers guest addresses below `end`, in memory of its own unless given `logBytes(end)` bytes of somebody's. */
  constructor(name: string, end: number, memory?: SharedMemory) {
    this.name = name;
    this.#bytes = logBytes(end);
    const bytes = memory ?? RealMemory.allocate(this.#bytes);
    this.memory = bytes instanceof CountedMemory ? bytes : new CountedMemory(bytes);
    this.#log = new DirtyLog(this.memory, 0, end);
  }

  /** What was marked by whoever else has the log's memory counts as well. */
  get counters(): TrackerCounters {
    this.#counters.rmw = this.memory.sets;
    this.#counters.wordsTouched = this.memory.touched;
    return this.#counters;
  }

  start(_ranges: readonly AddressRange[], _pageHint: number): ErrnoResult {
    // What was marked before is not of this migration.
    this.#log.take(new Uint32Array(this.#bytes / 4));
    this.#active = true;
    return PAGE_BYTES;
  }

  stop(): ErrnoResult {
    this.#active = false;
    return 0;
  }

  markAfterWrite(address: number, bytes: number): void {
    if (!this.#active || bytes === 0) return;
    this.#counters.marks += 1;
    this.memory.nextMark();
    this.#log.markRange(address, bytes);
  }

  report(
    address: number,
    bytes: number,
    pageBytes: number,
    bitmap: Uint32Array,
    options: ReportOptions = {},
  ): ErrnoResult {
    if (!this.#active) return errno("EINVAL");
    const aligned = address % PAGE_BYTES === 0 && bytes % PAGE_BYTES === 0 && bytes > 0;
    if (!aligned || pageBytes < PAGE_BYTES || pageBytes % PAGE_BYTES !== 0) return errno("EINVAL");
    const first = address / PAGE_BYTES;
    const pages = Math.min(bytes / PAGE_BYTES, this.#log.pageCount - first);
    if (pages <= 0) return 0;
    this.#counters.harvests += 1;
    const whole = first % 32 === 0 && (pages % 32 === 0 || first + pages === this.#log.pageCount);
    if (whole && pageBytes === PAGE_BYTES && options.noClear !== true) {
      this.#counters.harvestWords += Math.ceil(pages / 32);
      this.#counters.pagesReported += this.#log.take(bitmap, first / 32, Math.ceil((first + pages) / 32));
      return 0;
    }
    this.#reportThrough(first, pages, pageBytes / PAGE_BYTES, bitmap, options.noClear === true);
    return 0;
  }

  footprintBytes(): number {
    return this.#active ? this.#bytes : 0;
  }

  /** The way for ranges inside words, coarser pages and NO_CLEAR: takes whole words, puts back what was not asked. */
  #reportThrough(first: number, pages: number, grain: number, bitmap: Uint32Array, noClear: boolean): void {
    const firstWord = first >>> WORD_SHIFT;
    const endWord = Math.ceil((first + pages) / 32);
    const words = new Uint32Array(bitmapWords((endWord - firstWord) * 32));
    this.#log.take(words, firstWord, endWord);
    this.#counters.harvestWords += endWord - firstWord;
    const wanted = new Uint32Array(words.length);
    setPages(wanted, first - firstWord * 32, pages);
    for (const [i, mask] of wanted.entries()) {
      const back = noClear ? words[i]! : words[i]! & ~mask;
      if (back !== 0) this.#log.markWord(firstWord + i, back);
      words[i]! &= mask;
    }
    this.#counters.pagesReported += countPages(words);
    this.#counters.bytesMarshalled += (endWord - firstWord) * 4;
    const shifted = new Uint32Array(bitmapWords(pages));
    for (let page = 0; page < pages; page++) {
      if (hasPage(words, page + first - firstWord * 32)) setPages(shifted, Math.floor(page / grain), 1);
    }
    orPages(bitmap, 0, shifted, Math.ceil(pages / grain));
  }
}
