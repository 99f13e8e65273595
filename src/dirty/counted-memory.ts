import { ForwardingMemory } from "../memory/forwarding-memory.js";

/** Memory of a log that counts the read-modify-writes of whoever marks in it, and the words they were for. */
export class CountedMemory extends ForwardingMemory {
  /** Calls of setBits32 so far. */
  sets = 0;
  /** Words that were set, each counted once between two calls of nextMark(). */
  touched = 0;
  /** False while somebody measures what a mark costs. */
  counts = true;
  readonly #touched = new Set<number>();

  /** What is set from now on belongs to another mark: a word that is set again counts again. */
  nextMark(): void {
    if (this.#touched.size > 0) this.#touched.clear();
  }

  override setBits32(offset: number, bits: number): void {
    if (this.counts) this.#count(offset);
    this.inner.setBits32(offset, bits);
  }

  /** At full speed: looks are not counted. */
  override listNonZero32(offset: number, end: number, found: Int32Array): number {
    return this.inner.listNonZero32(offset, end, found);
  }

  #count(offset: number): void {
    this.sets += 1;
    if (this.#touched.has(offset)) return;
    this.#touched.add(offset);
    this.touched += 1;
  }
}
