import { GPA_MAP } from "../iova/gpa-map.js";
import { VHOST_ACCESS_RO, VHOST_ACCESS_WO } from "../layout/vhost.js";
import * as virtioRing from "../layout/virtio-ring.js";
import { joinHalves } from "../memory/address.js";
import type { Parts } from "../memory/role.js";
import { type SharedMemory, u16 } from "../memory/shared-memory.js";
import { orderFault } from "../ring/chain-rules.js";
import type { Accounting } from "../ring/driver-ring.js";
import { armCalls, armKicks, callWanted, kickWanted, suppressCalls, suppressKicks } from "../ring/notification.js";
import { faultCode, faultReason, PEER_FAULTS, PeerFault } from "../ring/peer-fault.js";
import type { RingState } from "../ring/ring-state.js";
import { COUNTERS } from "../telemetry/counters.js";
import type { DataPath } from "./data-path.js";
import { NO_ROOM, OddBuffers } from "./odd-buffers.js";
import { BOOKS, ShadowBooks } from "./shadow-books.js";
import type { ShadowVirtqueueParts } from "./shadow-parts.js";

// Constants of this file's own: V8 folds them, where it would reload an imported binding at each use.
const NEXT = virtioRing.VRING_DESC_F_NEXT;
const WRITE = virtioRing.VRING_DESC_F_WRITE;
const INDIRECT = virtioRing.VRING_DESC_F_INDIRECT;
const RING_IDX = virtioRing.VRING_AVAIL.offsets.idx;
const RING_ENTRIES = virtioRing.VRING_AVAIL.offsets.ring;
const DESC_SHIFT = 4;
const USED_ELEM_SHIFT = 3;
const DEVICE_READS = VHOST_ACCESS_RO;
const DEVICE_WRITES = VHOST_ACCESS_WO;
/** Pages that a chain may touch without passing 2^32 bytes (2.7.5); above, it is looked at once more. */
const CHAIN_PAGES_EASY = 2 ** 20;

const HEAD_OUT_OF_RANGE = faultCode("head-out-of-range");
const HEAD_OUTSTANDING = faultCode("head-outstanding");
const NEXT_OUT_OF_RANGE = faultCode("next-out-of-range");
const CHAIN_TOO_LONG = faultCode("chain-too-long");
const USED_ID_UNKNOWN = faultCode("used-id-unknown");

const ROW_SHIFT = BOOKS.rowShift;
const ROW_NEXT = BOOKS.next;
const ROW_COUNT = BOOKS.count;
const ROW_HEAD = BOOKS.head;
const ROW_AVAIL_IDX = BOOKS.availIdx;
const ROW_PAGE = BOOKS.page;
const ROW_OFFSET = BOOKS.offset;
const ROW_LENGTH = BOOKS.length;
const MAP_LAST = GPA_MAP.last;
const MAP_DELTA = GPA_MAP.delta;
const MAP_PERM = GPA_MAP.perm;

// What is counted once a batch.
const N_AVAIL_BATCHES = COUNTERS.availBatches;
const N_CHAINS = COUNTERS.chains;
const N_CLAMPED_LENGTHS = COUNTERS.clampedLengths;
const N_DESCRIPTORS = COUNTERS.descriptors;
const N_DIRTY_MARKS = COUNTERS.dirtyMarks;
const N_RELAYED_BYTES = COUNTERS.relayedBytes;
const N_USED_BATCHES = COUNTERS.usedBatches;

/**
 * A shadow virtqueue: a device half that faces the guest and a driver half that faces the device, with translation and
 * dirty marking between them (QEMU: vhost-shadow-virtqueue).
 *
 * Two directions, two loops. Each word of a peer is read once into a local, judged, translated and written; all that
 * is remembered is in the private books. A chain that does not fit stays in the guest's ring: a state, no error.
 */
