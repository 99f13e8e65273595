import { RealMemory } from "./real-memory.js";

/**
 * Shared words that only one thread touches: the verbs of the contract without their atomics.
 *
 * What one thread does it sees in order, and nobody else looks: a plain access gives all that the contract asks. For a
 * ring between roles that are stepped by the same thread, where an atomic would be a call of 10 ns and order nothing.
 * Whoever gives such memory to two threads loses indices and marks.
 */
export class LocalMemory extends RealMemory {
  override observe16(offset: number): number {
    return this.read16(offset);
  }

  override publish16(offset: number, value: number): void {
    this.write16(offset, value);
  }

  override setBits32(offset: number, bits: number): void {
    this.write32(offset, this.read32(offset) | bits);
  }

  override takeBits32(offset: number): number {
    const bits = this.read32(offset);
    this.write32(offset, 0);
    return bits;
  }
}
