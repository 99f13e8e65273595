/**
 * The verbs by which roles touch shared bytes, and what each of them orders.
 *
 * | verb | who may use it | order it gives |
 * |---|---|---|
 * | read, write, copyOut, copyIn | the one side that owns the bytes now | none |
 * | observe | anyone, on an index, flag or event word | acquire: sees what was written before the matching publish |
 * | publish | the one writer of that word | release: earlier writes are visible before it, itself perhaps later |
 * | setBits, takeBits | anyone | read-modify-write, full fence |
 * | listNonZero | anyone, on words that are set and taken | none: says where a take is worth it |
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
  /**
   * Lists the 32-bit words of [offset, end) that are not zero: their offsets go to `found`, rising; returns how many.
   *
   * Offset and end are multiples of 4, and `found` has room for every word. One that is set meanwhile may be missed.
   */
  listNonZero32(offset: number, end: number, found: Int32Array): number;
  /** Orders an earlier publish before a later observe (store-load; VIRTIO 1.3, 2.7.13.4.1). */
  fence(): void;
}

/** Does what listNonZero32 is to do, one read32 a word: for memory in which each access counts. */
export function listNonZeroByWord(
  memory: Pick<SharedMemory, "read32">,
  offset: number,
  end: number,
  found: Int32Array,
): number {
  let count = 0;
  for (let at = offset; at < end; at += 4) if (memory.read32(at) !== 0) found[count++] = at;
  return count;
}

/** Wraps a free-running 16-bit index. */
export function u16(value: number): number {
  return value & 0xffff;
}
