import { highHalf, joinHalves, lowHalf, PAGE_BYTES } from "../memory/address.js";
import { assert } from "../memory/assert.js";
import { RealMemory } from "../memory/real-memory.js";
import type { SharedMemory } from "../memory/shared-memory.js";
import { type VringAreas, vringBytes, vringOffsets } from "../ring/vring-areas.js";

/** Address space of the report queue: the host's, not the guest's (VHOST_BACKEND_F_IOTLB_ASID). */
export const REPORT_ASID = 1;
/** Where its memory begins in that address space: no guest has RAM there. */
export const REPORT_IOVA = 2 ** 47;
/** Bytes of one report buffer. */
export const REPORT_BUFFER_BYTES = 4096;
/** Bytes of one entry in a report buffer. */
export const REPORT_ENTRY_BYTES = 8;
/** Entries that a buffer has room for. */
export const REPORT_ENTRIES = REPORT_BUFFER_BYTES / REPORT_ENTRY_BYTES;

/** Words before the ring: the consumer's generation, a word for fences, whether entries did not fit. */
const GENERATION = 0;
const FENCE = 4;
const OVERFLOW = 8;
const RING = 16;
/** The number of pages of an entry is two to this many at most. */
const SHIFT_MAX = 40;

/** A run of pages. */
export interface ReportedRun {
  readonly firstPage: number;
  readonly pageCount: number;
}

/**
 * What host and device share of a report queue: control words, a split virtqueue, and buffers (specification 6.6).
 *
 *     ASID 1, from REPORT_IOVA on:  │ generation, fence, overflow │ descriptors, rings │ N buffers of 4 KiB │
 *
 * An entry is eight bytes: the number of a page in the upper 52 bits, in the lower 12 the log2 of how many there are.
 */
export class ReportMemory {
  readonly memory: SharedMemory;
  readonly bufferCount: number;
  readonly areas: VringAreas;
  readonly #firstBuffer: number;

  /** Lies in all of `memory`, of `reportBytes(bufferCount)` bytes, zero at first; `bufferCount` is a queue size. */
  constructor(memory: SharedMemory, bufferCount: number) {
    assert(memory.byteLength >= reportBytes(bufferCount), "a report queue lies inside its memory");
    this.memory = memory;
    this.bufferCount = bufferCount;
    this.#firstBuffer = firstBuffer(bufferCount);
    const { desc, avail, used } = vringOffsets(bufferCount, RING);
    this.areas = { num: bufferCount, desc, avail, used, descMemory: memory, availMemory: memory, usedMemory: memory };
  }

  /** New memory for so many buffers. */
  static allocate(bufferCount: number): ReportMemory {
    return new ReportMemory(RealMemory.allocate(reportBytes(bufferCount)), bufferCount);
  }

  /** Where a buffer lies in ASID 1. */
  bufferIova(index: number): number {
    return REPORT_IOVA + this.#firstBuffer + index * REPORT_BUFFER_BYTES;
  }

  /** Finds bytes of an address space in this memory; undefined where they are not of ASID 1, or not inside. */
  resolve(asid: number, iova: number, bytes: number): number | undefined {
    const offset = iova - REPORT_IOVA;
    const inside = asid === REPORT_ASID && offset >= 0 && offset + bytes <= reportBytes(this.bufferCount);
    return inside ? offset : undefined;
  }

  /** The generation of the consumer, as the device sees it now. */
  observeGeneration(): number {
    return this.memory.observe16(GENERATION);
  }

  /** Begins another generation. */
  publishGeneration(generation: number): void {
    this.memory.publish16(GENERATION, generation);
  }

  /** Orders all that the device wrote before what it observes next: a read-modify-write, since it wrote plainly. */
  fenceByWrite(): void {
    this.memory.setBits32(FENCE, 0);
  }

  /** Says that pages were written which no entry names. */
  setOverflow(): void {
    this.memory.setBits32(OVERFLOW, 1);
  }

  /** Whether that was said since the last time; a full fence. */
  takeOverflow(): boolean {
    return this.memory.takeBits32(OVERFLOW) !== 0;
  }
}

/** Bytes that a report queue of so many buffers shares. */
export function reportBytes(bufferCount: number): number {
  return firstBuffer(bufferCount) + bufferCount * REPORT_BUFFER_BYTES;
}

/** Writes an entry for 2^shift pages. */
export function writeRun(memory: SharedMemory, at: number, firstPage: number, shift: number): void {
  const value = firstPage * PAGE_BYTES;
  memory.write32(at, lowHalf(value) | shift);
  memory.write32(at + 4, highHalf(value));
}

/** Reads an entry; undefined for one that names no page below `endPage`. */
export function readRun(memory: SharedMemory, at: number, endPage: number): ReportedRun | undefined {
  const value = joinHalves(memory.read32(at), memory.read32(at + 4));
  const shift = value % PAGE_BYTES;
  const firstPage = Math.floor(value / PAGE_BYTES);
  if (!(shift <= SHIFT_MAX && firstPage + 2 ** shift <= endPage)) return undefined;
  return { firstPage, pageCount: 2 ** shift };
}

function firstBuffer(bufferCount: number): number {
  return Math.ceil((RING + vringBytes(bufferCount)) / PAGE_BYTES) * PAGE_BYTES;
}
