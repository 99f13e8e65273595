/** What a migration may take, in QEMU's terms (specification 5.4). */
export interface MigrationParameters {
  /** max-bandwidth, in bytes a second. */
  readonly maxBandwidthBytes: number;
  /** avail-switchover-bandwidth: what the threshold is computed with; 0: what was measured. */
  readonly switchoverBandwidthBytes: number;
  /** downtime-limit. */
  readonly downtimeLimitNs: number;
  readonly autoConverge: boolean;
  /** cpu-throttle-tailslow: the throttle grows by how far the guest is above what is sent, in the end. */
  readonly tailslow: boolean;
  /** vcpu-dirty-limit in bytes a second; 0: off. Needs a KVM dirty ring, excludes auto-converge. */
  readonly dirtyLimitBytes: number;
  /** x-pre-copy-dirty-page-tracking: off asks the devices' trackers only once they have stopped. */
  readonly preCopyDirtyPageTracking: boolean;
  /** Rounds after which it gives up; a guest that never converges has to end. */
  readonly roundsMax: number;
}

/** QEMU's defaults, and an end to rounds. */
export const DEFAULT_PARAMETERS: MigrationParameters = {
  maxBandwidthBytes: 128 * 2 ** 20,
  switchoverBandwidthBytes: 0,
  downtimeLimitNs: 300e6,
  autoConverge: false,
  tailslow: false,
  dirtyLimitBytes: 0,
  preCopyDirtyPageTracking: true,
  roundsMax: 40,
};

/** BUFFER_DELAY: bandwidth is measured, and sending is limited, over windows of this many nanoseconds. */
export const BUFFER_DELAY_NS = 100e6;
/** Throttle of the first step, of each further one, and at most, in percent. */
export const THROTTLE = { initial: 20, increment: 10, max: 99 } as const;
/** Part of the bytes sent above which the bytes dirtied meanwhile count as too many, in percent. */
export const THROTTLE_TRIGGER_PERCENT = 50;
