import { PAGE_BYTES } from "../memory/address.js";
import type { MigrationParameters } from "./parameters.js";

/** The least time between two dirty rates, nanoseconds. */
const RATE_PERIOD_NS = 1e9;

/** How much is left, how fast it grows, and whether it fits into the downtime (specification 5.4). */
export class Estimator {
  /** Bytes a second that became dirty, over the last period of a second or more. */
  dirtyRateBytes = 0;
  readonly #parameters: MigrationParameters;
  #rateFromNs: number;
  #dirtied = 0;

  constructor(parameters: MigrationParameters, nowNs: number) {
    this.#parameters = parameters;
    this.#rateFromNs = nowNs;
  }

  /** A sync found `pages` more. */
  synced(nowNs: number, pages: number): void {
    this.#dirtied += pages * PAGE_BYTES;
    const took = nowNs - this.#rateFromNs;
    if (took < RATE_PERIOD_NS && this.dirtyRateBytes !== 0) return;
    if (took <= 0) return;
    this.dirtyRateBytes = (this.#dirtied * 1e9) / took;
    this.#dirtied = 0;
    this.#rateFromNs = nowNs;
  }

  /** Bytes that can be sent while the guest stands still. */
  thresholdBytes(bandwidthBytes: number): number {
    const { switchoverBandwidthBytes, downtimeLimitNs } = this.#parameters;
    const bandwidth = switchoverBandwidthBytes > 0 ? switchoverBandwidthBytes : bandwidthBytes;
    return (bandwidth * downtimeLimitNs) / 1e9;
  }

  /** Nanoseconds that the guest would stand still for `remainingBytes`. */
  expectedDowntimeNs(remainingBytes: number, bandwidthBytes: number): number {
    return (remainingBytes * 1e9) / bandwidthBytes;
  }
}
