import { type ErrnoResult, errno } from "../layout/errno.js";
import { PAGE_BYTES } from "../memory/address.js";
import type { IovaBitmap } from "./iova-bitmap.js";
import { combineRanges, type IovaRange } from "./iova-ranges.js";
import type { LogBackend } from "./log-backend.js";

/** What a device can log. */
export interface LoggerLimits {
  /** Its smallest and its largest page, bytes; powers of two. */
  readonly pageBytesMin: number;
  readonly pageBytesMax: number;
  /** Ranges that it can log at once. */
  readonly rangesMax: number;
  /** log2 of the bytes of all its ranges together, rounded up to a power of two: the least and the most. */
  readonly spaceShiftMin: number;
  readonly spaceShiftMax: number;
}

/** A device that is not picky: 4 KiB to 2 MiB, eight ranges, up to 256 TiB. */
const DEFAULT_LIMITS: LoggerLimits = {
  pageBytesMin: PAGE_BYTES,
  pageBytesMax: 2 ** 21,
  rangesMax: 8,
  spaceShiftMin: 12,
  spaceShiftMax: 48,
};

/** A range that is logged, and where its units stand among all. */
interface Logged extends IovaRange {
  /** Unit of the range's first page, counted from address 0. */
  readonly firstUnit: number;
  readonly baseUnit: number;
}

/**
 * The device's half of DMA logging: its own page size, its own ranges, and one of three ways to keep marks.
 *
 * All in pages of 4096 bytes. Marks outside of what is logged are dropped: nobody asked for them.
 */
export class DmaLogger {
  readonly backend: LogBackend;
  readonly limits: LoggerLimits;
  /** Set from outside: the device has lost track, and every report fails with EIO. */
  broken = false;
  #logged: readonly Logged[] = [];
  #unitPages = 1;

  constructor(backend: LogBackend, limits: Partial<LoggerLimits> = {}) {
    this.backend = backend;
    this.limits = { ...DEFAULT_LIMITS, ...limits };
  }

  /** Whether it logs. */
  get active(): boolean {
    return this.#logged.length > 0;
  }

  /** What it logs, combined: for tests of what a device was asked. */
  get ranges(): readonly IovaRange[] {
    return this.#logged.map(({ firstPage, pageCount }) => ({ firstPage, pageCount }));
  }

  /**
   * Begins to log ranges that do not overlap; `pageBytes` is a wish.
   *
   * Returns the page size chosen, or EINVAL (logs already), EOPNOTSUPP (too little or too much), ENOMEM.
   */
  start(ranges: readonly IovaRange[], pageBytes: number): ErrnoResult {
    const { pageBytesMin, pageBytesMax, rangesMax, spaceShiftMin, spaceShiftMax } = this.limits;
    if (this.active) return errno("EINVAL");
    const combined = combineRanges(ranges, rangesMax);
    const shift = Math.ceil(Math.log2(combined.reduce((sum, { pageCount }) => sum + pageCount, 0) * PAGE_BYTES));
    if (shift < spaceShiftMin || shift > spaceShiftMax) return errno("EOPNOTSUPP");
    const chosen = Math.min(Math.max(pageBytes, pageBytesMin), pageBytesMax);
    this.#unitPages = chosen / PAGE_BYTES;
    let units = 0;
    const logged = combined.map((range) => {
      const firstUnit = Math.floor(range.firstPage / this.#unitPages);
      const endUnit = Math.ceil((range.firstPage + range.pageCount) / this.#unitPages);
      const baseUnit = units;
      units += endUnit - firstUnit;
      return { ...range, firstUnit, baseUnit };
    });
    const result = this.backend.start(units);
    if (result < 0) return result;
    this.#logged = logged;
    return chosen;
  }

  /** Forgets what is pending; also when it does not log. */
  stop(): void {
    this.#logged = [];
    this.backend.stop();
  }

  /** The device wrote these pages. */
  mark(firstPage: number, pageCount: number): void {
    for (const logged of this.#logged) {
      const from = Math.max(firstPage, logged.firstPage);
      const to = Math.min(firstPage + pageCount, logged.firstPage + logged.pageCount);
      if (from >= to) continue;
      const unit = Math.floor(from / this.#unitPages);
      const endUnit = Math.ceil(to / this.#unitPages);
      this.backend.mark(logged.baseUnit + unit - logged.firstUnit, endUnit - unit);
    }
  }

  /**
   * Sets what was written of [firstPage, firstPage + pageCount), and forgets it there.
   *
   * A device page that is asked for in part stays pending: the rest of it was written as well, for all that is known.
   */
  report({ firstPage, pageCount }: IovaRange, bitmap: IovaBitmap): ErrnoResult {
    if (this.broken) return errno("EIO");
    if (!this.active) return errno("EINVAL");
    const asked = { from: firstPage, to: firstPage + pageCount };
    // A unit across the end of a window belongs to the first of the two: it is asked for, and cleared, once.
    const done = this.#logged.map(() => 0);
    return bitmap.eachWindow((window) => {
      const end = window.firstPage + window.pageCount;
      for (const [i, logged] of this.#logged.entries()) {
        const from = Math.max(window.firstPage, logged.firstPage);
        const to = Math.min(end, logged.firstPage + logged.pageCount);
        if (from >= to) continue;
        const unit = Math.max(Math.floor(from / this.#unitPages), done[i]!);
        done[i] = Math.max(done[i]!, Math.ceil(to / this.#unitPages));
        this.#collect(logged, unit, done[i], asked, bitmap);
      }
      return 0;
    });
  }

  #collect(
    logged: Logged,
    unit: number,
    endUnit: number,
    asked: { readonly from: number; readonly to: number },
    bitmap: IovaBitmap,
  ): void {
    const end = logged.firstPage + logged.pageCount;
    const whole = (one: number) =>
      asked.from <= Math.max(one * this.#unitPages, logged.firstPage) &&
      asked.to >= Math.min((one + 1) * this.#unitPages, end);
    const first = unit < endUnit && !whole(unit) ? unit + 1 : unit;
    const last = endUnit > first && !whole(endUnit - 1) ? endUnit - 1 : endUnit;
    const collect = (from: number, to: number, clears: boolean) => {
      if (from >= to) return;
      const shift = logged.firstUnit - logged.baseUnit;
      this.backend.collect(from - shift, to - shift, clears, (at, count) => {
        const page = Math.max((at + shift) * this.#unitPages, logged.firstPage);
        bitmap.set(page, Math.min((at + shift + count) * this.#unitPages, end) - page);
      });
    };
    collect(unit, first, false);
    collect(first, last, true);
    collect(last, endUnit, false);
  }
}
