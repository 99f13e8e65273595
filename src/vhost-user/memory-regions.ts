import { VHOST_PAGE_SIZE } from "../layout/vhost.js";
import {
  VHOST_MEMORY_BASELINE_NREGIONS,
  VHOST_USER_MEM_REG_MSG,
  VHOST_USER_MEMORY,
  VHOST_USER_MEMORY_REGION,
} from "../layout/vhost-user.js";
import { type Gpa, gpa } from "../memory/address.js";
import { assert } from "../memory/assert.js";
import { demand } from "./message-fault.js";
import { demandSize, hex, readU64, viewOf, writeU64 } from "./wire.js";

/** A region of guest memory: where guest and front end have it, and where it begins in its file; all page-aligned. */
export interface MemRegion {
  readonly guestPhysAddr: Gpa;
  readonly memorySize: number;
  readonly userspaceAddr: number;
  readonly mmapOffset: number;
}

const FIELD = VHOST_USER_MEMORY_REGION.offsets;

/** The regions of SET_MEM_TABLE, one to eight, that fit each other. */
export function decodeMemTable(payload: Uint8Array): MemRegion[] {
  demand(payload.length >= VHOST_USER_MEMORY.size, "size-mismatch", `a memory table of ${payload.length} bytes`);
  const view = viewOf(payload);
  const count = view.getUint32(VHOST_USER_MEMORY.offsets.nregions, true);
  demand(count >= 1 && count <= VHOST_MEMORY_BASELINE_NREGIONS, "region-count", `a memory table of ${count} regions`);
  demandSize(payload, VHOST_USER_MEMORY.size + count * VHOST_USER_MEMORY_REGION.size, `a table of ${count} regions`);
  const regions: MemRegion[] = [];
  for (let i = 0; i < count; i++) {
    const region = readRegion(view, VHOST_USER_MEMORY.offsets.regions + i * VHOST_USER_MEMORY_REGION.size);
    demandRoom(regions, region);
    regions.push(region);
  }
  return regions;
}

/** The payload of SET_MEM_TABLE for one to eight regions. */
export function encodeMemTable(regions: readonly MemRegion[]): Uint8Array {
  assert(regions.length >= 1 && regions.length <= VHOST_MEMORY_BASELINE_NREGIONS, "a table has one to eight regions");
  const payload = new Uint8Array(VHOST_USER_MEMORY.size + regions.length * VHOST_USER_MEMORY_REGION.size);
  const view = viewOf(payload);
  view.setUint32(VHOST_USER_MEMORY.offsets.nregions, regions.length, true);
  for (const [i, region] of regions.entries()) {
    writeRegion(view, VHOST_USER_MEMORY.offsets.regions + i * VHOST_USER_MEMORY_REGION.size, region);
  }
  return payload;
}

/** The region of ADD_MEM_REG or REM_MEM_REG. */
export function decodeMemRegion(payload: Uint8Array): MemRegion {
  demandSize(payload, VHOST_USER_MEM_REG_MSG.size, "a single region");
  return readRegion(viewOf(payload), VHOST_USER_MEM_REG_MSG.offsets.region);
}

/** The payload of ADD_MEM_REG or REM_MEM_REG. */
export function encodeMemRegion(region: MemRegion): Uint8Array {
  const payload = new Uint8Array(VHOST_USER_MEM_REG_MSG.size);
  writeRegion(viewOf(payload), VHOST_USER_MEM_REG_MSG.offsets.region, region);
  return payload;
}

/**
 * Throws "region-overlap" or "region-contradiction" unless a region fits those that are there.
 *
 * Guest addresses must not overlap. The front end's may, since one piece of memory can show at two guest addresses, if
 * both regions put a shared address at the same place of a file.
 */
export function demandRoom(regions: readonly MemRegion[], region: MemRegion): void {
  for (const other of regions) {
    demand(
      !overlap(other.guestPhysAddr, other.memorySize, region.guestPhysAddr, region.memorySize),
      "region-overlap",
      `guest memory at ${hex(region.guestPhysAddr)} lies in two regions`,
    );
    demand(
      !overlap(other.userspaceAddr, other.memorySize, region.userspaceAddr, region.memorySize) ||
        other.userspaceAddr - other.mmapOffset === region.userspaceAddr - region.mmapOffset,
      "region-contradiction",
      `user address ${hex(region.userspaceAddr)} lies at two places of a file`,
    );
  }
}

/** The region that REM_MEM_REG names: by guest address, user address and size; undefined if it is not there. */
export function findRegion(regions: readonly MemRegion[], named: MemRegion): MemRegion | undefined {
  return regions.find(
    (region) =>
      region.guestPhysAddr === named.guestPhysAddr &&
      region.userspaceAddr === named.userspaceAddr &&
      region.memorySize === named.memorySize,
  );
}

function readRegion(view: DataView, at: number): MemRegion {
  const guestPhysAddr = readU64(view, at + FIELD.guest_phys_addr, "a guest address");
  const memorySize = readU64(view, at + FIELD.memory_size, "the size of a region");
  const userspaceAddr = readU64(view, at + FIELD.userspace_addr, "a user address");
  const mmapOffset = readU64(view, at + FIELD.mmap_offset, "the offset of a region");
  demand(memorySize > 0, "region-empty", `a region of no bytes at ${hex(guestPhysAddr)}`);
  for (const start of [guestPhysAddr, userspaceAddr, mmapOffset]) {
    demand(Number.isSafeInteger(start + memorySize), "region-wraps", `${hex(start)} and ${hex(memorySize)} bytes`);
  }
  for (const value of [guestPhysAddr, memorySize, userspaceAddr, mmapOffset]) {
    demand(value % VHOST_PAGE_SIZE === 0, "region-misaligned", `${hex(value)} is no multiple of a page`);
  }
  return { guestPhysAddr: gpa(guestPhysAddr), memorySize, userspaceAddr, mmapOffset };
}

function writeRegion(view: DataView, at: number, region: MemRegion): void {
  writeU64(view, at + FIELD.guest_phys_addr, region.guestPhysAddr);
  writeU64(view, at + FIELD.memory_size, region.memorySize);
  writeU64(view, at + FIELD.userspace_addr, region.userspaceAddr);
  writeU64(view, at + FIELD.mmap_offset, region.mmapOffset);
}

function overlap(start: number, size: number, otherStart: number, otherSize: number): boolean {
  return start < otherStart + otherSize && otherStart < start + size;
}
