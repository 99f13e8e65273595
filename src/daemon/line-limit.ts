import type { Timers } from "./timers.js";

/** Lines of one kind that may come at once. */
const BURST = 50;
/** Milliseconds after which one more may come. */
const REFILL_MS = 1000;
/** Milliseconds between two reports of what was dropped. */
const REPORT_MS = 10_000;
/** Kinds that are counted by themselves: more than there are events. Those after them are counted as one. */
const KINDS_MAX = 32;
const OTHERS = "others";

interface Bucket {
  left: number;
  /** When `left` was right. */
  atMs: number;
}

/**
 * Bounds what a data process says: 50 lines of a kind at once, then one a second, and reports of how many more came.
 *
 * A peer decides how often it connects, breaks a queue or lies. Neither the disk behind the log nor a client of the
 * control socket is to pay for that. Kinds are counted apart, so that what is frequent does not hide what is rare.
 */
export class LineLimit {
  readonly #timers: Timers;
  readonly #report: (dropped: Readonly<Record<string, number>>) => void;
  readonly #buckets = new Map<string, Bucket>();
  #dropped = new Map<string, number>();
  #untimed: () => void = () => {};

  /** `report` hears of what was dropped, by kind: at most once in ten seconds, and at flush(). */
  constructor(timers: Timers, report: (dropped: Readonly<Record<string, number>>) => void) {
    this.#timers = timers;
    this.#report = report;
  }

  /** Whether a line of this kind may pass; one that may not is counted. */
  takes(kind: string): boolean {
    const known = this.#buckets.has(kind) || this.#buckets.size < KINDS_MAX ? kind : OTHERS;
    const bucket = this.#refilled(known);
    if (bucket.left >= 1) {
      bucket.left -= 1;
      return true;
    }
    if (this.#dropped.size === 0) this.#untimed = this.#timers.after(REPORT_MS, () => this.flush());
    this.#dropped.set(known, (this.#dropped.get(known) ?? 0) + 1);
    return false;
  }

  /** Reports what was dropped since the last report, if anything was; no timer runs afterwards. */
  flush(): void {
    if (this.#dropped.size === 0) return;
    this.#untimed();
    const dropped = Object.fromEntries(this.#dropped);
    this.#dropped = new Map();
    this.#report(dropped);
  }

  #refilled(kind: string): Bucket {
    const nowMs = this.#timers.now();
    const bucket = this.#buckets.get(kind) ?? { left: BURST, atMs: nowMs };
    bucket.left = Math.min(BURST, bucket.left + (nowMs - bucket.atMs) / REFILL_MS);
    bucket.atMs = nowMs;
    this.#buckets.set(kind, bucket);
    return bucket;
  }
}
