import { DEFAULT_PARAMETERS } from "../../migration/parameters.js";
import type { RunOptions } from "./run.js";

const MIB = 2 ** 20;

/** What the guest does while it is migrated: how fast its vCPUs store, and how fast its devices write by DMA. */
export interface WorkloadRates {
  readonly does: string;
  readonly vcpuBytesPerSecond: number;
  readonly dmaBytesPerSecond: number;
}

/** The workloads that can be asked for by name. */
export const WORKLOADS: Readonly<Record<string, WorkloadRates>> = {
  mixed: {
    does: "vCPUs and devices both write, and it converges",
    vcpuBytesPerSecond: 8 * MIB,
    dmaBytesPerSecond: 4 * MIB,
  },
  cpu: { does: "nearly all is written by vCPUs", vcpuBytesPerSecond: 24 * MIB, dmaBytesPerSecond: MIB },
  dma: { does: "nearly all is written by devices", vcpuBytesPerSecond: MIB, dmaBytesPerSecond: 24 * MIB },
  hot: {
    does: "more is written than can be sent: nothing converges by itself",
    vcpuBytesPerSecond: 512 * MIB,
    dmaBytesPerSecond: 128 * MIB,
  },
  idle: { does: "hardly anything is written", vcpuBytesPerSecond: 0.25 * MIB, dmaBytesPerSecond: 0.25 * MIB },
};

/** RAM above this is sparse: only a stamp of each page is kept, and the guest has no rings. */
export const DENSE_RAM_BYTES_MAX = 4 * 2 ** 30;

/** The comparison that ends within a minute: small, with too much for the downtime at first. */
export const QUICK: RunOptions = {
  seed: 1,
  ramBytes: 64 * MIB,
  vcpuBytesPerSecond: WORKLOADS["mixed"]!.vcpuBytesPerSecond,
  dmaBytesPerSecond: WORKLOADS["mixed"]!.dmaBytesPerSecond,
  parameters: { ...DEFAULT_PARAMETERS, maxBandwidthBytes: 64 * MIB, downtimeLimitNs: 100e6, roundsMax: 6 },
};

/** The same with the memory and the bandwidth that QEMU starts from. */
export const WHOLE: RunOptions = {
  ...QUICK,
  ramBytes: 256 * MIB,
  parameters: { ...DEFAULT_PARAMETERS, downtimeLimitNs: 100e6, roundsMax: 12 },
};
