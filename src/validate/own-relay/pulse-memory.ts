import type { Heartbeat } from "../../memory/heartbeat.js";
import type { SharedMemory } from "../../memory/shared-memory.js";
import { listNonZeroByWord } from "../../memory/shared-memory.js";
import { Violation } from "../oracles/violation.js";

/** Accesses in one turn, in a rig without a budget of its own. */
const TURN_MAX = 1_000_000;

/** What all memories of one relay share: where its accesses are counted, and what an oracle said to it. */
export class Pulse {
  readonly #heart: Heartbeat | undefined;
  #accesses = 0;
  /** What an access threw: a relay that catches everything would carry on as if nothing had been. */
  #thrown: { readonly what: unknown } | undefined;
  readonly #turnMax: number;

  /** A turn of more than `turnMax` accesses is a violation. */
  constructor(heart: Heartbeat | undefined, turnMax = TURN_MAX) {
    this.#heart = heart;
    this.#turnMax = turnMax;
    heart?.begin();
  }

  /** A call of the relay begins. */
  turn(): void {
    this.#accesses = 0;
    this.#heart?.beat();
  }

  /** Throws what an access has thrown and the relay has caught. */
  check(): void {
    if (this.#thrown !== undefined) throw this.#thrown.what;
  }

  /** Makes an access; throws Violation for one too many in a turn. */
  access<T>(make: () => T): T {
    this.#heart?.beat();
    if (++this.#accesses > this.#turnMax) {
      this.#thrown ??= { what: new Violation("O7", 38, `a turn of more than ${this.#turnMax} accesses`) };
    }
    this.check();
    try {
      return make();
    } catch (what) {
      this.#thrown = { what };
      throw what;
    }
  }
}

/** Memory each access to which moves a pulse. */
export class PulseMemory implements SharedMemory {
  readonly byteLength: number;
  readonly #inner: SharedMemory;
  readonly #pulse: Pulse;

  constructor(inner: SharedMemory, pulse: Pulse) {
    this.byteLength = inner.byteLength;
    this.#inner = inner;
    this.#pulse = pulse;
  }

  read16(offset: number): number {
    return this.#pulse.access(() => this.#inner.read16(offset));
  }

  read32(offset: number): number {
    return this.#pulse.access(() => this.#inner.read32(offset));
  }

  write16(offset: number, value: number): void {
    this.#pulse.access(() => this.#inner.write16(offset, value));
  }

  write32(offset: number, value: number): void {
    this.#pulse.access(() => this.#inner.write32(offset, value));
  }

  copyOut(offset: number, target: Uint8Array): void {
    this.#pulse.access(() => this.#inner.copyOut(offset, target));
  }

  copyIn(offset: number, source: Uint8Array): void {
    this.#pulse.access(() => this.#inner.copyIn(offset, source));
  }

  observe16(offset: number): number {
    return this.#pulse.access(() => this.#inner.observe16(offset));
  }

  publish16(offset: number, value: number): void {
    this.#pulse.access(() => this.#inner.publish16(offset, value));
  }

  setBits32(offset: number, bits: number): void {
    this.#pulse.access(() => this.#inner.setBits32(offset, bits));
  }

  takeBits32(offset: number): number {
    return this.#pulse.access(() => this.#inner.takeBits32(offset));
  }

  listNonZero32(offset: number, end: number, found: Int32Array): number {
    return listNonZeroByWord(this, offset, end, found);
  }

  fence(): void {
    this.#pulse.access(() => this.#inner.fence());
  }
}
