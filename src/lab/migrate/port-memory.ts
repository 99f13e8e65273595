import { RealMemory } from "../../memory/real-memory.js";
import { listNonZeroByWord, type SharedMemory } from "../../memory/shared-memory.js";
import type { WritePort } from "../../vfio/dma.js";

/**
 * A region of guest RAM as one party reaches it: each of its stores goes through the party's choke point.
 *
 * What the party's translation refuses is not stored. The region can be moved to other memory, as the guest moves.
 */
export class PortMemory implements SharedMemory {
  readonly byteLength: number;
  readonly #port: WritePort;
  readonly #gpa: number;
  /** Called before a store. */
  readonly #beforeStore: () => void;
  #memory: SharedMemory;

  /** `gpa` is that of offset 0. */
  constructor(memory: SharedMemory, port: WritePort, gpa: number, beforeStore: () => void = () => {}) {
    this.byteLength = memory.byteLength;
    this.#memory = memory;
    this.#port = port;
    this.#gpa = gpa;
    this.#beforeStore = beforeStore;
  }

  /** Reaches other memory of the same size from now on. */
  moveTo(buffer: SharedArrayBuffer): void {
    this.#memory = new RealMemory(buffer);
  }

  read16(offset: number): number {
    return this.#memory.read16(offset);
  }

  read32(offset: number): number {
    return this.#memory.read32(offset);
  }

  copyOut(offset: number, target: Uint8Array): void {
    this.#memory.copyOut(offset, target);
  }

  observe16(offset: number): number {
    return this.#memory.observe16(offset);
  }

  write16(offset: number, value: number): void {
    this.#store(offset, 2, () => this.#memory.write16(offset, value));
  }

  write32(offset: number, value: number): void {
    this.#store(offset, 4, () => this.#memory.write32(offset, value));
  }

  copyIn(offset: number, source: Uint8Array): void {
    this.#store(offset, source.length, () => this.#memory.copyIn(offset, source));
  }

  publish16(offset: number, value: number): void {
    this.#store(offset, 2, () => this.#memory.publish16(offset, value));
  }

  setBits32(offset: number, bits: number): void {
    this.#store(offset, 4, () => this.#memory.setBits32(offset, bits));
  }

  takeBits32(offset: number): number {
    let bits = 0;
    this.#store(offset, 4, () => {
      bits = this.#memory.takeBits32(offset);
    });
    return bits;
  }

  listNonZero32(offset: number, end: number, found: Int32Array): number {
    return listNonZeroByWord(this, offset, end, found);
  }

  fence(): void {
    this.#memory.fence();
  }

  #store(offset: number, bytes: number, store: () => void): void {
    this.#beforeStore();
    if (!this.#port.permit(this.#gpa + offset, bytes)) return;
    store();
    this.#port.written(this.#gpa + offset, bytes);
  }
}
