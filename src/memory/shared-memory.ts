/**
 * The verbs by which roles touch shared bytes, and what each of them orders.
 *
 * | verb | who may use it | order it gives |
 * |---|---|---|
 * | read, write, copyOut, copyIn | the one side that owns the bytes now | none |
 * | observe | anyone, on an index, flag or event word | acquire: sees what was written before the matching publish |
 * | publish | the one writer of that word | release: earlier writes are visible before it, itself perhaps later |
 * | setBits, takeBits | anyone | read-modify-write, full fence |
 * | fence | after a publish, before an observe | full: the publish is visible before the observe reads |
 *
 * Two implementations honour this contract. `RealMemory` is stronger than it asks: `Atomics.store` is sequentially
 * consistent, so its fence() does nothing. `SimulatedMemory` is exactly as weak as it allows, so that a fence or a
 * publish that is missing shows. Claimed: SC, TSO and PSO. Not claimed: reordering of loads.
 *
 * Indices, flags and event words are only ever observed and published; everything else is only read and written, by the
 * side to which an index has handed it.
 */
export interface SharedMemory {
  /** Size in bytes; an access at or beyond it throws where it is not excluded by construction. */
  readonly byteLength: number;
  /** Reads a little-endian u16 that this side owns now; `offset` is a multiple of 2. */
  read16(offset: number): number;
  /** Reads a little-endian 32-bit word as a signed int32; `offset` is a multiple of 4. */
  read32(offset: number): number;
  /** Writes the low 16 bits of `value`; `offset` is a multiple of 2. */
  write16(offset: number, value: number): void;
  /** Writes the low 32 bits of `value`; `offset` is a multiple of 4. */
  write32(offset: number, value: number): void;
  /** Copies `target.length` bytes from `offset` into private memory; throws RangeError past the end. */
  copyOut(offset: number, target: Uint8Array): void;
  /** Copies all of `source` from private memory to `offset`; throws RangeError past the end. */
  copyIn(offset: number, source: Uint8Array): void;
  /** Loads a u16 and acquires what its publisher released. */
  observe16(offset: number): number;
  /** Stores a u16 and releases every earlier write of this side. */
  publish16(offset: number, value: number): void;
  /** Sets `bits` in a 32-bit word atomically (a full fence). */
  setBits32(offset: number, bits: number): void;
  /** Takes the 32-bit word and leaves zero, atomically (a full fence); signed int32. */
  takeBits32(offset: number): number;
  /** Orders an earlier publish before a later observe (store-load; VIRTIO 1.3, 2.7.13.4.1). */
  fence(): void;
}

/** Wraps a free-running 16-bit index. */
export function u16(value: number): number {
  return value & 0xffff;
}
