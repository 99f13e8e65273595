import { VRING_AVAIL, VRING_USED, VRING_USED_ELEM } from "../layout/virtio-ring.js";
import { PAGE_BYTES } from "../memory/address.js";
import { ForwardingMemory } from "../memory/forwarding-memory.js";
import { Chain } from "../ring/chain.js";
import { PeerFault } from "../ring/peer-fault.js";
import type { VringAreas } from "../ring/vring-areas.js";
import type { InflightRecord } from "./inflight-record.js";
import { BOOKS, ShadowBooks } from "./shadow-books.js";
import type { ShadowVirtqueueParts } from "./shadow-parts.js";

/** Parts of a shadow virtqueue that keeps a record of what is in flight; the record begins where the queue does. */
export function recordedQueue(parts: ShadowVirtqueueParts, record: InflightRecord): ShadowVirtqueueParts {
  record.begin(parts.start.usedIdx);
  return keepingRecord(parts, record, []);
}

/**
 * Parts of a shadow virtqueue that goes on where another one died; its device was reset and its shadow ring is clear.
 *
 * Whatever the other one may have written without marking it is marked first. Then what was in flight is forwarded
 * again, in its old order, and what the guest offered since. Where the queue stands is read from ring and record, not
 * from `parts.start`. Throws ConfigError where the record is none of this ring.
 */
export function recoveredQueue(parts: ShadowVirtqueueParts, record: InflightRecord): ShadowVirtqueueParts {
  const { guest, marks, guestCall } = parts;
  const usedIdx = guest.usedMemory.observe16(guest.used + VRING_USED.offsets.idx);
  marks.all();
  const heads = record.recover(usedIdx);
  markExtents(parts, heads);
  // The other one may have died between its index and its call.
  guestCall.signal();
  // All before the last available index is used or in flight: the heads in flight stand in for the entries in between.
  return keepingRecord({ ...parts, start: { lastAvailIdx: usedIdx, usedIdx } }, record, heads);
}

/** Marks whatever the device could write to the chains of these heads. */
function markExtents({ guest, guestMemory, indirect, marks }: ShadowVirtqueueParts, heads: readonly number[]): void {
  const { log } = marks;
  if (log === undefined) return;
  const chain = new Chain(guest.num, indirect);
  const readTable = (address: number, target: Uint8Array) =>
    guestMemory.copyOut(address, target) ? "ok" : ("unmapped" as const);
  for (const head of heads) {
    try {
      chain.load(guest, head, readTable);
    } catch (error) {
      // A guest that changed a chain in flight has lost its claim to it: it is refused when it is forwarded.
      if (error instanceof PeerFault) continue;
      throw error;
    }
    for (let i = chain.readableCount; i < chain.count; i++) {
      const [address, bytes] = [chain.addresses[i]!, chain.lengths[i]!];
      if (address + bytes <= log.pageCount * PAGE_BYTES) log.markRange(address, bytes);
    }
  }
}

/** The record is kept by the memory that the relay stores to: a queue without one does not know that there are any. */
function keepingRecord(
  parts: ShadowVirtqueueParts,
  record: InflightRecord,
  heads: readonly number[],
): ShadowVirtqueueParts {
  const { guest, shadow } = parts;
  const books = parts.books ?? new ShadowBooks(shadow.num, guest.num);
  const again = new AgainFirst(guest, heads);
  return {
    ...parts,
    books,
    guest: { ...guest, availMemory: again, usedMemory: new RecordsReturned(guest, record, again) },
    shadow: { ...shadow, availMemory: new RecordsForwarded(shadow, record, books, again) },
  };
}

/** The guest's available ring, in which heads to forward again come before what is offered since. */
class AgainFirst extends ForwardingMemory {
  readonly #idx: number;
  readonly #entries: number;
  readonly #entriesEnd: number;
  #heads: readonly number[];
  /** Entries read since the index was last looked at. */
  #read = 0;

  constructor({ availMemory, avail, num }: VringAreas, heads: readonly number[]) {
    super(availMemory);
    this.#idx = avail + VRING_AVAIL.offsets.idx;
    this.#entries = avail + VRING_AVAIL.offsets.ring;
    this.#entriesEnd = this.#entries + num * 2;
    this.#heads = heads;
  }

  override observe16(offset: number): number {
    if (offset === this.#idx) this.#read = 0;
    return super.observe16(offset);
  }

  override read16(offset: number): number {
    if (this.#heads.length === 0 || offset < this.#entries || offset >= this.#entriesEnd) return super.read16(offset);
    return this.#heads[this.#read++] ?? super.read16(offset);
  }

  /** These heads are forwarded, or used without having been. */
  done(heads: readonly number[]): void {
    if (this.#heads.length > 0) this.#heads = this.#heads.filter((head) => !heads.includes(head));
  }
}

/** The shadow available ring: whatever its index is about to show is in the record first. */
class RecordsForwarded extends ForwardingMemory {
  readonly #avail: number;
  readonly #record: InflightRecord;
  readonly #books: ShadowBooks;
  readonly #again: AgainFirst;
  #batch: number[] = [];

  constructor({ availMemory, avail }: VringAreas, record: InflightRecord, books: ShadowBooks, again: AgainFirst) {
    super(availMemory);
    this.#avail = avail;
    this.#record = record;
    this.#books = books;
    this.#again = again;
  }

  /** Only entries of the ring are written; flags, index and event word are published. */
  override write16(offset: number, value: number): void {
    this.#batch.push(this.#books.rows[(value << BOOKS.rowShift) + BOOKS.head]!);
    super.write16(offset, value);
  }

  override publish16(offset: number, value: number): void {
    if (offset !== this.#avail + VRING_AVAIL.offsets.idx) {
      super.publish16(offset, value);
      return;
    }
    this.#record.forwarding(this.#batch);
    super.publish16(offset, value);
    this.#again.done(this.#batch);
    this.#batch = [];
  }
}

/** The guest's used ring: whatever its index is about to show is a batch in the record, and struck out after. */
class RecordsReturned extends ForwardingMemory {
  readonly #used: number;
  readonly #record: InflightRecord;
  readonly #again: AgainFirst;
  #batch: number[] = [];

  constructor({ usedMemory, used }: VringAreas, record: InflightRecord, again: AgainFirst) {
    super(usedMemory);
    this.#used = used;
    this.#record = record;
    this.#again = again;
  }

  override write32(offset: number, value: number): void {
    const within = (offset - this.#used - VRING_USED.offsets.ring) % VRING_USED_ELEM.size;
    if (within === VRING_USED_ELEM.offsets.id) this.#batch.push(value);
    super.write32(offset, value);
  }

  override publish16(offset: number, value: number): void {
    if (offset !== this.#used + VRING_USED.offsets.idx) {
      super.publish16(offset, value);
      return;
    }
    this.#record.returning(this.#batch);
    super.publish16(offset, value);
    this.#record.returned(this.#batch, value);
    this.#again.done(this.#batch);
    this.#batch = [];
  }
}
