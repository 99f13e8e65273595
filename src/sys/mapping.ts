import { fstatSync } from "node:fs";
import { MAP_SHARED, PROT_READ, PROT_WRITE } from "../layout/linux.js";
import { assert } from "../memory/assert.js";
import type { OwnedFd } from "./fd.js";
import { check, libc, viewAt } from "./native.js";

/** Bytes of a window: a mapping is seen in pieces of this size, since a RealMemory covers at most 2 GiB. */
export const WINDOW_BYTES = 0x4000_0000;
/** The most bytes of one mapping: 1 TiB, 1024 windows. */
export const MAPPING_BYTES_MAX = 0x100_0000_0000;

const PAGE_BYTES = 4096;

/** Why memory that a peer offers is not mapped: a closed list. */
export type MappingReason = "not-a-file" | "size" | "offset" | "too-short";

/** Memory that a peer offers and that cannot be mapped as it says; `reason` says why, by name. */
export class MappingFault extends Error {
  override readonly name = "MappingFault";
  readonly reason: MappingReason;

  constructor(reason: MappingReason, detail: string) {
    super(`${reason}: ${detail}`);
    this.reason = reason;
  }
}

/** A piece of a mapping as JavaScript sees it. */
export interface MappedWindow {
  /** First byte, from the start of the mapping; a multiple of WINDOW_BYTES. */
  readonly offset: number;
  readonly bytes: number;
  /** Its bytes: real shared memory, though it is an ArrayBuffer; Atomics are atomic, wait and notify do not work. */
  readonly buffer: ArrayBuffer;
}

/** What may be done with a mapping; writing to one of "read" ends the process with SIGSEGV. */
export type Protection = "read" | "read-write";

/** Part of a file, mapped shared. */
export class Mapping {
  /** Where it lies in this process: what other threads get, see windowsAt(). */
  readonly address: bigint;
  readonly bytes: number;
  #windows: readonly MappedWindow[] | undefined;

  constructor(address: bigint, bytes: number) {
    this.address = address;
    this.bytes = bytes;
    this.#windows = windowsAt(address, bytes);
  }

  /** Its bytes, in windows of 1 GiB; the last may be shorter. */
  get windows(): readonly MappedWindow[] {
    assert(this.#windows !== undefined, "a mapping is not used after unmap()");
    return this.#windows;
  }

  /** Whether it has not been unmapped. */
  get isMapped(): boolean {
    return this.#windows !== undefined;
  }

  /**
   * Gives the memory back; nothing happens the second time.
   *
   * Whoever touches a view of it afterwards, in any thread, ends the process with SIGSEGV: all have dropped theirs
   * before. Where the engine can, the windows of this thread are detached first, so that a view here reads nothing.
   */
  unmap(): void {
    if (this.#windows === undefined) return;
    const windows = this.#windows;
    this.#windows = undefined;
    for (const { buffer } of windows) detach(buffer);
    check("munmap", libc.munmap(this.address, this.bytes));
  }

  [Symbol.dispose](): void {
    this.unmap();
  }
}

/**
 * Maps `bytes` of a file from `offset`, a multiple of 4096, after a check that the file has them.
 *
 * Throws MappingFault, and NativeError when the kernel refuses (EINVAL for an offset that is no multiple of a huge
 * page). A file that a peer shortens later still raises SIGBUS: see isShrinkSealed().
 */
export function map(fd: OwnedFd, bytes: number, offset: number, { prot }: { readonly prot: Protection }): Mapping {
  if (!(Number.isSafeInteger(bytes) && bytes > 0 && bytes <= MAPPING_BYTES_MAX)) {
    throw new MappingFault("size", `a mapping has 1 to ${MAPPING_BYTES_MAX} bytes, not ${bytes}`);
  }
  if (!(Number.isSafeInteger(offset) && offset >= 0 && offset % PAGE_BYTES === 0)) {
    throw new MappingFault("offset", `${offset} is no multiple of a page`);
  }
  const file = fstatSync(fd.fd);
  if (!file.isFile()) throw new MappingFault("not-a-file", "the descriptor is no file with bytes to map");
  if (file.size < offset + bytes) {
    throw new MappingFault("too-short", `the file has ${file.size} bytes, and ${bytes} from ${offset} are asked for`);
  }
  const protection = prot === "read" ? PROT_READ : PROT_READ | PROT_WRITE;
  const address = libc.mmap(0, bytes, protection, MAP_SHARED, fd.fd, offset);
  if (address === -1) check("mmap", -1, `${bytes} bytes`);
  return new Mapping(BigInt(address), bytes);
}

/** The windows of memory that another thread has mapped and keeps mapped; the address came by message. */
export function windowsAt(address: bigint, bytes: number): MappedWindow[] {
  const windows: MappedWindow[] = [];
  for (let offset = 0; offset < bytes; offset += WINDOW_BYTES) {
    const length = Math.min(WINDOW_BYTES, bytes - offset);
    windows.push({ offset, bytes: length, buffer: viewAt(address + BigInt(offset), length) });
  }
  return windows;
}

/** Takes the bytes away from a buffer, where the engine can and will; Node 20 has no way to. */
function detach(buffer: ArrayBuffer & { transfer?: (bytes: number) => ArrayBuffer }): void {
  try {
    buffer.transfer?.(0);
  } catch (error) {
    // A buffer that is marked as untransferable stays as it is.
    if (!(error instanceof TypeError)) throw error;
  }
}
