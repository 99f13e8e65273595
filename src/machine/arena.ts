import { logBytes } from "../dirty/dirty-log.js";
import { IOTLB_TABLE_BYTES } from "../iova/iotlb.js";
import { IOTLB_RING_BYTES } from "../iova/iotlb-ring.js";
import { availRingBytes, descTableBytes, usedRingBytes } from "../layout/virtio-ring.js";
import { PAGE_BYTES } from "../memory/address.js";
import { BELL_BYTES, EVENT_FD_BYTES } from "../memory/bell.js";
import { REGION_BYTES_MAX } from "../memory/real-memory.js";
import type { ShadowRingPlace } from "../relay/address-plan.js";
import { COUNTER_BLOCK_BYTES } from "../telemetry/counters.js";
import { transportBytes } from "../transport/registers.js";
import type { MachineConfig, Placement } from "./config.js";

/**
 * The arena: every byte that threads share, in buffers small enough to be shared one by one.
 *
 *     guest RAM     region 0 [0 … 3/4 of RAM)  hole  region n [RAM … 5/4 of RAM)     driver, relay; device by DMA
 *     shadow rings  per queue: desc + avail (device reads) | used (device writes)    relay; device by DMA
 *     guest registers    the device that the guest sees                              driver, relay
 *     device registers   the device that the relay drives                            relay, device
 *     notifiers     per queue: guest kick, guest call, device kick, device call, err  all
 *     bells         one for each thread                                              all
 *     iotlb         relay → device, device → relay, the device's table               relay, device
 *     dirty log     one bit a guest page, holes included                             relay, migration
 *     counters      one block for each role                                          its role; main reads
 *
 * Each part is a SharedArrayBuffer of its own, since a thread gets a buffer whole or not at all: the device never
 * receives log, counters of others or the guest's registers, and reaches guest RAM and rings only through its IOTLB.
 */
export interface Arena {
  readonly regions: readonly { readonly gpa: number; readonly bytes: number; readonly buffer: SharedArrayBuffer }[];
  readonly shadowRings: SharedArrayBuffer;
  readonly guestRegisters: SharedArrayBuffer;
  readonly deviceRegisters: SharedArrayBuffer;
  readonly notifiers: SharedArrayBuffer;
  readonly bells: SharedArrayBuffer;
  readonly iotlb: SharedArrayBuffer;
  readonly log: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
}

/** Numbers of the bells: one for each thread, so that a relay in the device's thread has the device's. */
export function bellNumbers(placement: Placement): { driver: number; relay: number; device: number } {
  return placement === "fused" ? { driver: 0, relay: 2, device: 2 } : { driver: 0, relay: 1, device: 2 };
}
/** Numbers of the counter blocks. */
export const COUNTER_BLOCKS = { driver: 0, relay: 1, device: 2 } as const;
/** Order of the notifiers of one queue. */
export const NOTIFIERS = { guestKick: 0, guestCall: 1, deviceKick: 2, deviceCall: 3, err: 4 } as const;
const NOTIFIER_COUNT = Object.keys(NOTIFIERS).length;
/** Roles, and so bells and counter blocks, of a machine. */
export const PARTIES = Object.keys(COUNTER_BLOCKS).length;

/** Byte offsets inside the IOTLB buffer. */
export const IOTLB_OFFSETS = { toDevice: 0, toRelay: IOTLB_RING_BYTES, table: 2 * IOTLB_RING_BYTES } as const;

/** Regions of guest RAM: three quarters from 0, a hole of a quarter, the last quarter above it; each at most 2 GiB. */
export function guestRegions(ramBytes: number, hole: boolean): { gpa: number; bytes: number }[] {
  const low = hole ? ramBytes * 0.75 : ramBytes;
  const spans = [
    { gpa: 0, bytes: low },
    { gpa: ramBytes, bytes: ramBytes - low },
  ];
  return spans.flatMap(({ gpa, bytes }) => {
    const pieces = Math.ceil(bytes / REGION_BYTES_MAX);
    return Array.from({ length: pieces }, (_, i) => ({
      gpa: gpa + i * REGION_BYTES_MAX,
      bytes: Math.min(REGION_BYTES_MAX, bytes - i * REGION_BYTES_MAX),
    }));
  });
}

