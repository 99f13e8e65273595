import { availRingBytes, usedRingBytes, VRING_DESC } from "../../layout/virtio-ring.js";
import { RIG_PAGES, SPACE, type World } from "../rig/world.js";
import { Violation } from "./violation.js";

/** O6: which bytes a relay may store to; everything else stays what it was. */
export class Permits {
  /** Space, first byte and one past the last, of each stretch. */
  readonly #allowed: readonly (readonly [space: number, start: number, end: number])[];

  constructor({ setup: { num, shadowNum, log }, guestRing, shadowRing }: World) {
    this.#allowed = [
      [SPACE.low, guestRing.used, guestRing.used + usedRingBytes(num)],
      [SPACE.shadow, shadowRing.desc, shadowRing.desc + shadowNum * VRING_DESC.size],
      [SPACE.shadow, shadowRing.avail, shadowRing.avail + availRingBytes(shadowNum)],
      [SPACE.log, 0, log ? Math.ceil(RIG_PAGES / 32) * 4 : 0],
    ];
  }

  /** Throws unless the relay may store `bytes` bytes there. */
  checkStore(space: number, offset: number, bytes: number): void {
    for (let i = 0; i < this.#allowed.length; i++) {
      const stretch = this.#allowed[i]!;
      if (stretch[0] === space && offset >= stretch[1] && offset + bytes <= stretch[2]) return;
    }
    throw new Violation("O6", 5, `a store of ${bytes} bytes at ${offset} of space ${space}`);
  }
}
