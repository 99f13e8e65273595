import type { DirtyLog } from "../dirty/dirty-log.js";
import { usedRingBytes, VRING_USED, VRING_USED_ELEM } from "../layout/virtio-ring.js";
import { u16 } from "../memory/shared-memory.js";
import { COUNTERS } from "../telemetry/counters.js";

/**
 * Which bytes of a used buffer count as written.
 *
 * "all-writable": the whole writable extent captured when the chain was forwarded; right whatever the device reports.
 * "used-len": the first `len` bytes of it; fewer pages, and wrong when a device writes more than it says (VIRTIO 1.3
 * allows that, 2.7.8.2).
 */
export type MarkPolicy = "all-writable" | "used-len";

/** Marks what the relay itself writes into a guest's used ring, each time after it is written. */
export class GuestMarks {
  /** Where the marks go; undefined while nobody logs (VHOST_F_LOG_ALL off). */
  log: DirtyLog | undefined;
  readonly policy: MarkPolicy;
  readonly #used: number;
  readonly #num: number;
  readonly #counters: Float64Array;

  /** For a used ring of `num` entries at guest address `used`. */
  constructor(log: DirtyLog | undefined, policy: MarkPolicy, used: number, num: number, counters: Float64Array) {
    this.log = log;
    this.policy = policy;
    this.#used = used;
    this.#num = num;
    this.#counters = counters;
  }

  /** Marks the entries from `oldIdx` up to `newIdx`, both free-running, and the index itself. */
  usedEntries(oldIdx: number, newIdx: number): void {
    if (this.log === undefined) return;
    const count = u16(newIdx - oldIdx);
    const slot = oldIdx & (this.#num - 1);
    const straight = Math.min(count, this.#num - slot);
    this.#mark(0, VRING_USED.offsets.ring);
    this.#mark(entryOffset(slot), straight * VRING_USED_ELEM.size);
    this.#mark(entryOffset(0), (count - straight) * VRING_USED_ELEM.size);
  }

  /** Marks the words by which the guest is asked to kick or not to: flags, and avail_event. */
  eventWord(): void {
    if (this.log === undefined) return;
    this.#mark(VRING_USED.offsets.flags, 2);
    this.#mark(usedRingBytes(this.#num) - 2, 2);
  }

  /** Marks the whole used ring, as whoever takes over from an unknown state does. */
  all(): void {
    this.#mark(0, usedRingBytes(this.#num));
  }

  #mark(offset: number, bytes: number): void {
    if (this.log === undefined) return;
    this.#counters[COUNTERS.dirtyMarks]! += this.log.markRange(this.#used + offset, bytes);
  }
}

function entryOffset(slot: number): number {
  return VRING_USED.offsets.ring + slot * VRING_USED_ELEM.size;
}
