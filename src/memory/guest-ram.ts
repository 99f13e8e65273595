import { PAGE_BYTES } from "./address.js";
import { assert } from "./assert.js";

/** A block of guest RAM: a run of guest physical addresses. */
export interface RamBlock {
  /** First guest physical address; a multiple of 64 pages, so that its bits in a bitmap start a word. */
  readonly gpa: number;
  /** Length; a multiple of 64 pages. */
  readonly bytes: number;
}

/**
 * Guest RAM as a migration sees it: blocks with holes between them, and pages that can be copied and compared.
 *
 * "dense" RAM has its bytes, up to 4 GiB. "sparse" RAM has a stamp of 32 bits instead of each page, which a write
 * changes: enough to tell whether a page was copied after its last write, and 256 GiB fit into 256 MiB.
 */
export interface GuestRam {
  readonly kind: "dense" | "sparse";
  /** In ascending order. */
  readonly blocks: readonly RamBlock[];
  /** One past the last page, holes included: bits of a bitmap that covers all of it. */
  readonly endPage: number;
  /** Pages without the holes. */
  readonly pageCount: number;
  /** Stores `payload` at `gpa`, within one block; false, with nothing written, when it does not lie in one. */
  write(gpa: number, payload: Uint8Array): boolean;
  /** Bytes that a page is sent as: all of it, or its stamp. */
  readonly payloadBytes: number;
  /** Reads the `payloadBytes` of a page of RAM into `target`, from `at` on. */
  readPage(page: number, target: Uint8Array, at: number): void;
  /** Stores the `payloadBytes` of a page, as they were read elsewhere; false where there is no such page. */
  writePage(page: number, payload: Uint8Array): boolean;
  /** Whether a page differs from that of RAM of the same kind and blocks. */
  pageDiffers(page: number, other: GuestRam): boolean;
  /** Shows all blocks in order, as bytes (of all stamps, where it is sparse): for a digest. */
  eachBlock(visit: (bytes: Uint8Array) => void): void;
}

/** Sizes that RAM of each kind may have, in bytes. */
export const RAM_BYTES_MAX = { dense: 4 * 2 ** 30, sparse: 256 * 2 ** 30 } as const;

/** A block with its bytes; offset 0 is `gpa`. */
export interface DenseBlock extends RamBlock {
  readonly buffer: SharedArrayBuffer;
}

/** RAM with its bytes in shared buffers. */
export class DenseRam implements GuestRam {
  readonly kind = "dense";
  readonly payloadBytes = PAGE_BYTES;
  readonly blocks: readonly DenseBlock[];
  readonly endPage: number;
  readonly pageCount: number;
  readonly #bytes: readonly Uint8Array[];

  /** Covers the buffers given, which may be of a machine that runs. */
  constructor(blocks: readonly DenseBlock[]) {
    checkBlocks(blocks);
    this.blocks = blocks;
    this.endPage = endPage(blocks);
    this.pageCount = pageCount(blocks);
    this.#bytes = blocks.map(({ buffer }) => new Uint8Array(buffer));
  }

  /** New RAM of these blocks, all zero. */
  static allocate(blocks: readonly RamBlock[]): DenseRam {
    return new DenseRam(blocks.map(({ gpa, bytes }) => ({ gpa, bytes, buffer: new SharedArrayBuffer(bytes) })));
  }

  write(gpa: number, payload: Uint8Array): boolean {
    const index = this.#find(gpa, payload.length);
    if (index < 0) return false;
    this.#bytes[index]!.set(payload, gpa - this.blocks[index]!.gpa);
    return true;
  }

