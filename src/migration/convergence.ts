import { PAGE_BYTES } from "../memory/address.js";
import { THROTTLE, THROTTLE_TRIGGER_PERCENT } from "./parameters.js";

/**
 * Auto-converge: slows the vCPUs down when they dirty too much of what is sent meanwhile (specification 5.4).
 *
 * Twice in a row more than half makes the first step; each further time one step more, up to the limit.
 */
export class AutoConverge {
  /** Percent of their time that vCPUs sleep. */
  throttlePercent = 0;
  readonly #tailslow: boolean;
  #exceeded = 0;

  constructor(tailslow: boolean) {
    this.#tailslow = tailslow;
  }

  /** Judges a period; true when the throttle changed. */
  judge(dirtiedBytes: number, sentBytes: number): boolean {
    const limit = (sentBytes * THROTTLE_TRIGGER_PERCENT) / 100;
    if (dirtiedBytes <= limit) {
      this.#exceeded = 0;
      return false;
    }
    this.#exceeded += 1;
    if (this.#exceeded < 2) return false;
    this.#exceeded = 0;
    const before = this.throttlePercent;
    this.throttlePercent = Math.min(THROTTLE.max, this.#next(dirtiedBytes, limit));
    return this.throttlePercent !== before;
  }

  #next(dirtiedBytes: number, limit: number): number {
    if (this.throttlePercent === 0) return THROTTLE.initial;
    if (!this.#tailslow) return this.throttlePercent + THROTTLE.increment;
    // What the vCPUs still get, times what of it is too much: small steps where little is left to take.
    const rest = 100 - this.throttlePercent;
    const ideal = Math.round((rest * (dirtiedBytes - limit)) / dirtiedBytes);
    return this.throttlePercent + Math.max(1, Math.min(ideal, THROTTLE.increment));
  }
}

/** How often the dirty rate of a vCPU is held against its quota. */
const LIMIT_PERIOD_NS = 1e9;
/** What it may be off by, bytes a second. */
const LIMIT_TOLERANCE_BYTES = 25e6;
/** Part of a vCPU's time that it gets or loses when it is nearly right. */
const SMALL_STEP = 0.1;

/** Dirty-limit: holds vCPUs to a quota of bytes a second, as measured by their dirty rings (specification 5.3). */
export class DirtyLimit {
  /** Percent of their time that vCPUs sleep. */
  throttlePercent = 0;
  readonly #quotaBytes: number;
  #fromNs: number;
  #pagesBefore: number;
  #mismatches = 0;

  /** `pages`: pages that the rings have reported so far. */
  constructor(quotaBytes: number, nowNs: number, pages: number) {
    this.#quotaBytes = quotaBytes;
    this.#fromNs = nowNs;
    this.#pagesBefore = pages;
  }

  /** Looks at the time and at the rings; true when the throttle changed. */
  judge(nowNs: number, pages: number): boolean {
    const took = nowNs - this.#fromNs;
    if (took < LIMIT_PERIOD_NS) return false;
    const rate = ((pages - this.#pagesBefore) * PAGE_BYTES * 1e9) / took;
    this.#fromNs = nowNs;
    this.#pagesBefore = pages;
    if (Math.abs(rate - this.#quotaBytes) <= Math.min(LIMIT_TOLERANCE_BYTES, this.#quotaBytes / 2)) {
      this.#mismatches = 0;
      return false;
    }
    this.#mismatches += 1;
    if (this.#mismatches < 2) return false;
    this.#mismatches = 0;
    const before = this.throttlePercent;
    this.throttlePercent = Math.min(THROTTLE.max, Math.max(0, this.#next(rate)));
    return this.throttlePercent !== before;
  }

  #next(rate: number): number {
    const share = 1 - this.throttlePercent / 100;
    const far = Math.abs(rate - this.#quotaBytes) > this.#quotaBytes / 2;
    // Far off, the rate is taken to follow the vCPU's time; near, one careful step.
    if (far && rate > 0) return 100 * (1 - Math.min(1, (share * this.#quotaBytes) / rate));
    return this.throttlePercent + 100 * SMALL_STEP * (rate > this.#quotaBytes ? 1 : -1);
  }
}
