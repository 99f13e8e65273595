import { type Bell, Doorbell } from "../memory/bell.js";
import { LocalMemory } from "../memory/local-memory.js";
import { RealMemory } from "../memory/real-memory.js";
import type { SharedMemory } from "../memory/shared-memory.js";
import { counterBlock } from "../telemetry/counters.js";
import { type Arena, COUNTER_BLOCKS, IOTLB_OFFSETS, PARTIES } from "./arena.js";
import type { Placement } from "./config.js";

/** Bells by number, as one party rings them. */
export type Bells = readonly Bell[];

/** What the driver reaches. */
export interface DriverViews {
  readonly regions: readonly { readonly gpa: number; readonly bytes: number; readonly memory: SharedMemory }[];
  readonly guestRegisters: SharedMemory;
  readonly notifiers: SharedMemory;
  readonly bells: Bells;
  readonly counters: Float64Array;
}

/** What the relay reaches. */
export interface RelayViews extends DriverViews {
  readonly shadowRings: SharedMemory;
  readonly deviceRegisters: SharedMemory;
  readonly iotlb: SharedMemory;
  readonly log: SharedMemory;
}

/** What the device reaches: backings by number, but only where its IOTLB lets it. */
export interface DeviceViews {
  readonly backings: readonly SharedMemory[];
  readonly deviceRegisters: SharedMemory;
  readonly notifiers: SharedMemory;
  readonly bells: Bells;
  readonly iotlb: SharedMemory;
  readonly iotlbTable: { readonly buffer: SharedArrayBuffer | ArrayBuffer; readonly offset: number };
  readonly counters: Float64Array;
}

/** The buffers a driver's thread is given. */
export type DriverShare = Pick<Arena, "regions" | "guestRegisters" | "notifiers" | "bells" | "counters">;
/** The buffers a relay's thread is given. */
export type RelayShare = Arena;
/** The buffers a device's thread is given: neither the log nor the guest's registers are among them. */
export type DeviceShare = Pick<
  Arena,
  "shadowRings" | "deviceRegisters" | "notifiers" | "bells" | "iotlb" | "counters"
> & {
  readonly regions: readonly { readonly buffer: SharedArrayBuffer }[];
};

/** Picks what a driver's thread may have. */
export function driverShare({ regions, guestRegisters, notifiers, bells, counters }: Arena): DriverShare {
  return { regions, guestRegisters, notifiers, bells, counters };
}

/** Picks what a device's thread may have. */
export function deviceShare({
  regions,
  shadowRings,
  deviceRegisters,
  notifiers,
  bells,
  iotlb,
  counters,
}: Arena): DeviceShare {
  return {
    regions: regions.map(({ buffer }) => ({ buffer })),
    shadowRings,
    deviceRegisters,
    notifiers,
    bells,
    iotlb,
    counters,
  };
}

/** Real memory for a driver. */
export function driverViews(share: DriverShare): DriverViews {
  return {
    regions: share.regions.map(({ gpa, bytes, buffer }) => ({ gpa, bytes, memory: new RealMemory(buffer) })),
    guestRegisters: new RealMemory(share.guestRegisters),
    notifiers: new RealMemory(share.notifiers),
    bells: doorbells(share.bells),
    counters: counterBlock(share.counters, COUNTER_BLOCKS.driver),
  };
}

/** Real memory for a relay. */
export function relayViews(share: RelayShare, placement: Placement = "threads"): RelayViews {
  return {
    ...driverViews(share),
    shadowRings: shadowRings(share, placement),
    deviceRegisters: new RealMemory(share.deviceRegisters),
    iotlb: new RealMemory(share.iotlb),
    log: new RealMemory(share.log),
    counters: counterBlock(share.counters, COUNTER_BLOCKS.relay),
  };
}

/** Real memory for a device. */
export function deviceViews(share: DeviceShare, placement: Placement = "threads"): DeviceViews {
  return {
    backings: [...share.regions.map(({ buffer }) => new RealMemory(buffer)), shadowRings(share, placement)],
    deviceRegisters: new RealMemory(share.deviceRegisters),
    notifiers: new RealMemory(share.notifiers),
    bells: doorbells(share.bells),
    iotlb: new RealMemory(share.iotlb),
    iotlbTable: { buffer: share.iotlb, offset: IOTLB_OFFSETS.table },
    counters: counterBlock(share.counters, COUNTER_BLOCKS.device),
  };
}

/** Relay and device are the only ones that touch a shadow ring, so on one thread it needs no atomics. */
function shadowRings(share: Pick<Arena, "shadowRings">, placement: Placement): RealMemory {
  return placement === "fused" ? new LocalMemory(share.shadowRings) : new RealMemory(share.shadowRings);
}

/** All doorbells of a machine, by number. */
export function doorbells(buffer: SharedArrayBuffer): Doorbell[] {
  return Array.from({ length: PARTIES }, (_, number) => new Doorbell(buffer, number));
}