export class ShadowVirtqueue implements DataPath {
  readonly state = {
    /** Next entry to take from the guest's available ring; free-running. */
    lastAvailIdx: 0,
    /** Next entry to fill in the shadow available ring; free-running. */
    shadowAvailIdx: 0,
    /** Next entry to take from the shadow used ring; free-running. */
    lastUsedIdx: 0,
    /** Next entry to fill in the guest's used ring; free-running. */
    guestUsedIdx: 0,
    /** 1 while the next chain waits for descriptors to come free. */
    holding: 0,
    /** 1 while guest and device are asked to notify. */
    armed: 1,
  };
  readonly #parts: ShadowVirtqueueParts;
  readonly #books: ShadowBooks;
  readonly #odd: OddBuffers;
  /** Head of the chain that #shadowChains looked at last. */
  #lastHead = 0;

  /** Takes over at `parts.start`; the shadow ring was cleared and starts at 0. */
  constructor(parts: ShadowVirtqueueParts) {
    this.#parts = parts;
    const { shadow, guest } = parts;
    this.#books = parts.books ?? new ShadowBooks(shadow.num, guest.num);
    this.#odd = new OddBuffers(parts, this.#books);
    this.state.lastAvailIdx = parts.start.lastAvailIdx;
    this.state.guestUsedIdx = parts.start.usedIdx;
  }

  /** Moves what there is to move in both directions, at most a queue's worth each. */
  step(): boolean {
    if (this.state.armed === 1) this.#disarm();
    // Returns first: they free descriptors for what comes, and a device on this thread takes its turn right after.
    const returned = this.forwardUsed();
    return this.forwardAvail() || returned;
  }

  /**
   * Guest to device: takes available chains, writes them translated into the shadow ring, kicks once.
   *
   * Throws PeerFault after having published the chains before the faulty one.
   */
  forwardAvail(): boolean {
    const { state } = this;
    if (state.holding === 1) return false;
    const waiting = this.#observeGuestAvail();
    if (waiting === 0) return false;
    const oldIdx = state.shadowAvailIdx;
    const fault = this.#shadowChains(waiting);
    const published = this.#publishAvail(oldIdx);
    return fault === 0 ? published : this.#refuseChain(fault) || published;
  }

