/**
 * What a relay of your own looks like to `svq validate --relay`, and what it is given.
 *
 * Plain JavaScript will do: `export function createRelay(parts) { … }`. All indices are free-running 16-bit numbers.
 */

/**
 * Shared bytes, and the only ways to touch them.
 *
 * Indices, flags and event words are observed and published; everything else is read and written, by the side to which
 * an index has handed it. All words are little-endian.
 */
export interface Memory {
  /** Reads a u16; `offset` is a multiple of 2. */
  read16(offset: number): number;
  /** Reads a 32-bit word as a signed number (`>>> 0` makes it unsigned); `offset` is a multiple of 4. */
  read32(offset: number): number;
  /** Writes the low 16 bits of `value`. */
  write16(offset: number, value: number): void;
  /** Writes the low 32 bits of `value`. */
  write32(offset: number, value: number): void;
  /** Loads an index, flag or event word: what its publisher wrote before is visible after it (acquire). */
  observe16(offset: number): number;
  /** Stores an index, flag or event word: what you wrote before is visible before it (release). */
  publish16(offset: number, value: number): void;
  /** Makes an earlier publish visible before a later observe reads. */
  fence(): void;
}

/** The three areas of a split virtqueue; each offset counts in the memory of its own area. */
export interface Ring {
  /** Queue size: a power of two. */
  readonly num: number;
  /** The descriptor table: 16 bytes each (address u64, length u32, flags u16, next u16). */
  readonly descMemory: Memory;
  readonly desc: number;
  /** The available ring: flags u16, index u16, `num` heads u16, used_event u16. */
  readonly availMemory: Memory;
  readonly avail: number;
  /** The used ring: flags u16, index u16, `num` entries (id u32, length u32), avail_event u16. */
  readonly usedMemory: Memory;
  readonly used: number;
}

/** Bytes that are contiguous for the device. */
export interface Piece {
  readonly iova: number;
  readonly bytes: number;
}

/** What ends a queue: it is given up. */
export type BreakingFault =
  | "avail-idx-overrun"
  | "used-idx-overrun"
  | "head-out-of-range"
  | "head-outstanding"
  | "next-out-of-range"
  | "chain-too-long"
  | "readable-after-writable"
  | "indirect-not-negotiated"
  | "indirect-nested"
  | "indirect-with-next"
  | "indirect-length"
  | "used-id-unknown";

/** What ends one chain: it is returned with length 0, in its turn, and the queue goes on. */
export type ChainFault =
  | "address-unmapped"
  | "permission-denied"
  | "chain-bytes-overflow"
  | "chain-never-fits"
  | "chain-empty";

/** Everything that a peer can do wrong, by name. */
export type FaultName = BreakingFault | ChainFault;

/** What a relay is made of. */
export interface RelayParts {
  /** The guest's ring: read its descriptors and available ring, write its used ring. Addresses are guest physical. */
  readonly guest: Ring;
  /** Your own ring, which the device sees: the other way round. Addresses are IOVAs; it starts all zero. */
  readonly shadow: Ring;
  /** VIRTIO_RING_F_EVENT_IDX was negotiated, on both sides. */
  readonly eventIdx: boolean;
  /** VIRTIO_RING_F_INDIRECT_DESC was negotiated, on the guest's side. */
  readonly indirect: boolean;
  /** Where both indices of the guest's ring stand when you take over. */
  readonly start: { readonly lastAvailIdx: number; readonly usedIdx: number };

  /** Where the device finds `bytes` bytes of the guest, in pieces; none for 0 bytes; or why it may not reach them. */
  readonly translate: (
    gpa: number,
    bytes: number,
    writable: boolean,
  ) => readonly Piece[] | "address-unmapped" | "permission-denied";
  /** A private copy of an indirect table, made in one go; undefined where the guest has no memory. */
  readonly copyTable: (gpa: number, bytes: number) => DataView | undefined;
  /** Marks the pages of `bytes` bytes at guest address `gpa` as dirty; does nothing while nobody logs. */
  readonly mark: (gpa: number, bytes: number) => void;
  /** Marks the entries of the guest's used ring from index `from` up to index `to`, and its index. */
  readonly markUsedEntries: (from: number, to: number) => void;
  /** Marks the guest's used flags and avail_event: call it after you have written either. */
  readonly markEventWord: () => void;
  /** Tells the device that chains are available. */
  readonly kickDevice: () => void;
  /** Tells the guest that chains were used. */
  readonly callGuest: () => void;
  /** What a fault costs: the one chain, or the queue. */
  readonly outcomeOf: (reason: FaultName) => "quarantine" | "break-queue";
  /** Gives the queue up; never returns. */
  readonly fault: (reason: BreakingFault) => never;

  /** What save() of another relay gave: go on from there. Only for a relay that has save(). */
  readonly saved?: unknown;
  /** Where to keep which heads are in flight. Only for a relay that has recover(), and not in every run. */
  readonly record?: InflightRecord;
}

/**
 * Which heads of the guest's ring are in flight, in memory that outlives a relay that dies (vhost-user, Inflight I/O
 * tracking). Each call stores to that memory; you may die before and after each of these stores.
 */
export interface InflightRecord {
  /** Before you publish the shadow ring's available index: these heads become visible to the device. */
  forwarding(heads: readonly number[]): void;
  /** Before you publish the guest's used index: these heads are returned by it, all at once. */
  returning(heads: readonly number[]): void;
  /** After that: the guest's used index is `usedIdx` and shows them. */
  returned(heads: readonly number[], usedIdx: number): void;
  /** In recover(), with the used index that stands in the guest's ring: the heads in flight, in their old order. */
  recover(usedIdx: number): readonly number[];
}

/** A relay: one queue, both directions. */
export interface Relay {
  /** Moves what there is to move, at most a queue's worth each way; false when there was nothing. */
  step(): boolean;
  /** Asks guest and device to notify, then looks again; true when sleeping is safe. */
  arm(): boolean;
  /** Marks what the device may have written to chains that will not come back. */
  abandon(): void;
  /** Where the descriptors of the shadow ring are; checked against what can be seen, when you offer it. */
  accounting?(): { readonly size: number; readonly free: number; readonly inFlight: number };

  /**
   * All that you remember between two turns, as data that structuredClone() can copy. Offer it, and make a relay from
   * `parts.saved`, and every order of accesses is explored; else only as many as there is time for.
   */
  save?(): unknown;
  /**
   * You take the place of a relay that died, whose device was reset and whose shadow ring is clear: called once, before
   * the first step. Mark what it may have left unmarked, call the guest, and forward again what `parts.record` has in
   * flight. Offer it, and your relay is killed before and after each of its stores.
   */
  recover?(): void;
}

/** What a relay module exports. It is called for each run, and touches no shared bytes before the first step. */
export type CreateRelay = (parts: RelayParts) => Relay;

/** The one export that is needed. */
export declare const createRelay: CreateRelay;
