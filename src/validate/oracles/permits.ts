import { availRingBytes, usedRingBytes, VRING_DESC } from "../../layout/virtio-ring.js";
import { RIG_PAGES, SPACE, type World } from "../rig/world.js";
import { Violation } from "./violation.js";

/** O6: which bytes a relay may store to; everything else stays what it was. */
export class Permits {
  readonly #allowed: readonly Uint8Array[];

  constructor(world: World) {
    const { num, shadowNum, log } = world.setup;
    this.#allowed = world.buffers.map((buffer) => new Uint8Array(buffer.byteLength));
    const allow = (space: number, from: number, bytes: number) => this.#allowed[space]!.fill(1, from, from + bytes);
    allow(SPACE.low, world.guestRing.used, usedRingBytes(num));
    allow(SPACE.shadow, world.shadowRing.desc, shadowNum * VRING_DESC.size);
    allow(SPACE.shadow, world.shadowRing.avail, availRingBytes(shadowNum));
    if (log) allow(SPACE.log, 0, Math.ceil(RIG_PAGES / 32) * 4);
  }

  /** Throws unless the relay may store `bytes` bytes there. */
  checkStore(space: number, offset: number, bytes: number): void {
    const allowed = this.#allowed[space]!;
    if (allowed[offset] !== 1 || allowed[offset + bytes - 1] !== 1) {
      throw new Violation("O6", 5, `a store of ${bytes} bytes at ${offset} of space ${space}`);
    }
  }
}
