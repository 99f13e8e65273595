import type { WriterClass } from "../dirty/tracker-set.js";
import type { GuestRam } from "../memory/guest-ram.js";
import type { WritePort } from "../vfio/dma.js";

/** How much of a guest's time its vCPUs get: throttled they sleep the rest. */
export interface Throttle {
  /** From 0, not at all, to 0.99. */
  readonly share: number;
}

/**
 * A guest that is migrated: it writes, it can be stopped and resumed, it goes on elsewhere, and it checks its data.
 *
 * Time is given to it by run(): nothing happens in between. All of its writes go through its ports.
 */
export interface Guest {
  readonly name: string;
  /** Where it runs now. */
  readonly ram: GuestRam;
  /** Everybody who writes while it runs. */
  readonly writers: readonly WriterClass[];
  /** The vCPUs' stores. */
  readonly vcpu: WritePort;
  /** The relay's own stores; undefined for a guest without one. */
  readonly vmm?: WritePort;
  /** One for each device, by DMA. */
  readonly devices: readonly WritePort[];
  /** Guest physical ranges that a device may write: what it pins, or maps. */
  targets(device: WritePort): readonly { readonly address: number; readonly bytes: number }[];
  /** Runs for `ns` nanoseconds of virtual time. */
  run(ns: number, throttle: Throttle): void;
  /** Stops vCPUs, then brings devices and relay to rest; nobody writes afterwards. */
  stop(): void;
  /** Runs on where it stopped: after a migration that was cancelled or failed. */
  resume(): void;
  /** Goes on in other RAM, which holds what this one's held when it stopped. */
  moveTo(ram: GuestRam): void;
  /** Reads back what was written so far, and lets the workload do some more; false when anything differs. */
  verify(): boolean;
}
