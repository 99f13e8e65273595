import {
  VHOST_IOTLB_ACCESS_FAIL,
  VHOST_IOTLB_INVALIDATE,
  VHOST_IOTLB_MISS,
  VHOST_IOTLB_UPDATE,
} from "../layout/vhost.js";
import { assert } from "../memory/assert.js";
import type { Bell } from "../memory/bell.js";
import type { SharedMemory } from "../memory/shared-memory.js";
import type { IotlbMessage, IotlbRing } from "./iotlb-ring.js";

/** Mappings a device remembers; what it forgets costs one miss. */
const IOTLB_CAPACITY = 1024;

const COLUMNS = 3;
const BACKING = 0;
const OFFSET = 1;
const PERM = 2;

/** Bytes of the device's table: first and last address as doubles, then three int32 columns. */
export const IOTLB_TABLE_BYTES = IOTLB_CAPACITY * (8 + 8 + COLUMNS * 4);

/** A place in a backing buffer as one number, for the `uaddr` of a message: 2^40 to a backing. */
export function iotlbPlace(backing: number, offset: number): number {
  return backing * 2 ** 40 + offset;
}

/** How a translation ended. */
export type Translation = "ok" | "miss" | "unmapped" | "denied";

/**
 * The device's translation cache: all it knows of guest memory and rings comes through here (vhost's device IOTLB).
 *
 * A miss is sent to the relay; the caller keeps its chain and asks again after the next poll().
 */
export class Iotlb {
  /** Where the last translation led: memory, byte offset in it, and the bytes that are contiguous there. */
  memory: SharedMemory;
  offset = 0;
  bytes = 0;
  readonly state = {
    /** Mappings known. */
    count: 0,
    /** Which mapping to forget next when the table is full. */
    victim: 0,
    /** 1 while a miss is out. */
    missing: 0,
    /** Address the relay refused last; −1 when none. */
    refused: -1,
    /** Index of the last hit. */
    last: 0,
    /** Misses sent so far. */
    misses: 0,
  };
  readonly #starts: Float64Array;
  readonly #lasts: Float64Array;
  readonly #rows: Int32Array;
  readonly #fromRelay: IotlbRing;
  readonly #toRelay: IotlbRing;
  readonly #relay: Bell;
  readonly #backings: readonly SharedMemory[];

  /** Keeps its table in `table` (IOTLB_TABLE_BYTES), where others can print it; `relay` wakes who answers misses. */
  constructor(
    table: { readonly buffer: SharedArrayBuffer | ArrayBuffer; readonly offset: number },
    fromRelay: IotlbRing,
    toRelay: IotlbRing,
    relay: Bell,
    backings: readonly SharedMemory[],
  ) {
    const { buffer, offset } = table;
    this.#starts = new Float64Array(buffer, offset, IOTLB_CAPACITY);
    this.#lasts = new Float64Array(buffer, offset + IOTLB_CAPACITY * 8, IOTLB_CAPACITY);
    this.#rows = new Int32Array(buffer, offset + IOTLB_CAPACITY * 16, IOTLB_CAPACITY * COLUMNS);
    this.#fromRelay = fromRelay;
    this.#toRelay = toRelay;
    this.#relay = relay;
    this.#backings = backings;
    this.memory = backings[0]!;
  }

  /** Takes in what the relay sent; true when there was anything. */
  poll(): boolean {
    let any = false;
    while (this.#fromRelay.receive()) {
      this.#apply(this.#fromRelay.message);
      any = true;
    }
    return any;
  }

  /** Forgets everything, also what is under way, as a device does that is reset: its next driver may map anew. */
  clear(): void {
    this.poll();
    Object.assign(this.state, { count: 0, victim: 0, missing: 0, refused: -1, last: 0 });
  }