/** Where each queue's shadow ring is in its buffer. */
export function shadowRingPlaces(config: MachineConfig): ShadowRingPlace[] {
  const num = Math.max(config.shadowQueueSize, config.queueSize);
  const driverBytes = wholePages(descTableBytes(num) + availRingBytes(num));
  const deviceBytes = wholePages(usedRingBytes(num));
  // The backing after those of guest RAM.
  const backing = guestRegions(config.ramBytes, config.hole).length;
  return Array.from({ length: config.queues }, (_, queue) => {
    const offset = queue * (driverBytes + deviceBytes);
    return {
      backing,
      driverArea: { offset, bytes: driverBytes },
      deviceArea: { offset: offset + driverBytes, bytes: deviceBytes },
    };
  });
}

/** Byte offset of one notifier of one queue. */
export function notifierOffset(queue: number, which: number): number {
  return (queue * NOTIFIER_COUNT + which) * EVENT_FD_BYTES;
}

/** One part of the arena: what it is called, how large it is, who may touch it. */
export interface ArenaPart {
  readonly name: string;
  readonly bytes: number;
  /** Guest physical address, for guest RAM. */
  readonly gpa?: number;
  readonly driver: string;
  readonly relay: string;
  readonly device: string;
}

/** The map of the arena: every part with its size and its users. */
export function arenaMap(config: MachineConfig): ArenaPart[] {
  const regions = guestRegions(config.ramBytes, config.hole);
  const rings = shadowRingPlaces(config).at(-1)!.deviceArea;
  const end = regions.at(-1)!.gpa + regions.at(-1)!.bytes;
  return [
    ...regions.map(({ gpa, bytes }, i) => ({
      name: `guest RAM ${i}`,
      bytes,
      gpa,
      driver: "rw",
      relay: "rw",
      device: "dma",
    })),
    { name: "shadow rings", bytes: rings.offset + rings.bytes, driver: "-", relay: "rw", device: "dma" },
    { name: "guest registers", bytes: transportBytes(config.queues), driver: "rw", relay: "rw", device: "-" },
    { name: "device registers", bytes: transportBytes(config.queues), driver: "-", relay: "rw", device: "rw" },
    { name: "notifiers", bytes: notifierOffset(config.queues, 0), driver: "rw", relay: "rw", device: "rw" },
    { name: "bells", bytes: PARTIES * BELL_BYTES, driver: "rw", relay: "rw", device: "rw" },
    { name: "iotlb", bytes: IOTLB_OFFSETS.table + IOTLB_TABLE_BYTES, driver: "-", relay: "rw", device: "rw" },
    { name: "dirty log", bytes: logBytes(end), driver: "-", relay: "rw", device: "-" },
    { name: "counters", bytes: PARTIES * COUNTER_BLOCK_BYTES, driver: "w", relay: "w", device: "w" },
  ];
}

/** Allocates the arena of a config, all zero. */
export function allocateArena(config: MachineConfig): Arena {
  const parts = arenaMap(config);
  const buffer = (name: string) => new SharedArrayBuffer(parts.find((part) => part.name === name)!.bytes);
  const regions = guestRegions(config.ramBytes, config.hole).map((region) => ({
    ...region,
    buffer: new SharedArrayBuffer(region.bytes),
  }));
  return {
    regions,
    shadowRings: buffer("shadow rings"),
    guestRegisters: buffer("guest registers"),
    deviceRegisters: buffer("device registers"),
    notifiers: buffer("notifiers"),
    bells: buffer("bells"),
    iotlb: buffer("iotlb"),
    log: buffer("dirty log"),
    counters: buffer("counters"),
  };
}

function wholePages(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}