  /** Copies bytes out, within one block; false when they do not lie in one. */
  read(gpa: number, target: Uint8Array): boolean {
    const index = this.#find(gpa, target.length);
    if (index < 0) return false;
    const from = gpa - this.blocks[index]!.gpa;
    target.set(this.#bytes[index]!.subarray(from, from + target.length));
    return true;
  }

  readPage(page: number, target: Uint8Array, at: number): void {
    target.set(this.#page(page), at);
  }

  writePage(page: number, payload: Uint8Array): boolean {
    assert(payload.length === PAGE_BYTES, "a whole page");
    return this.write(page * PAGE_BYTES, payload);
  }

  pageDiffers(page: number, other: GuestRam): boolean {
    assert(other instanceof DenseRam, "both are dense");
    return Buffer.compare(this.#page(page), other.#page(page)) !== 0;
  }

  eachBlock(visit: (bytes: Uint8Array) => void): void {
    for (const bytes of this.#bytes) visit(bytes);
  }

  #page(page: number): Uint8Array {
    const index = this.#find(page * PAGE_BYTES, PAGE_BYTES);
    assert(index >= 0, "the page lies in a block");
    const from = page * PAGE_BYTES - this.blocks[index]!.gpa;
    return this.#bytes[index]!.subarray(from, from + PAGE_BYTES);
  }

  #find(gpa: number, bytes: number): number {
    return blockOf(this.blocks, gpa, bytes);
  }
}

/** RAM of which only a stamp of each page is kept. */
export class SparseRam implements GuestRam {
  readonly kind = "sparse";
  readonly payloadBytes = 4;
  readonly blocks: readonly RamBlock[];
  readonly endPage: number;
  readonly pageCount: number;
  readonly #stamps: readonly Uint32Array[];

  constructor(blocks: readonly RamBlock[]) {
    checkBlocks(blocks);
    this.blocks = blocks;
    this.endPage = endPage(blocks);
    this.pageCount = pageCount(blocks);
    this.#stamps = blocks.map(({ bytes }) => new Uint32Array(bytes / PAGE_BYTES));
  }

  write(gpa: number, payload: Uint8Array): boolean {
    return this.touch(gpa, payload.length);
  }

  /** Counts a write of `bytes` bytes on each page it covers; false when they do not lie in one block. */
  touch(gpa: number, bytes: number): boolean {
    const index = this.#block(gpa, bytes);
    if (index < 0) return false;
    const stamps = this.#stamps[index]!;
    const from = gpa - this.blocks[index]!.gpa;
    const last = Math.floor((from + bytes - 1) / PAGE_BYTES);
    for (let page = Math.floor(from / PAGE_BYTES); page <= last; page++) stamps[page]! += 1;
    return true;
  }

  /** How often a page was written. */
  stamp(page: number): number {
    const [index, at] = this.#at(page);
    return this.#stamps[index]![at]!;
  }

  readPage(page: number, target: Uint8Array, at: number): void {
    const stamp = this.stamp(page);
    for (let byte = 0; byte < 4; byte++) target[at + byte] = stamp >>> (8 * byte);
  }

  writePage(page: number, payload: Uint8Array): boolean {
    const index = this.#block(page * PAGE_BYTES, PAGE_BYTES);
    if (index < 0) return false;
    const [low = 0, second = 0, third = 0, high = 0] = payload;
    const at = page - this.blocks[index]!.gpa / PAGE_BYTES;
    this.#stamps[index]![at] = low | (second << 8) | (third << 16) | (high << 24);
    return true;
  }

  pageDiffers(page: number, other: GuestRam): boolean {
    assert(other instanceof SparseRam, "both are sparse");
    const [index, at] = this.#at(page);
    return this.#stamps[index]![at] !== other.#stamps[index]![at];
  }

  eachBlock(visit: (bytes: Uint8Array) => void): void {
    for (const { buffer } of this.#stamps) visit(new Uint8Array(buffer));
  }

  #at(page: number): readonly [number, number] {
    const gpa = page * PAGE_BYTES;
    const index = this.#block(gpa, PAGE_BYTES);
    assert(index >= 0, "the page lies in a block");
    return [index, (gpa - this.blocks[index]!.gpa) / PAGE_BYTES];
  }

  #block(gpa: number, bytes: number): number {
    return blockOf(this.blocks, gpa, bytes);
  }
}

/** Two blocks as the lab has them: three quarters from 0, a hole of a quarter, the last quarter above it. */
export function ramBlocks(ramBytes: number): RamBlock[] {
  const low = ramBytes * 0.75;
  return [
    { gpa: 0, bytes: low },
    { gpa: ramBytes, bytes: ramBytes - low },
  ];
}

/** RAM of the same kind and blocks as another, all zero: the destination's. */
export function ramLike(ram: GuestRam): GuestRam {
  return ram.kind === "dense" ? DenseRam.allocate(ram.blocks) : new SparseRam(ram.blocks);
}

const BLOCK_GRAIN_BYTES = 64 * PAGE_BYTES;

function checkBlocks(blocks: readonly RamBlock[]): void {
  assert(blocks.length > 0, "there is RAM");
  for (const [i, { gpa, bytes }] of blocks.entries()) {
    assert(gpa % BLOCK_GRAIN_BYTES === 0 && bytes % BLOCK_GRAIN_BYTES === 0, "blocks are multiples of 64 pages");
    const before = blocks[i - 1];
    assert(before === undefined || before.gpa + before.bytes <= gpa, "blocks ascend and do not overlap");
  }
}

/** Index of the block in which all of a range lies; -1 where it does not lie in one. */
function blockOf(blocks: readonly RamBlock[], gpa: number, bytes: number): number {
  for (let index = 0; index < blocks.length; index++) {
    const block = blocks[index]!;
    if (gpa >= block.gpa && gpa + bytes <= block.gpa + block.bytes) return index;
  }
  return -1;
}

function endPage(blocks: readonly RamBlock[]): number {
  const last = blocks.at(-1)!;
  return (last.gpa + last.bytes) / PAGE_BYTES;
}

function pageCount(blocks: readonly RamBlock[]): number {
  return blocks.reduce((sum, { bytes }) => sum + bytes, 0) / PAGE_BYTES;
}
