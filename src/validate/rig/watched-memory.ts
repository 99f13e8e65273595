import { listNonZeroByWord, type SharedMemory } from "../../memory/shared-memory.js";

/** How a relay touches shared bytes. */
export const ACCESS = {
  read: 0,
  observe: 1,
  copyOut: 2,
  write: 3,
  publish: 4,
  copyIn: 5,
  setBits: 6,
  takeBits: 7,
  fence: 8,
} as const;

/** Sees every access before it takes effect, and what it gave or stored after. */
export interface Watch {
  /** Called first: may change memory, or throw to end the run. */
  before(kind: number, space: number, offset: number, bytes: number): void;
  /** Called last: the value read, or the value stored (of copies the length). */
  after(kind: number, space: number, offset: number, bytes: number, value: number): void;
}

const NOBODY: Watch = { before: () => {}, after: () => {} };

/** Bytes that one party reaches through a watch; an access outside of them is reported and has no effect. */
export class WatchedMemory implements SharedMemory {
  readonly byteLength: number;
  /** Who watches: the rig that stands on these bytes. */
  watch: Watch = NOBODY;
  readonly #space: number;
  readonly #u16: Uint16Array;
  readonly #i32: Int32Array;
  readonly #bytes: Uint8Array;

  constructor(buffer: ArrayBuffer, space: number) {
    this.byteLength = buffer.byteLength;
    this.#space = space;
    this.#u16 = new Uint16Array(buffer);
    this.#i32 = new Int32Array(buffer);
    this.#bytes = new Uint8Array(buffer);
  }

  read16(offset: number): number {
    return this.#load16(ACCESS.read, offset);
  }

  read32(offset: number): number {
    this.watch.before(ACCESS.read, this.#space, offset, 4);
    const value = this.#i32[offset >>> 2] ?? 0;
    this.watch.after(ACCESS.read, this.#space, offset, 4, value);
    return value;
  }

  observe16(offset: number): number {
    return this.#load16(ACCESS.observe, offset);
  }

  write16(offset: number, value: number): void {
    this.#store16(ACCESS.write, offset, value);
  }

  publish16(offset: number, value: number): void {
    this.#store16(ACCESS.publish, offset, value);
  }

  write32(offset: number, value: number): void {
    this.watch.before(ACCESS.write, this.#space, offset, 4);
    this.#i32[offset >>> 2] = value;
    this.watch.after(ACCESS.write, this.#space, offset, 4, value);
  }

  setBits32(offset: number, bits: number): void {
    this.watch.before(ACCESS.setBits, this.#space, offset, 4);
    this.#i32[offset >>> 2]! |= bits;
    this.watch.after(ACCESS.setBits, this.#space, offset, 4, bits);
  }

  takeBits32(offset: number): number {
    this.watch.before(ACCESS.takeBits, this.#space, offset, 4);
    const value = this.#i32[offset >>> 2] ?? 0;
    this.#i32[offset >>> 2] = 0;
    this.watch.after(ACCESS.takeBits, this.#space, offset, 4, value);
    return value;
  }

  copyOut(offset: number, target: Uint8Array): void {
    this.watch.before(ACCESS.copyOut, this.#space, offset, target.length);
    target.set(this.#bytes.subarray(offset, offset + target.length));
    this.watch.after(ACCESS.copyOut, this.#space, offset, target.length, target.length);
  }

  copyIn(offset: number, source: Uint8Array): void {
    this.watch.before(ACCESS.copyIn, this.#space, offset, source.length);
    this.#bytes.set(source.subarray(0, this.byteLength - offset), offset);
    this.watch.after(ACCESS.copyIn, this.#space, offset, source.length, source.length);
  }

  listNonZero32(offset: number, end: number, found: Int32Array): number {
    return listNonZeroByWord(this, offset, end, found);
  }

  fence(): void {
    this.watch.before(ACCESS.fence, this.#space, 0, 0);
    this.watch.after(ACCESS.fence, this.#space, 0, 0, 0);
  }

  #load16(kind: number, offset: number): number {
    this.watch.before(kind, this.#space, offset, 2);
    const value = this.#u16[offset >>> 1] ?? 0;
    this.watch.after(kind, this.#space, offset, 2, value);
    return value;
  }

  #store16(kind: number, offset: number, value: number): void {
    this.watch.before(kind, this.#space, offset, 2);
    this.#u16[offset >>> 1] = value;
    this.watch.after(kind, this.#space, offset, 2, value & 0xffff);
  }
}
