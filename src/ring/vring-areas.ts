import {
  availRingBytes,
  descTableBytes,
  isQueueSize,
  usedRingBytes,
  VRING_AVAIL_ALIGN_SIZE,
  VRING_DESC_ALIGN_SIZE,
  VRING_USED_ALIGN_SIZE,
} from "../layout/virtio-ring.js";
import type { SharedMemory } from "../memory/shared-memory.js";
import { PeerFault } from "./peer-fault.js";

/**
 * The three areas of a split virtqueue as one side reaches them (VIRTIO 1.3, 2.7).
 *
 * Each area is contiguous in one region, but they need not share it: with used-only relaying the device has its
 * descriptors in guest RAM and its used ring in host memory.
 */
export interface VringAreas {
  /** Queue size: a power of two from 1 to 32768. */
  readonly num: number;
  readonly descMemory: SharedMemory;
  /** Byte offset of the descriptor table. */
  readonly desc: number;
  readonly availMemory: SharedMemory;
  /** Byte offset of the available ring (driver area). */
  readonly avail: number;
  readonly usedMemory: SharedMemory;
  /** Byte offset of the used ring (device area). */
  readonly used: number;
}

/** Bytes a ring needs when its three areas stand one behind the other, each aligned. */
export function vringBytes(num: number): number {
  const avail = descTableBytes(num);
  const used = align(avail + availRingBytes(num), VRING_USED_ALIGN_SIZE);
  return used + usedRingBytes(num);
}

/** Offsets of the three areas when they stand one behind the other from `start`. */
export function vringOffsets(num: number, start: number): { desc: number; avail: number; used: number } {
  const avail = start + descTableBytes(num);
  const used = align(avail + availRingBytes(num), VRING_USED_ALIGN_SIZE);
  return { desc: start, avail, used };
}

/**
 * Proves that a ring lies where its side may write and read without further checks; returns it.
 *
 * Throws PeerFault: queue-size, ring-misaligned (2.7: 16, 2 and 4 bytes), ring-outside-memory (event words included),
 * ring-overlap.
 */
export function checkedAreas(areas: VringAreas): VringAreas {
  const { num } = areas;
  if (!isQueueSize(num)) throw new PeerFault("queue-size", `${num} is not a power of two from 1 to 32768`);
  const parts = [
    {
      name: "descriptor table",
      memory: areas.descMemory,
      start: areas.desc,
      bytes: descTableBytes(num),
      align: VRING_DESC_ALIGN_SIZE,
    },
    {
      name: "available ring",
      memory: areas.availMemory,
      start: areas.avail,
      bytes: availRingBytes(num),
      align: VRING_AVAIL_ALIGN_SIZE,
    },
    {
      name: "used ring",
      memory: areas.usedMemory,
      start: areas.used,
      bytes: usedRingBytes(num),
      align: VRING_USED_ALIGN_SIZE,
    },
  ];
  for (const part of parts) {
    if (part.start % part.align !== 0) {
      throw new PeerFault("ring-misaligned", `${part.name} at ${part.start} is not a multiple of ${part.align}`);
    }
    if (part.start < 0 || part.start + part.bytes > part.memory.byteLength) {
      throw new PeerFault("ring-outside-memory", `${part.name}: ${part.bytes} bytes at ${part.start}`);
    }
    for (const other of parts) {
      const apart = part === other || part.memory !== other.memory;
      if (apart || part.start + part.bytes <= other.start || other.start + other.bytes <= part.start) continue;
      throw new PeerFault("ring-overlap", `${part.name} and ${other.name} share bytes`);
    }
  }
  return areas;
}

/** Clears the two rings' headers and entries, as a driver does before it hands a queue over (2.7.6, 2.7.8). */
export function clearRings(areas: VringAreas): void {
  areas.availMemory.copyIn(areas.avail, new Uint8Array(availRingBytes(areas.num)));
  areas.usedMemory.copyIn(areas.used, new Uint8Array(usedRingBytes(areas.num)));
}

function align(offset: number, to: number): number {
  return Math.ceil(offset / to) * to;
}
