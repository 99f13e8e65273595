import { VHOST_IOTLB_MSG } from "../layout/vhost.js";
import { highHalf, joinHalves, lowHalf } from "../memory/address.js";
import { type SharedMemory, u16 } from "../memory/shared-memory.js";

/** One IOTLB message: struct vhost_iotlb_msg with its addresses as numbers below 2^53. */
export interface IotlbMessage {
  iova: number;
  /** Bytes. */
  size: number;
  /** Where the bytes are: see iotlbPlace() in iotlb.ts. */
  uaddr: number;
  /** VHOST_ACCESS_RO, _WO or _RW. */
  perm: number;
  /** VHOST_IOTLB_MISS, _UPDATE, _INVALIDATE or _ACCESS_FAIL. */
  type: number;
}

/** Messages that can wait in one direction. */
const CAPACITY = 64;
const SENT = 0;
const RECEIVED = 64;
const MESSAGES = 128;

/** Bytes of one direction of an IOTLB channel. */
export const IOTLB_RING_BYTES = MESSAGES + CAPACITY * VHOST_IOTLB_MSG.size;

const M = VHOST_IOTLB_MSG.offsets;

/**
 * One direction of the IOTLB channel: struct vhost_iotlb_msg records, one sender, one receiver.
 *
 *     0    sent index      (sender publishes)
 *     64   received index  (receiver publishes)
 *     128  64 records of 32 bytes
 */
export class IotlbRing {
  /** The message that receive() took last. */
  readonly message: IotlbMessage = { iova: 0, size: 0, uaddr: 0, perm: 0, type: 0 };
  readonly state = { sent: 0, received: 0 };
  readonly #memory: SharedMemory;
  readonly #base: number;

  /** Goes on where whoever had this end before left off; zeroed memory is an empty ring. */
  constructor(memory: SharedMemory, base: number) {
    this.#memory = memory;
    this.#base = base;
    this.state.sent = memory.observe16(base + SENT);
    this.state.received = memory.observe16(base + RECEIVED);
  }

  /** Sends a message; false, with nothing sent, while the ring is full. */
  send(message: IotlbMessage): boolean {
    if (u16(this.state.sent - this.#memory.observe16(this.#base + RECEIVED)) >= CAPACITY) return false;
    const at = this.#slot(this.state.sent);
    this.#write64(at + M.iova, message.iova);
    this.#write64(at + M.size, message.size);
    this.#write64(at + M.uaddr, message.uaddr);
    this.#memory.write16(at + M.perm, message.perm | (message.type << 8));
    this.state.sent = u16(this.state.sent + 1);
    this.#memory.publish16(this.#base + SENT, this.state.sent);
    return true;
  }

  /** Whether a message waits. */
  waiting(): boolean {
    return this.#memory.observe16(this.#base + SENT) !== this.state.received;
  }

  /** Takes the next message into `message`, if there is one. */
  receive(): boolean {
    if (!this.waiting()) return false;
    const at = this.#slot(this.state.received);
    const { message } = this;
    message.iova = this.#read64(at + M.iova);
    message.size = this.#read64(at + M.size);
    message.uaddr = this.#read64(at + M.uaddr);
    const word = this.#memory.read16(at + M.perm);
    message.perm = word & 0xff;
    message.type = word >>> 8;
    this.state.received = u16(this.state.received + 1);
    this.#memory.publish16(this.#base + RECEIVED, this.state.received);
    return true;
  }

  /** Whether the receiver has taken all that was sent: an invalidation is complete only then. */
  drained(): boolean {
    return this.#memory.observe16(this.#base + RECEIVED) === this.state.sent;
  }

  #slot(index: number): number {
    return this.#base + MESSAGES + (index & (CAPACITY - 1)) * VHOST_IOTLB_MSG.size;
  }

  #write64(at: number, value: number): void {
    this.#memory.write32(at, lowHalf(value));
    this.#memory.write32(at + 4, highHalf(value));
  }

  #read64(at: number): number {
    return joinHalves(this.#memory.read32(at), this.#memory.read32(at + 4));
  }
}
