import {
  VRING_AVAIL,
  VRING_DESC,
  VRING_DESC_F_INDIRECT,
  VRING_DESC_F_NEXT,
  VRING_DESC_F_WRITE,
  VRING_USED_ELEM,
} from "../layout/virtio-ring.js";
import { highHalf, lowHalf } from "../memory/address.js";
import { assert } from "../memory/assert.js";
import type { Parts } from "../memory/role.js";
import { type SharedMemory, u16 } from "../memory/shared-memory.js";
import { armCalls, kickWanted, suppressCalls } from "./notification.js";
import { PeerFault } from "./peer-fault.js";
import { checkedAreas, type VringAreas } from "./vring-areas.js";

/** One element of a chain: a buffer the device may read or write. */
export interface Segment {
  /** Address as the device half of this ring is to see it. */
  readonly address: number;
  /** Length in bytes, 1 to 2^32 − 1. */
  readonly bytes: number;
  readonly deviceWritable: boolean;
}

/** Where the descriptors of a ring are: free plus in flight is its size, at every moment between two steps. */
export interface Accounting {
  readonly size: number;
  readonly free: number;
  readonly inFlight: number;
}

// Constants of this file's own: V8 folds them, where it would reload an imported binding at each use.
const NEXT = VRING_DESC_F_NEXT;
const WRITE = VRING_DESC_F_WRITE;
const DESC_SIZE = VRING_DESC.size;
const DESC_LEN = VRING_DESC.offsets.len;
const DESC_FLAGS = VRING_DESC.offsets.flags;
const DESC_NEXT = VRING_DESC.offsets.next;
const RING_IDX = VRING_AVAIL.offsets.idx;
const RING_ENTRIES = VRING_AVAIL.offsets.ring;
const USED_ELEM_SIZE = VRING_USED_ELEM.size;
const USED_ELEM_LEN = VRING_USED_ELEM.offsets.len;

/** Columns of the private table, by descriptor. */
const NEXT_FREE = 0;
const COUNT = 1;
const COLUMNS = 2;

/**
 * The driver half of a split virtqueue: offers chains, takes back used ones (VIRTIO 1.3, 2.7.13 and 2.7.14).
 *
 * Usable without any relay. Its free list is private: the `next` fields in shared memory are for the device to read.
 */
export class DriverRing {
  readonly areas: VringAreas;
  /** The used entry that takeUsed() took last. */
  readonly used = { id: 0, len: 0 };
  readonly state = {
    /** Next available entry to fill; free-running. */
    availIdx: 0,
    /** Available entries the device may see; free-running. */
    publishedAvailIdx: 0,
    /** Next used entry to take; free-running. */
    lastUsedIdx: 0,
    /** Used entries known to be there; free-running. */
    usedIdx: 0,
    /** First free descriptor, when there is one. */
    freeHead: 0,
    /** Free descriptors. */
    freeCount: 0,
    /** Chains offered and not yet taken back. */
    outstanding: 0,
    /** 1 while the device is asked to call. */
    armed: 1,
  };
  readonly #table: Int32Array;
  readonly #eventIdx: boolean;

  /** Takes a ring over from its beginning; the driver clears it first (clearRings). */
  constructor(areas: VringAreas, features: { readonly eventIdx: boolean }) {
    this.areas = checkedAreas(areas);
    this.#eventIdx = features.eventIdx;
    this.#table = new Int32Array(areas.num * COLUMNS);
    for (let index = 0; index < areas.num; index++) this.#table[index * COLUMNS + NEXT_FREE] = index + 1;
    this.state.freeCount = areas.num;
  }

  /** Offers a chain of descriptors of this ring; returns its head. The caller has checked that `freeCount` suffices. */
  addChain(segments: readonly Segment[]): number {
    const { state, areas } = this;
    assert(segments.length > 0 && segments.length <= state.freeCount, "caller checked freeCount");
    const head = state.freeHead;
    let index = head;
    for (let i = 0; i < segments.length; i++) {
      const next = this.#table[index * COLUMNS + NEXT_FREE]!;
      const more = i + 1 < segments.length;
      writeDescriptor(areas.descMemory, areas.desc + index * DESC_SIZE, segments[i]!, more, more ? next : 0);
      index = next;
    }
    this.#offer(head, segments.length, index);
    return head;
  }

  /** Offers a chain through an indirect table of `count` descriptors that the caller wrote at `address` (2.7.5.3). */
  addIndirect(address: number, count: number): number {
    const { state, areas } = this;
    assert(state.freeCount > 0, "caller checked freeCount");
    const head = state.freeHead;
    const at = areas.desc + head * DESC_SIZE;
    const table = { address, bytes: count * DESC_SIZE, deviceWritable: false };
    writeDescriptor(areas.descMemory, at, table, false, 0);
    areas.descMemory.write16(at + DESC_FLAGS, VRING_DESC_F_INDIRECT);
    this.#offer(head, 1, this.#table[head * COLUMNS + NEXT_FREE]!);
    return head;
  }

