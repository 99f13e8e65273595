import { u16 } from "../../memory/shared-memory.js";
import type { World } from "../rig/world.js";
import { Violation } from "./violation.js";

/**
 * O1 and O3: which slots of its rings a relay may write now: none that the other side may still read.
 *
 * What is free follows from the published indices and from the chains that the device has, not from the relay's books.
 */
export class Slots {
  /** Shadow descriptors in chains that the device has. */
  held = 0;
  readonly #world: World;
  /** The shadow ring as the relay stored it. */
  readonly #told: Uint8Array;
  readonly #holds: Uint8Array;
  #chains = 0;

  constructor(world: World, told: Uint8Array) {
    this.#world = world;
    this.#told = told;
    this.#holds = new Uint8Array(world.setup.shadowNum);
  }

  /** A descriptor belongs to a chain that has just been published. */
  take(index: number): void {
    if (this.#holds[index] === 1) throw new Violation("O1", 1, `shadow descriptor ${index} is in two chains`);
    this.#holds[index] = 1;
    this.held += 1;
  }

  /** A whole chain was published. */
  published(): void {
    this.#chains += 1;
  }

  /** A chain came back; its descriptors are as they were published, because nobody may have written them. */
  release(shadowHead: number): void {
    const view = this.#told;
    this.#chains -= 1;
    for (let index = shadowHead; ; ) {
      this.#holds[index] = 0;
      this.held -= 1;
      const at = this.#world.shadowRing.desc + index * 16;
      if ((view[at + 12]! & 1) === 0) return;
      index = view[at + 14]! | (view[at + 15]! << 8);
    }
  }

  /** The relay stores to the shadow descriptor table, `from` bytes behind its start. */
  checkDescriptor(from: number, bytes: number): void {
    for (let index = from >>> 4; index * 16 < from + bytes; index++) {
      if (this.#holds[index] === 1) throw new Violation("O1", 3, `shadow descriptor ${index} changes under the device`);
    }
  }

  /** The relay stores to the shadow avail ring, whose index stands at `availIdx`. */
  checkAvailEntry(slot: number, availIdx: number): void {
    const { shadowNum } = this.#world.setup;
    const ahead = (slot - availIdx) & (shadowNum - 1);
    if (ahead < shadowNum - this.#chains) return;
    throw new Violation("O1", 4, `slot ${slot} of the shadow avail ring changes before the device has read it`);
  }

  /** The relay stores to the guest's used ring, whose index stands at `usedIdx`; it has seen `availIdx`. */
  checkUsedEntry(slot: number, usedIdx: number, availIdx: number): void {
    const ahead = (slot - usedIdx) & (this.#world.setup.num - 1);
    if (ahead < u16(availIdx - usedIdx)) return;
    throw new Violation("O3", 8, `slot ${slot} of the guest's used ring changes, and nothing is due there`);
  }
}
