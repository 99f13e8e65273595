import type { MappedChain } from "./mapped-chain.js";

/** What a device does with one request: blk, net and null each have one file with this in it. */
export interface DeviceModel {
  /** For reports: "blk", "net", "null". */
  readonly name: string;
  /** Feature bits of this type of device (below 24), as a mask. */
  readonly features: bigint;
  /** Serves one request; returns the number of bytes it wrote (VIRTIO 1.3, 2.7.8.2). */
  serve(request: MappedChain): number;
  /** Lets go of what it holds: files. */
  close(): void;
}