  /** Makes the offered chains visible; true when the device wants to be kicked for them. */
  publishAvail(): boolean {
    const { state, areas } = this;
    const oldIdx = state.publishedAvailIdx;
    if (oldIdx === state.availIdx) return false;
    areas.availMemory.publish16(areas.avail + RING_IDX, state.availIdx);
    state.publishedAvailIdx = state.availIdx;
    areas.availMemory.fence();
    return kickWanted(areas, this.#eventIdx, state.availIdx, oldIdx);
  }

  /**
   * Takes the next used entry into `used`, if there is one, and frees its descriptors.
   *
   * Throws PeerFault used-idx-overrun, and used-id-unknown after having consumed the entry.
   */
  takeUsed(): boolean {
    const { state, areas, used } = this;
    if (state.lastUsedIdx === state.usedIdx && !this.#observeUsedIdx()) return false;
    const slot = state.lastUsedIdx & (areas.num - 1);
    const at = areas.used + RING_ENTRIES + slot * USED_ELEM_SIZE;
    const id = areas.usedMemory.read32(at) >>> 0;
    used.id = id;
    used.len = areas.usedMemory.read32(at + USED_ELEM_LEN) >>> 0;
    state.lastUsedIdx = u16(state.lastUsedIdx + 1);
    const known = id < areas.num && this.#table[id * COLUMNS + COUNT] !== 0;
    if (!known) throw usedIdUnknown(id);
    this.#free(id);
    return true;
  }

  /** Asks for a call, then looks again; true when nothing is used and sleeping is safe. */
  arm(): boolean {
    armCalls(this.areas, this.#eventIdx, this.state.lastUsedIdx);
    this.state.armed = 1;
    return !this.#observeUsedIdx();
  }

  /** Asks not to be called while it works; does nothing when that already holds. */
  disarm(): void {
    if (this.state.armed === 0) return;
    this.state.armed = 0;
    suppressCalls(this.areas, this.#eventIdx);
  }

  /** Counts descriptors one by one: free ones along the free list, the others by the chains that hold them. */
  accounting(): Accounting {
    let free = 0;
    for (let index = this.state.freeHead; free < this.state.freeCount && index < this.areas.num; free++) {
      index = this.#table[index * COLUMNS + NEXT_FREE]!;
    }
    let inFlight = 0;
    for (let head = 0; head < this.areas.num; head++) inFlight += this.#table[head * COLUMNS + COUNT]!;
    return { size: this.areas.num, free, inFlight };
  }

  /** All that outlives a step. */
  parts(): Parts {
    return { state: this.state, tables: [this.#table] };
  }

  #offer(head: number, count: number, nextFree: number): void {
    const { state, areas } = this;
    const slot = state.availIdx & (areas.num - 1);
    areas.availMemory.write16(areas.avail + RING_ENTRIES + slot * 2, head);
    this.#table[head * COLUMNS + COUNT] = count;
    state.freeHead = nextFree;
    state.freeCount -= count;
    state.outstanding += 1;
    state.availIdx = u16(state.availIdx + 1);
  }

  #free(head: number): void {
    const { state } = this;
    const table = this.#table;
    const count = table[head * COLUMNS + COUNT]!;
    table[head * COLUMNS + COUNT] = 0;
    let tail = head;
    for (let i = 1; i < count; i++) tail = table[tail * COLUMNS + NEXT_FREE]!;
    table[tail * COLUMNS + NEXT_FREE] = state.freeHead;
    state.freeHead = head;
    state.freeCount += count;
    state.outstanding -= 1;
  }

  #observeUsedIdx(): boolean {
    const { state, areas } = this;
    const usedIdx = areas.usedMemory.observe16(areas.used + RING_IDX);
    const waiting = u16(usedIdx - state.lastUsedIdx);
    // An entry too many within the ring's size is found by its head, one by one, in takeUsed().
    if (waiting > areas.num) throw usedIdxOverrun(waiting, areas.num);
    state.usedIdx = usedIdx;
    return waiting !== 0;
  }
}

/** Writes one descriptor, in a ring's table or in an indirect one; `next` counts only when there is `more`. */
export function writeDescriptor(memory: SharedMemory, at: number, segment: Segment, more: boolean, next: number): void {
  memory.write32(at, lowHalf(segment.address));
  memory.write32(at + 4, highHalf(segment.address));
  memory.write32(at + DESC_LEN, segment.bytes);
  memory.write16(at + DESC_FLAGS, (more ? NEXT : 0) | (segment.deviceWritable ? WRITE : 0));
  memory.write16(at + DESC_NEXT, next);
}

// Apart from what throws them: V8 counts the bytes of a function, not what they cost, when it decides what to inline.

function usedIdUnknown(id: number): PeerFault {
  return new PeerFault("used-id-unknown", `head ${id} is not outstanding`);
}

function usedIdxOverrun(waiting: number, num: number): PeerFault {
  return new PeerFault("used-idx-overrun", `${waiting} entries used in a queue of ${num}`);
}
