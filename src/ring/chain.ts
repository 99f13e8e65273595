import { VRING_DESC, VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE } from "../layout/virtio-ring.js";
import { joinHalves } from "../memory/address.js";
import { RealMemory } from "../memory/real-memory.js";
import type { SharedMemory } from "../memory/shared-memory.js";
import { indirectFault, orderFault } from "./chain-rules.js";
import { faultReason, PeerFault } from "./peer-fault.js";
import type { VringAreas } from "./vring-areas.js";

/** Fetches an indirect table in the address space of the ring: "miss" means "not yet, ask again". */
export type TableReader = (address: number, target: Uint8Array) => "ok" | "miss" | "unmapped";

// Constants of this file's own: V8 folds them, where it would reload an imported binding at each use.
const NEXT = VRING_DESC_F_NEXT;
const WRITE = VRING_DESC_F_WRITE;
const INDIRECT = VRING_DESC_F_INDIRECT;
const DESC_SIZE = VRING_DESC.size;
const DESC_LEN = VRING_DESC.offsets.len;
const DESC_FLAGS = VRING_DESC.offsets.flags;

/**
 * A private copy of one chain: each descriptor is read once, and all that is decided is decided on the copy.
 *
 * Holds at most `num` elements, direct and indirect together (VIRTIO 1.3, 2.7.5.3.1).
 */
export class Chain {
  /** First descriptor of the chain; what goes back in the used ring. */
  head = 0;
  /** Number of elements. */
  count = 0;
  /** Number of elements the device may only read; they come first. */
  readableCount = 0;
  /** Bytes the device may write. */
  writableBytes = 0;
  /** Bytes the device may read. */
  readableBytes = 0;
  /** Addresses; NaN where one is 2^53 or above. */
  readonly addresses: Float64Array;
  /** Lengths in bytes, up to 2^32 − 1. */
  readonly lengths: Uint32Array;
  readonly #indirect: boolean;
  readonly #table: Uint8Array;
  readonly #tableMemory: SharedMemory;

  /** For rings of `num` entries; `indirect`: VIRTIO_RING_F_INDIRECT_DESC was negotiated. */
  constructor(num: number, indirect: boolean) {
    this.addresses = new Float64Array(num);
    this.lengths = new Uint32Array(num);
    this.#indirect = indirect;
    const buffer = new ArrayBuffer(indirect ? num * DESC_SIZE : 0);
    this.#table = new Uint8Array(buffer);
    this.#tableMemory = new RealMemory(buffer);
  }

  /**
   * Copies the chain that starts at `head`; false when its table cannot be fetched yet.
   *
   * Throws PeerFault for every rule of a chain that is broken.
   */
  load(ring: VringAreas, head: number, readTable: TableReader): boolean {
    this.#reset(head);
    let memory = ring.descMemory;
    let table = ring.desc;
    let limit = ring.num;
    let index = head;
    let flagsSeen = 0;
    for (;;) {
      if (index >= limit) throw nextOutOfRange(index, limit);
      const at = table + index * DESC_SIZE;
      const address = joinHalves(memory.read32(at), memory.read32(at + 4));
      const length = memory.read32(at + DESC_LEN) >>> 0;
      const last = memory.read32(at + DESC_FLAGS);
      const flags = last & 0xffff;
      if ((flags & INDIRECT) !== 0) {
        const nested = memory === this.#tableMemory;
        this.#refuse(indirectFault(flags, length, this.#indirect, nested, this.count, ring.num), index);
        if (!this.#fetchTable(address, length, readTable)) return false;
        memory = this.#tableMemory;
        table = 0;
        limit = length / DESC_SIZE;
        index = 0;
        continue;
      }
      if (this.count === ring.num) throw chainTooLong(head, ring.num);
      this.#refuse(orderFault(flags, flagsSeen), index);
      flagsSeen |= flags & WRITE;
      this.#append(address, length, flags);
      if ((flags & NEXT) === 0) return true;
      index = last >>> 16;
    }
  }

  /** False when the table cannot be fetched yet. */
  #fetchTable(address: number, bytes: number, readTable: TableReader): boolean {
    const fetched = readTable(address, this.#table.subarray(0, bytes));
    if (fetched === "unmapped") throw new PeerFault("address-unmapped", `indirect table of ${bytes} bytes`);
    return fetched === "ok";
  }

  #reset(head: number): void {
    this.head = head;
    this.count = 0;
    this.readableCount = 0;
    this.writableBytes = 0;
    this.readableBytes = 0;
  }

  #append(address: number, length: number, flags: number): void {
    this.addresses[this.count] = address;
    this.lengths[this.count] = length;
    this.count += 1;
    if ((flags & WRITE) !== 0) {
      this.writableBytes += length;
    } else {
      this.readableCount += 1;
      this.readableBytes += length;
    }
  }

  #refuse(code: number, index: number): void {
    if (code !== 0) throw brokenRule(code, index, this.head);
  }
}

// Apart from what throws them: V8 counts the bytes of a function, not what they cost, when it decides what to inline.

function nextOutOfRange(index: number, limit: number): PeerFault {
  return new PeerFault("next-out-of-range", `descriptor ${index} of a table of ${limit}`);
}

function chainTooLong(head: number, num: number): PeerFault {
  return new PeerFault("chain-too-long", `more than ${num} elements from head ${head}`);
}

function brokenRule(code: number, index: number, head: number): PeerFault {
  return new PeerFault(faultReason(code), `descriptor ${index} of the chain from head ${head}`);
}