  /** Translates `address` for accesses of kind `perm`; on "ok" memory, offset and bytes are set. */
  translate(address: number, perm: number): Translation {
    const index = this.#find(address);
    if (index < 0) return this.#miss(address, perm);
    const row = index * COLUMNS;
    if ((this.#rows[row + PERM]! & perm) !== perm) return "denied";
    const into = address - this.#starts[index]!;
    this.memory = this.#backings[this.#rows[row + BACKING]!]!;
    this.offset = this.#rows[row + OFFSET]! + into;
    this.bytes = this.#lasts[index]! - address + 1;
    return "ok";
  }

  /** The mappings it knows, in order of address, for dumps. */
  entries(): { iova: number; bytes: number; backing: number; offset: number; perm: number }[] {
    return Array.from({ length: this.state.count }, (_, i) => ({
      iova: this.#starts[i]!,
      bytes: this.#lasts[i]! - this.#starts[i]! + 1,
      backing: this.#rows[i * COLUMNS + BACKING]!,
      offset: this.#rows[i * COLUMNS + OFFSET]!,
      perm: this.#rows[i * COLUMNS + PERM]!,
    }));
  }

  #find(address: number): number {
    const { state } = this;
    const starts = this.#starts;
    const lasts = this.#lasts;
    if (state.last < state.count && address >= starts[state.last]! && address <= lasts[state.last]!) return state.last;
    const index = this.#below(address);
    if (index < 0 || address > lasts[index]!) return -1;
    state.last = index;
    return index;
  }

  /** The last mapping that starts at or below `address`; −1 when there is none. */
  #below(address: number): number {
    let low = 0;
    let high = this.state.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#starts[middle]! <= address) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #miss(address: number, perm: number): Translation {
    const { state } = this;
    if (!Number.isSafeInteger(address) || address === state.refused) {
      state.refused = -1;
      return "unmapped";
    }
    if (state.missing === 1) return "miss";
    if (!this.#toRelay.send({ iova: address, size: 1, uaddr: 0, perm, type: VHOST_IOTLB_MISS })) return "miss";
    state.missing = 1;
    state.misses += 1;
    this.#relay.ring();
    return "miss";
  }

  #apply(message: IotlbMessage): void {
    const { state } = this;
    if (message.type === VHOST_IOTLB_INVALIDATE) {
      this.#remove(message.iova, message.size);
      return;
    }
    state.missing = 0;
    if (message.type === VHOST_IOTLB_ACCESS_FAIL) state.refused = message.iova;
    if (message.type === VHOST_IOTLB_UPDATE) this.#insert(message);
  }

  #insert(message: IotlbMessage): void {
    const { state } = this;
    this.#remove(message.iova, message.size);
    if (state.count === IOTLB_CAPACITY) {
      this.#removeAt(state.victim);
      state.victim = (state.victim + 1) % IOTLB_CAPACITY;
    }
    const at = this.#below(message.iova) + 1;
    this.#shift(at, 1);
    this.#starts[at] = message.iova;
    this.#lasts[at] = message.iova + message.size - 1;
    this.#rows[at * COLUMNS + BACKING] = Math.floor(message.uaddr / 2 ** 40);
    this.#rows[at * COLUMNS + OFFSET] = message.uaddr % 2 ** 40;
    this.#rows[at * COLUMNS + PERM] = message.perm;
    state.count += 1;
  }

  #remove(start: number, size: number): void {
    let at = Math.max(0, this.#below(start));
    while (at < this.state.count && this.#starts[at]! < start + size) {
      if (this.#lasts[at]! >= start) this.#removeAt(at);
      else at += 1;
    }
  }

  #removeAt(at: number): void {
    this.#shift(at + 1, -1);
    this.state.count -= 1;
  }

  #shift(from: number, by: number): void {
    const { count } = this.state;
    assert(from + by >= 0 && count + by <= IOTLB_CAPACITY, "the table has room");
    this.#starts.copyWithin(from + by, from, count);
    this.#lasts.copyWithin(from + by, from, count);
    this.#rows.copyWithin((from + by) * COLUMNS, from * COLUMNS, count * COLUMNS);
  }
}
