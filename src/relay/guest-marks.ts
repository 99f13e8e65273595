import { bitsBetween, type DirtyLog, WORD_SHIFT } from "../dirty/dirty-log.js";
import { usedRingBytes, VRING_USED, VRING_USED_ELEM } from "../layout/virtio-ring.js";
import { PAGE_BYTES, PAGE_SHIFT } from "../memory/address.js";
import { u16 } from "../memory/shared-memory.js";
import { COUNTERS } from "../telemetry/counters.js";

// A constant of this file's own: V8 folds it, where it would reload an imported binding at each use.
const N_DIRTY_MARKS = COUNTERS.dirtyMarks;

/**
 * Which bytes of a used buffer count as written.
 *
 * "all-writable": the whole writable extent captured when the chain was forwarded; right whatever the device reports.
 * "used-len": the first `len` bytes of it; fewer pages, and wrong when a device writes more than it says (VIRTIO 1.3
 * allows that, 2.7.8.2).
 * "hybrid": as "used-len", and the whole extent of what is still in flight when the device is stopped.
 */
export type MarkPolicy = "all-writable" | "used-len" | "hybrid";

/** Marks what the relay itself writes into a guest's used ring, each time after it is written. */
export class GuestMarks {
  /** Where the marks go; undefined while nobody logs (VHOST_F_LOG_ALL off). */
  log: DirtyLog | undefined;
  readonly policy: MarkPolicy;
  readonly #used: number;
  /** Page of the flags and where in it they are; page of the index behind them. */
  readonly #firstPage: number;
  readonly #within: number;
  readonly #indexPage: number;
  /** Bit of the page, in its word of the log, that the whole used ring lies in; 0 when it takes several. */
  readonly #onlyPage: number;
  readonly #num: number;
  readonly #counters: Float64Array;

  /** For a used ring of `num` entries at guest address `used`. */
  constructor(log: DirtyLog | undefined, policy: MarkPolicy, used: number, num: number, counters: Float64Array) {
    this.log = log;
    this.policy = policy;
    this.#used = used;
    this.#firstPage = (used / PAGE_BYTES) | 0;
    this.#within = used % PAGE_BYTES;
    this.#indexPage = this.#pageAt(VRING_USED.offsets.ring - 1);
    const oneWillDo = this.#pageAt(usedRingBytes(num) - 1) === this.#firstPage;
    this.#onlyPage = oneWillDo ? bitsBetween(this.#firstPage, this.#firstPage) : 0;
    this.#num = num;
    this.#counters = counters;
  }

  /** Marks the entries from `oldIdx` up to `newIdx`, both free-running, and the index itself. */
  usedEntries(oldIdx: number, newIdx: number): void {
    if (this.log === undefined) return;
    if (this.#onlyPage !== 0) {
      this.#markWord(this.#firstPage, this.#onlyPage);
      return;
    }
    const count = u16(newIdx - oldIdx);
    const slot = oldIdx & (this.#num - 1);
    const straight = Math.min(count, this.#num - slot);
    const last = this.#pageAt(entryOffset(slot + straight) - 1);
    if (last >>> WORD_SHIFT === this.#firstPage >>> WORD_SHIFT) {
      // Index and entries in one word of the log, as nearly always: one read-modify-write, also over the ring's end.
      let bits = bitsBetween(this.#firstPage, this.#indexPage) | bitsBetween(this.#pageAt(entryOffset(slot)), last);
      if (straight < count) {
        bits |= bitsBetween(this.#pageAt(entryOffset(0)), this.#pageAt(entryOffset(count - straight) - 1));
      }
      this.#markWord(last, bits);
      return;
    }
    this.#mark(0, VRING_USED.offsets.ring);
    this.#mark(entryOffset(slot), straight * VRING_USED_ELEM.size);
    this.#mark(entryOffset(0), (count - straight) * VRING_USED_ELEM.size);
  }

  /** Whether what was returned counts by its used length. */
  get exact(): boolean {
    return this.policy !== "all-writable";
  }

  /** Marks the words by which the guest is asked to kick or not to: flags, and avail_event. */
  eventWord(): void {
    if (this.log === undefined) return;
    const event = usedRingBytes(this.#num) - 2;
    const last = this.#pageAt(event);
    if (last >>> WORD_SHIFT !== this.#firstPage >>> WORD_SHIFT) {
      this.#mark(VRING_USED.offsets.flags, 2);
      this.#mark(event, 2);
      return;
    }
    const bits = bitsBetween(this.#firstPage, this.#firstPage) | bitsBetween(last, last);
    this.#markWord(last, bits);
  }

  /** Marks the whole used ring, as whoever takes over from an unknown state does. */
  all(): void {
    this.#mark(0, usedRingBytes(this.#num));
  }

  /** The page of a byte of the used ring. */
  #pageAt(offset: number): number {
    return this.#firstPage + ((this.#within + offset) >>> PAGE_SHIFT);
  }

  /** Marks pages in the word of the log that `page` is in. */
  #markWord(page: number, bits: number): void {
    this.log!.markWord(page >>> WORD_SHIFT, bits);
    this.#counters[N_DIRTY_MARKS]! += 1;
  }

  #mark(offset: number, bytes: number): void {
    if (this.log === undefined) return;
    this.#counters[N_DIRTY_MARKS]! += this.log.markRange(this.#used + offset, bytes);
  }
}

function entryOffset(slot: number): number {
  return VRING_USED.offsets.ring + slot * VRING_USED_ELEM.size;
}
