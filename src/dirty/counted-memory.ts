import { ForwardingMemory } from "../memory/forwarding-memory.js";

/** Memory of a log that counts the read-modify-writes of whoever marks in it. */
export class CountedMemory extends ForwardingMemory {
  /** Calls of setBits32 so far. */
  sets = 0;

  override setBits32(offset: number, bits: number): void {
    this.sets += 1;
    this.inner.setBits32(offset, bits);
  }

  /** At full speed: looks are not counted. */
  override listNonZero32(offset: number, end: number, found: Int32Array): number {
    return this.inner.listNonZero32(offset, end, found);
  }
}
