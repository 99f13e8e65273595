import { DirtyLog } from "../../dirty/dirty-log.js";
import { ForwardingMemory } from "../../memory/forwarding-memory.js";
import { RealMemory } from "../../memory/real-memory.js";
import { listNonZeroByWord, type SharedMemory } from "../../memory/shared-memory.js";

/** A dirty log that can be exchanged for another while the relay marks (VHOST_SET_LOG_BASE). */
export class SwappableLog extends ForwardingMemory {
  #current: SharedMemory;

  /** Begins with a log of `bytes` bytes. */
  constructor(bytes: number) {
    const first = new RealMemory(new ArrayBuffer(bytes));
    super(first);
    this.#current = first;
  }

  /** Puts an empty log in its place, then moves the marks of the old one over; `end` is one past the last address. */
  swap(end: number): void {
    const old = new DirtyLog(this.#current, 0, end);
    this.#current = new RealMemory(new ArrayBuffer(this.byteLength));
    old.moveTo(new DirtyLog(this.#current, 0, end));
  }

  override read32(offset: number): number {
    return this.#current.read32(offset);
  }

  override setBits32(offset: number, bits: number): void {
    this.#current.setBits32(offset, bits);
  }

  override takeBits32(offset: number): number {
    return this.#current.takeBits32(offset);
  }

  override listNonZero32(offset: number, end: number, found: Int32Array): number {
    return listNonZeroByWord(this, offset, end, found);
  }
}
