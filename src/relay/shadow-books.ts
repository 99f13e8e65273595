import type { Parts } from "../memory/role.js";
import { u16 } from "../memory/shared-memory.js";
import type { Accounting } from "../ring/driver-ring.js";

/** Columns of the private books: one row of int32 for each shadow descriptor. */
export const BOOKS = {
  /** Next free descriptor, or next of its chain. */
  next: 0,
  /** Descriptors of the chain; 0 unless an outstanding chain starts here. */
  count: 1,
  /** The guest's head of the chain that starts here. */
  head: 2,
  /** Position of that chain in the guest's available ring; free-running. */
  availIdx: 3,
  /** Guest page frame of the buffer, and its offset in that page. */
  page: 4,
  offset: 5,
  /** Bytes of the buffer, negative where the device may only read. */
  length: 6,
  /** log2 of the columns of a row. */
  rowShift: 3,
} as const;

const ROW_SHIFT = BOOKS.rowShift;

/**
 * The private books of a shadow ring: free list, chains in flight, and what the device may write.
 *
 * Nothing here is ever read back from shared memory. The walk of the relay works on `rows` and `outstanding` itself;
 * what is done once in a while is done here.
 */
export class ShadowBooks {
  readonly rows: Int32Array;
  /** By guest head: 0, or the fault code of offering a head that is outstanding. */
  readonly outstanding: Int32Array;
  readonly state = {
    /** First free shadow descriptor, when there is one. */
    freeHead: 0,
    /** Free shadow descriptors. */
    freeCount: 0,
  };
  readonly #num: number;

  /** For a shadow ring of `num` entries behind a guest's ring of `guestNum`; everything is free. */
  constructor(num: number, guestNum: number) {
    this.#num = num;
    this.rows = new Int32Array(num << ROW_SHIFT);
    for (let index = 0; index < num; index++) this.rows[(index << ROW_SHIFT) + BOOKS.next] = index + 1;
    this.outstanding = new Int32Array(guestNum);
    this.state.freeCount = num;
  }

  /** Bytes of a chain that is being written or is in flight, readable and writable. */
  chainBytes(first: number, count: number): number {
    let bytes = 0;
    this.#eachRow(first, count, (row) => {
      bytes += Math.abs(this.rows[row + BOOKS.length]!);
    });
    return bytes;
  }

  /** Calls `visit` with guest address and length of the first `bytes` bytes that the device may write to a chain. */
  eachWritten(first: number, count: number, bytes: number, visit: (address: number, bytes: number) => void): void {
    let left = bytes;
    this.#eachRow(first, count, (row) => {
      const length = Math.min(left, this.rows[row + BOOKS.length]!);
      if (length <= 0) return;
      visit(this.rows[row + BOOKS.page]! * 4096 + this.rows[row + BOOKS.offset]!, length);
      left -= length;
    });
  }

  /** Calls `visit` with the first descriptor and the length of every chain in flight. */
  eachInFlight(visit: (first: number, count: number) => void): void {
    for (let index = 0; index < this.#num; index++) {
      const count = this.rows[(index << ROW_SHIFT) + BOOKS.count]!;
      if (count !== 0) visit(index, count);
    }
  }

  /** Frees a chain in flight that the device never fetched. */
  takeBack(first: number): void {
    const { rows, state } = this;
    const row = first << ROW_SHIFT;
    const count = rows[row + BOOKS.count]!;
    let tail = row;
    this.#eachRow(first, count, (last) => {
      tail = last;
    });
    rows[tail + BOOKS.next] = state.freeHead;
    rows[row + BOOKS.count] = 0;
    this.outstanding[rows[row + BOOKS.head]!] = 0;
    state.freeHead = first;
    state.freeCount += count;
  }

  /** Counts descriptors one by one: free ones along the free list, the others by the chains that hold them. */
  accounting(): Accounting {
    let free = 0;
    for (let index = this.state.freeHead; free < this.state.freeCount && index < this.#num; free++) {
      index = this.rows[(index << ROW_SHIFT) + BOOKS.next]!;
    }
    let inFlight = 0;
    for (let index = 0; index < this.#num; index++) inFlight += this.rows[(index << ROW_SHIFT) + BOOKS.count]!;
    return { size: this.#num, free, inFlight };
  }

  /** All that outlives a step. */
  parts(): Parts {
    return { state: this.state, tables: [this.rows, this.outstanding] };
  }

  #eachRow(first: number, count: number, visit: (row: number) => void): void {
    let index = first;
    for (let i = 0; i < count; i++) {
      visit(index << ROW_SHIFT);
      index = this.rows[(index << ROW_SHIFT) + BOOKS.next]!;
    }
  }
}

/**
 * Chains in flight that a guest loses when its ring goes on at the used index: those older than what is offered again.
 *
 * `parts` is ShadowVirtqueue.parts(). None, as long as the device returned chains in their order.
 */
export function lostAtUsedIdx({ state, tables }: Parts): number {
  const rows = tables[0]!;
  const newest = state["lastAvailIdx"]!;
  const offeredAgain = u16(newest - state["guestUsedIdx"]!);
  let lost = 0;
  for (let row = 0; row < rows.length; row += 1 << ROW_SHIFT) {
    if (rows[row + BOOKS.count] !== 0 && u16(newest - rows[row + BOOKS.availIdx]!) > offeredAgain) lost++;
  }
  return lost;
}
