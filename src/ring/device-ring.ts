import { VRING_AVAIL, VRING_USED_ELEM } from "../layout/virtio-ring.js";
import type { Parts } from "../memory/role.js";
import { u16 } from "../memory/shared-memory.js";
import { Chain, type TableReader } from "./chain.js";
import { armKicks, callWanted, suppressKicks } from "./notification.js";
import { PeerFault } from "./peer-fault.js";
import type { RingState } from "./ring-state.js";
import { checkedAreas, type VringAreas } from "./vring-areas.js";

// Constants of this file's own: V8 folds them, where it would reload an imported binding at each use.
const RING_IDX = VRING_AVAIL.offsets.idx;
const RING_ENTRIES = VRING_AVAIL.offsets.ring;
const USED_ELEM_SIZE = VRING_USED_ELEM.size;
const USED_ELEM_LEN = VRING_USED_ELEM.offsets.len;

/** What the two sides of a ring agreed on. */
export interface RingFeatures {
  /** VIRTIO_RING_F_EVENT_IDX */
  readonly eventIdx: boolean;
  /** VIRTIO_RING_F_INDIRECT_DESC */
  readonly indirect: boolean;
}

/**
 * The device half of a split virtqueue: takes available chains, returns used ones (VIRTIO 1.3, 2.7).
 *
 * Its books are private: nothing that the driver can write is read twice, and nothing of its own is read back.
 */
export class DeviceRing {
  readonly areas: VringAreas;
  /** The chain that takeAvail() took last. */
  readonly chain: Chain;
  readonly state = {
    /** Next available entry to take; free-running. */
    lastAvailIdx: 0,
    /** Available entries known to be there; free-running. */
    availIdx: 0,
    /** Next used entry to fill; free-running. */
    usedIdx: 0,
    /** Used entries the driver may see; free-running. */
    publishedUsedIdx: 0,
    /** 1 while the driver is asked to kick. */
    armed: 1,
  };
  /** By head: 1 while the device has it. */
  readonly #outstanding: Int32Array;
  readonly #features: RingFeatures;
  readonly #readTable: TableReader;
  /** A device may ignore the driver's wish not to be called; behind used-only relaying it has to. */
  readonly #alwaysCall: boolean;

  constructor(
    areas: VringAreas,
    features: RingFeatures,
    readTable: TableReader,
    start: RingState = { lastAvailIdx: 0, usedIdx: 0 },
    alwaysCall = false,
  ) {
    this.areas = checkedAreas(areas);
    this.chain = new Chain(areas.num, features.indirect);
    this.#outstanding = new Int32Array(areas.num);
    this.#features = features;
    this.#readTable = readTable;
    this.#alwaysCall = alwaysCall;
    this.state.lastAvailIdx = start.lastAvailIdx;
    this.state.availIdx = start.lastAvailIdx;
    this.state.usedIdx = start.usedIdx;
    this.state.publishedUsedIdx = start.usedIdx;
  }

  /** Chains taken and not yet returned. */
  get inFlight(): number {
    return u16(this.state.lastAvailIdx - this.state.usedIdx);
  }

  /** Used entries filled and not yet published. */
  get unpublished(): number {
    return u16(this.state.usedIdx - this.state.publishedUsedIdx);
  }

  /**
   * Takes the next available chain into `chain`, if there is one and its table is at hand.
   *
   * Throws PeerFault with the entry still in place: quarantine() then skips it, or the queue is broken.
   */
  takeAvail(): boolean {
    const { state, areas } = this;
    if (state.lastAvailIdx === state.availIdx && !this.#observeAvailIdx()) return false;
    const slot = state.lastAvailIdx & (areas.num - 1);
    const head = areas.availMemory.read16(areas.avail + RING_ENTRIES + slot * 2);
    if (head >= areas.num) throw headOutOfRange(head, areas.num);
    if (this.#outstanding[head] === 1) throw headOutstanding(head);
    if (!this.chain.load(areas, head, this.#readTable)) return false;
    this.#outstanding[head] = 1;
    state.lastAvailIdx = u16(state.lastAvailIdx + 1);
    return true;
  }

  /** Skips the chain at which takeAvail() threw, and returns it with nothing written. */
  quarantine(): void {
    this.state.lastAvailIdx = u16(this.state.lastAvailIdx + 1);
    this.addUsed(this.chain.head, 0);
  }

  /** Returns a chain that was taken; `len` is the number of bytes written into it (2.7.8.2). */
  addUsed(head: number, len: number): void {
    const { state, areas } = this;
    const at = areas.used + RING_ENTRIES + (state.usedIdx & (areas.num - 1)) * USED_ELEM_SIZE;
    areas.usedMemory.write32(at, head);
    areas.usedMemory.write32(at + USED_ELEM_LEN, len);
    this.#outstanding[head] = 0;
    state.usedIdx = u16(state.usedIdx + 1);
  }

  /** Makes the filled entries visible; true when the driver wants to be called for them. */
  publishUsed(): boolean {
    const { state, areas } = this;
    const oldIdx = state.publishedUsedIdx;
    if (oldIdx === state.usedIdx) return false;
    areas.usedMemory.publish16(areas.used + RING_IDX, state.usedIdx);
    state.publishedUsedIdx = state.usedIdx;
    areas.usedMemory.fence();
    return this.#alwaysCall || callWanted(areas, this.#features.eventIdx, state.usedIdx, oldIdx);
  }

  /** Asks for a kick, then looks again; true when nothing is available and sleeping is safe. */
  arm(): boolean {
    const { state, areas } = this;
    armKicks(areas, this.#features.eventIdx, state.lastAvailIdx);
    state.armed = 1;
    return !this.#observeAvailIdx();
  }

  /** Asks not to be kicked while it works; does nothing when that already holds. */
  disarm(): void {
    if (this.state.armed === 0) return;
    this.state.armed = 0;
    suppressKicks(this.areas, this.#features.eventIdx);
  }

  /** All that outlives a step. */
  parts(): Parts {
    return { state: this.state, tables: [this.#outstanding] };
  }

  #observeAvailIdx(): boolean {
    const { state, areas } = this;
    const availIdx = areas.availMemory.observe16(areas.avail + RING_IDX);
    const waiting = u16(availIdx - state.lastAvailIdx);
    if (waiting > areas.num) throw availIdxOverrun(waiting, areas.num);
    state.availIdx = availIdx;
    return waiting !== 0;
  }
}

// Apart from what throws them: V8 counts the bytes of a function, not what they cost, when it decides what to inline.

function headOutOfRange(head: number, num: number): PeerFault {
  return new PeerFault("head-out-of-range", `head ${head} in a queue of ${num}`);
}

function headOutstanding(head: number): PeerFault {
  return new PeerFault("head-outstanding", `head ${head} offered twice`);
}

function availIdxOverrun(waiting: number, num: number): PeerFault {
  return new PeerFault("avail-idx-overrun", `${waiting} entries offered in a queue of ${num}`);
}
