import { ForwardingMemory } from "./forwarding-memory.js";
import type { SharedMemory } from "./shared-memory.js";

/**
 * Memory whose writes through this object go to a copy as well.
 *
 * Given to one side only, the copy ends up holding what memory would be if nobody else had written: what differs, the
 * others have changed. For oracles; never in a timed run.
 */
export class MirroredMemory extends ForwardingMemory {
  readonly #copy: SharedMemory;

  constructor(inner: SharedMemory, copy: SharedMemory) {
    super(inner);
    this.#copy = copy;
  }

  override write16(offset: number, value: number): void {
    this.#copy.write16(offset, value);
    this.inner.write16(offset, value);
  }

  override write32(offset: number, value: number): void {
    this.#copy.write32(offset, value);
    this.inner.write32(offset, value);
  }

  override copyIn(offset: number, source: Uint8Array): void {
    this.#copy.copyIn(offset, source);
    this.inner.copyIn(offset, source);
  }

  override publish16(offset: number, value: number): void {
    this.#copy.publish16(offset, value);
    this.inner.publish16(offset, value);
  }

  override setBits32(offset: number, bits: number): void {
    this.#copy.setBits32(offset, bits);
    this.inner.setBits32(offset, bits);
  }
}
