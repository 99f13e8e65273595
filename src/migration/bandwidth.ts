import { PAGE_BYTES } from "../memory/address.js";
import { BUFFER_DELAY_NS } from "./parameters.js";

/** Nanoseconds of guest time between two looks at the channel: what is sent meanwhile is sent at once. */
const SLICE_NS = 1e6;

/** Measures what is sent, over windows of BUFFER_DELAY (specification 5.4). */
export class BandwidthMeter {
  /** Bytes a second over the last whole window; the limit until there was one. */
  bytesPerSecond: number;
  #windowStartNs: number;
  #sentAtStart = 0;

  constructor(limitBytes: number, nowNs: number) {
    this.bytesPerSecond = limitBytes;
    this.#windowStartNs = nowNs;
  }

  /** Notes how much was sent until now; true when a window ended. */
  note(nowNs: number, sentBytes: number): boolean {
    const took = nowNs - this.#windowStartNs;
    if (took < BUFFER_DELAY_NS) return false;
    const sent = sentBytes - this.#sentAtStart;
    if (sent > 0) this.bytesPerSecond = (sent * 1e9) / took;
    this.#windowStartNs = nowNs;
    this.#sentAtStart = sentBytes;
    return true;
  }
}

/** Says how many pages may be sent before the guest runs on, and how long they take. */
export class Pacer {
  readonly #pageNs: number;

  /** `limitBytes`: bytes a second. */
  constructor(limitBytes: number) {
    this.#pageNs = (PAGE_BYTES * 1e9) / limitBytes;
  }

  /** Pages of one slice; at least one. */
  get slicePages(): number {
    return Math.max(1, Math.round(SLICE_NS / this.#pageNs));
  }

  /** Nanoseconds in which `pages` are sent. */
  takesNs(pages: number): number {
    return pages * this.#pageNs;
  }
}