  /**
   * Writes up to `waiting` chains into the shadow ring, translated; returns the fault that ended it early, or 0.
   *
   * One flat loop, with nothing in it that happens once a batch: V8 throws optimised code out when a path in it is
   * taken for the first time, and enters a loop it is already in by a slower door.
   */
  #shadowChains(waiting: number): number {
    const { state } = this;
    const { guest, shadow, map, counters } = this.#parts;
    const { table: mappings } = map;
    const { descMemory: guestDesc, availMemory: guestAvail } = guest;
    const { descMemory: shadowDesc, availMemory: shadowAvail } = shadow;
    const { rows, outstanding, state: books } = this.#books;
    const num = guest.num | 0;
    const shadowMask = (shadow.num - 1) | 0;
    const guestRing = (guest.avail + RING_ENTRIES) | 0;
    const shadowTable = shadow.desc | 0;
    const shadowRing = (shadow.avail + RING_ENTRIES) | 0;
    const iovaHigh = map.iovaHigh | 0;
    let lastAvailIdx = state.lastAvailIdx | 0;
    let shadowAvailIdx = state.shadowAvailIdx | 0;
    let freeHead = books.freeHead | 0;
    let freeCount = books.freeCount | 0;
    let mapping = map.closing | 0; // The row that the last buffer lay in: none yet.
    let head = 0;
    let bytes = 0;
    let fault = 0;
    chains: for (let taken = 0; taken < waiting; taken++) {
      head = guestAvail.read16(guestRing + ((lastAvailIdx & (num - 1)) << 1)) | 0;
      fault = head >= num ? HEAD_OUT_OF_RANGE : outstanding[head]!;
      if (fault !== 0) break;
      let source = guestDesc;
      let table = guest.desc | 0;
      let limit = num;
      let index = head;
      let elements = 0;
      let flagsSeen = 0;
      let cursor = freeHead;
      let count = 0;
      let pages = 0;
      for (;;) {
        if (index >= limit) {
          fault = NEXT_OUT_OF_RANGE;
          break chains;
        }
        const at = (table + (index << DESC_SHIFT)) | 0;
        const low = source.read32(at);
        const high = source.read32(at + 4);
        const length = source.read32(at + 8);
        const word = source.read32(at + 12);
        if ((word & INDIRECT) !== 0) {
          fault = this.#odd.loadTable(low, high, length >>> 0, word & 0xffff, source !== guestDesc, elements);
          if (fault !== 0) break chains;
          source = this.#odd.tableMemory;
          table = 0;
          limit = length >>> DESC_SHIFT;
          index = 0;
          continue;
        }
        if (elements === num || (flagsSeen & ~word & WRITE) !== 0) {
          fault = elements === num ? CHAIN_TOO_LONG : orderFault(word, flagsSeen);
          break chains;
        }
        elements++;
        flagsSeen |= word & WRITE;
        const writable = (word & WRITE) !== 0;
        const page = (high & ~0x7ff) === 0 ? (high << 20) | (low >>> 12) : -1;
        const within = low & 0xfff;
        const last = page + ((within + length - 1) >>> 12);
        if (((page - mappings[mapping]!) | (mappings[mapping + MAP_LAST]! - page)) < 0) mapping = map.rowOf(page) | 0;
        const rights = mappings[mapping + MAP_PERM]! & (writable ? DEVICE_WRITES : DEVICE_READS);
        if (rights !== 0 && last <= mappings[mapping + MAP_LAST]! && length > 0 && count < freeCount) {
          const frame = (page + mappings[mapping + MAP_DELTA]!) | 0;
          const to = (shadowTable + (cursor << DESC_SHIFT)) | 0;
          const row = cursor << ROW_SHIFT;
          cursor = rows[row + ROW_NEXT]!;
          shadowDesc.write32(to, (frame << 12) | within);
          shadowDesc.write32(to + 4, (iovaHigh + (frame >>> 20)) | 0);
          shadowDesc.write32(to + 8, length);
          shadowDesc.write32(to + 12, (word & (NEXT | WRITE)) | (cursor << 16));
          rows[row + ROW_PAGE] = page;
          rows[row + ROW_OFFSET] = within;
          rows[row + ROW_LENGTH] = (writable ? length : -length) | 0;
          count++;
        } else {
          const pieces = this.#odd.add(joinHalves(low, high), length >>> 0, word, cursor, count, freeCount);
          if (pieces < 0) {
            fault = -pieces;
            break chains;
          }
          for (let i = 0; i < pieces; i++) cursor = rows[(cursor << ROW_SHIFT) + ROW_NEXT]!;
          if (pieces === 0) pages = CHAIN_PAGES_EASY;
          count += pieces;
        }
        pages += (length >>> 12) + 1;
        bytes += length >>> 0;
        if ((word & NEXT) === 0) break;
        index = word >>> 16;
      }
      if (pages > CHAIN_PAGES_EASY) fault = this.#odd.endChain(freeHead, count);
      if (fault !== 0) break;
      const first = freeHead << ROW_SHIFT;
      rows[first + ROW_COUNT] = count;
      rows[first + ROW_HEAD] = head;
      rows[first + ROW_AVAIL_IDX] = lastAvailIdx;
      outstanding[head] = HEAD_OUTSTANDING;
      shadowAvail.write16(shadowRing + ((shadowAvailIdx & shadowMask) << 1), freeHead);
      shadowAvailIdx = (shadowAvailIdx + 1) & 0xffff;
      lastAvailIdx = (lastAvailIdx + 1) & 0xffff;
      freeHead = cursor;
      freeCount -= count;
    }
    state.lastAvailIdx = lastAvailIdx;
    state.shadowAvailIdx = shadowAvailIdx;
    counters[N_DESCRIPTORS]! += books.freeCount - freeCount;
    counters[N_RELAYED_BYTES]! += bytes;
    books.freeHead = freeHead;
    books.freeCount = freeCount;
    this.#lastHead = head;
    return fault;
  }

  /**
   * Device to guest: takes used chains, marks what the device could write, returns them to the guest, calls once.
   *
   * Each write to guest memory is followed by its mark, never the other way: the buffers were written by the device, so
   * they are marked before the guest can see the index; the used ring is written here, so it is marked after.
   * Throws PeerFault after having published the chains before the faulty entry.
   */
  forwardUsed(): boolean {
    const waiting = this.#observeShadowUsed();
    if (waiting === 0) return false;
    const oldIdx = this.state.guestUsedIdx;
    const fault = this.#returnChains(waiting);
    this.#publishUsed(oldIdx);
    if (fault !== 0) throw new PeerFault(faultReason(fault), "the device's used ring names a head it does not have");
    return true;
  }

  /** Returns `waiting` used chains to the guest's ring, marked; flat like #shadowChains, with the same answer. */
  #returnChains(waiting: number): number {
    const { state } = this;
    const { guest, shadow, marks, counters } = this.#parts;
    const [guestUsed, shadowUsed] = [guest.usedMemory, shadow.usedMemory];
    const { rows, outstanding, state: books } = this.#books;
    const num = shadow.num | 0;
    const guestRing = (guest.used + RING_ENTRIES) | 0;
    const shadowRing = (shadow.used + RING_ENTRIES) | 0;
    const markExact = marks.exact;
    const log = markExact ? undefined : marks.log?.memory;
    const logBase = (marks.log?.offset ?? 0) | 0;
    let { lastUsedIdx, guestUsedIdx } = state;
    let { freeHead, freeCount } = books;
    let clamped = 0;
    let words = 0;
    let markedAt = logBase; // The word that the marks of the last buffers are to be set in, together.
    let markedBits = 0;
    let fault = 0;
    for (let taken = 0; taken < waiting; taken++) {
      const from = (shadowRing + ((lastUsedIdx & (num - 1)) << USED_ELEM_SHIFT)) | 0;
      const id = shadowUsed.read32(from);
      let length = shadowUsed.read32(from + 4);
      const first = id << ROW_SHIFT;
      const count = id >>> 0 < num ? rows[first + ROW_COUNT]! : 0;
      if (count === 0) {
        fault = USED_ID_UNKNOWN;
        break;
      }
      let writable = 0;
      let row = first;
      for (let left = count; ; row = rows[row + ROW_NEXT]! << ROW_SHIFT) {
        const extent = rows[row + ROW_LENGTH]!;
        if (extent > 0) {
          writable += extent;
          if (log !== undefined) {
            let page = rows[row + ROW_PAGE]!;
            const last = page + ((rows[row + ROW_OFFSET]! + extent - 1) >>> 12);
            const at = (logBase + ((page >>> 5) << 2)) | 0;
            if (at !== markedAt) {
              words += markMissing(log, markedAt, markedBits);
              markedAt = at;
              markedBits = 0;
            }
            for (; (page ^ last) >>> 5 !== 0; page = (page | 31) + 1) {
              words += markMissing(log, markedAt, markedBits | (-1 << page));
              markedAt = (markedAt + 4) | 0;
              markedBits = 0;
            }
            markedBits |= (-1 << page) & (-1 >>> (31 - last));
          }
        }
        if (--left === 0) break;
      }
      if (length < 0 || length > writable) {
        if (length >>> 0 > writable) clamped++;
        length = Math.min(length >>> 0, writable, 0xffffffff) | 0;
      }
      if (markExact) this.#markUsedLength(id, count, length >>> 0);
      const head = rows[first + ROW_HEAD]!;
      rows[row + ROW_NEXT] = freeHead;
      rows[first + ROW_COUNT] = 0;
      outstanding[head] = 0;
      freeHead = id;
      freeCount += count;
      const to = (guestRing + ((guestUsedIdx & (guest.num - 1)) << USED_ELEM_SHIFT)) | 0;
      guestUsed.write32(to, head);
      guestUsed.write32(to + 4, length);
      lastUsedIdx = (lastUsedIdx + 1) & 0xffff;
      guestUsedIdx = (guestUsedIdx + 1) & 0xffff;
    }
    if (log !== undefined) words += markMissing(log, markedAt, markedBits);
    state.lastUsedIdx = lastUsedIdx;
    state.guestUsedIdx = guestUsedIdx;
    state.holding = 0;
    books.freeHead = freeHead;
    books.freeCount = freeCount;
    counters[N_DIRTY_MARKS]! += words;
    counters[N_CLAMPED_LENGTHS]! += clamped;
    return fault;
  }

  /** Asks guest and device to notify, then looks again; true when nothing waits and sleeping is safe. */
  arm(): boolean {
    const { state } = this;
    const { guest, shadow, eventIdx } = this.#parts;
    state.armed = 1;
    armCalls(shadow, eventIdx, state.lastUsedIdx);
    if (this.#observeShadowUsed() !== 0) return false;
    // While it holds a chain no kick can help it, and asking for one would keep it awake.
    if (state.holding === 1) return true;
    armKicks(guest, eventIdx, state.lastAvailIdx);
    this.#parts.marks.eventWord();
    return this.#observeGuestAvail() === 0;
  }

  drain(): boolean {
    return this.forwardUsed();
  }

  /** Chains the device has and has not returned. */
  get inFlight(): number {
    return u16(this.state.shadowAvailIdx - this.state.lastUsedIdx);
  }

  /**
   * Takes back what a stopped device never fetched; returns where the guest's ring now stands.
   *
   * `base.lastAvailIdx` is the device's next available entry. Call it with every used entry forwarded. By identity:
   * each chain taken back is the one that the guest's ring still names at its place, and none of them comes before one
   * the device has. Throws PeerFault guest-ring-changed when the guest has altered its ring, used-idx-overrun when the
   * device keeps chains that it fetched.
   */
  stop(base: RingState): RingState {
    const { state } = this;
    const { guest, marks } = this.#parts;
    if (marks.policy === "hybrid") this.abandon();
    const unfetched = u16(state.shadowAvailIdx - base.lastAvailIdx);
    if (unfetched !== this.inFlight) {
      throw new PeerFault(
        "used-idx-overrun",
        `${this.inFlight} chains in flight, of which ${unfetched} were never fetched`,
      );
    }
    const { rows } = this.#books;
    const chainAt = new Map<number, number>();
    this.#books.eachInFlight((first) => chainAt.set(rows[(first << ROW_SHIFT) + ROW_AVAIL_IDX]!, first));
    for (let i = 0; i < unfetched; i++) {
      const position = u16(state.lastAvailIdx - 1);
      const head = guest.availMemory.read16(guest.avail + RING_ENTRIES + (position & (guest.num - 1)) * 2);
      const first = chainAt.get(position);
      if (first === undefined || rows[(first << ROW_SHIFT) + ROW_HEAD] !== head) {
        throw new PeerFault("guest-ring-changed", `entry ${position} no longer names a chain in flight`);
      }
      this.#books.takeBack(first);
      state.lastAvailIdx = position;
    }
    state.shadowAvailIdx = base.lastAvailIdx;
    state.holding = 0;
    return { lastAvailIdx: state.lastAvailIdx, usedIdx: state.guestUsedIdx };
  }

  abandon(): void {
    const { marks, counters } = this.#parts;
    const ranges: { address: number; bytes: number }[] = [];
    this.#books.eachInFlight((first, count) => {
      this.#books.eachWritten(first, count, Infinity, (address, bytes) => ranges.push({ address, bytes }));
    });
    counters[N_DIRTY_MARKS]! += marks.log?.markRanges(ranges) ?? 0;
  }

  /** Where the descriptors of the shadow ring are. */
  accounting(): Accounting {
    return this.#books.accounting();
  }

  /** All that outlives a step. */
  parts(): Parts {
    const books = this.#books.parts();
    return { state: { ...this.state, ...books.state }, tables: books.tables };
  }

  #observeGuestAvail(): number {
    const { guest } = this.#parts;
    const waiting = u16(guest.availMemory.observe16(guest.avail + RING_IDX) - this.state.lastAvailIdx);
    if (waiting > guest.num) {
      throw new PeerFault("avail-idx-overrun", `${waiting} entries offered in a queue of ${guest.num}`);
    }
    return waiting;
  }

  #observeShadowUsed(): number {
    const { shadow } = this.#parts;
    const waiting = u16(shadow.usedMemory.observe16(shadow.used + RING_IDX) - this.state.lastUsedIdx);
    if (waiting > this.inFlight) {
      throw new PeerFault("used-idx-overrun", `${waiting} entries used of ${this.inFlight} in flight`);
    }
    return waiting;
  }

  /** Asks the device to call no more, whatever it returns: for who stops it, and looks for himself. */
  hush(): void {
    const { shadow, eventIdx } = this.#parts;
    // An event that is behind already comes again only after a whole round of indices.
    if (eventIdx) armCalls(shadow, true, u16(this.state.lastUsedIdx - 1));
    else suppressCalls(shadow, false);
  }

  #disarm(): void {
    const { guest, shadow, eventIdx, marks } = this.#parts;
    this.state.armed = 0;
    suppressCalls(shadow, eventIdx);
    suppressKicks(guest, eventIdx);
    if (!eventIdx) marks.eventWord();
  }

  /** Kicks if the device asks for it: its wish is read when the index is visible. */
  #publishAvail(oldIdx: number): boolean {
    const { shadowAvailIdx } = this.state;
    const { shadow, eventIdx, deviceKick, counters } = this.#parts;
    if (shadowAvailIdx === oldIdx) return false;
    counters[N_CHAINS]! += u16(shadowAvailIdx - oldIdx);
    counters[N_AVAIL_BATCHES]! += 1;
    shadow.availMemory.publish16(shadow.avail + RING_IDX, shadowAvailIdx);
    shadow.availMemory.fence();
    if (kickWanted(shadow, eventIdx, shadowAvailIdx, oldIdx)) {
      counters[COUNTERS.relayKicks]! += 1;
      deviceKick.signal();
    }
    return true;
  }

  /** Ends the chain at which forwardAvail() stopped: holds it, returns it unused, or gives the queue up. */
  #refuseChain(fault: number): boolean {
    const { state } = this;
    const head = this.#lastHead;
    if (fault === NO_ROOM) {
      state.holding = 1;
      this.#parts.counters[COUNTERS.held]! += 1;
      return false;
    }
    const reason = faultReason(fault);
    if (PEER_FAULTS[reason] !== "quarantine") throw new PeerFault(reason, `the guest's chain from head ${head}`);
    // A chain returned out of turn would leave a gap that stop() could not cross: wait for those before it.
    if (this.inFlight !== 0) {
      state.holding = 1;
      return false;
    }
    this.#quarantine(head);
    return true;
  }

  #quarantine(head: number): void {
    const { state } = this;
    const { guest, counters } = this.#parts;
    counters[COUNTERS.quarantined]! += 1;
    const at = guest.used + RING_ENTRIES + (state.guestUsedIdx & (guest.num - 1)) * 8;
    guest.usedMemory.write32(at, head);
    guest.usedMemory.write32(at + 4, 0);
    state.lastAvailIdx = u16(state.lastAvailIdx + 1);
    state.guestUsedIdx = u16(state.guestUsedIdx + 1);
    this.#publishUsed(u16(state.guestUsedIdx - 1));
  }

  /** Calls if the guest asks for it: its wish is read when the index is visible. */
  #publishUsed(oldIdx: number): void {
    const { guestUsedIdx } = this.state;
    const { guest, eventIdx, guestCall, marks, counters } = this.#parts;
    if (guestUsedIdx === oldIdx) return;
    counters[N_USED_BATCHES]! += 1;
    guest.usedMemory.publish16(guest.used + RING_IDX, guestUsedIdx);
    guest.usedMemory.fence();
    marks.usedEntries(oldIdx, guestUsedIdx);
    if (!callWanted(guest, eventIdx, guestUsedIdx, oldIdx)) return;
    counters[COUNTERS.relayCalls]! += 1;
    guestCall.signal();
  }

  /** Marks the first `length` writable bytes of a chain: exact for a device that tells the truth. */
  #markUsedLength(first: number, count: number, length: number): void {
    const { marks, counters } = this.#parts;
    const ranges: { address: number; bytes: number }[] = [];
    this.#books.eachWritten(first, count, length, (address, bytes) => ranges.push({ address, bytes }));
    counters[N_DIRTY_MARKS]! += marks.log?.markRanges(ranges) ?? 0;
  }
}

/**
 * Makes those marks of one word that are not there yet; returns the number of words it looked at.
 *
 * Only for bytes that the device wrote: they became visible before the index that was observed, so whoever takes a mark
 * that is found here copies them. Where a device shares the relay's thread that rests on the fence behind its publish.
 */
function markMissing(log: SharedMemory, at: number, bits: number): number {
  if (bits === 0) return 0;
  if ((bits & ~log.read32(at)) !== 0) log.setBits32(at, bits);
  return 1;
}
