import { usedRingBytes } from "../../layout/virtio-ring.js";
import { PAGE_BYTES } from "../../memory/address.js";
import { RIG_PAGES, type World } from "../rig/world.js";
import { Violation } from "./violation.js";

const WORDS = Math.ceil(RIG_PAGES / 32);

/**
 * O4: which pages may be marked at all: those of the guest's used ring, and those that a device was given to write.
 *
 * How often and how much of them is the relay's choice; what the device can only read costs a migration for nothing.
 */
export class MarkPermits {
  readonly #pages = new Int32Array(WORDS);

  constructor({ guestRing, setup }: World) {
    this.allow(guestRing.used, usedRingBytes(setup.num));
  }

  /** The relay or the device may come to write there. */
  allow(gpa: number, bytes: number): void {
    for (let page = Math.floor(gpa / PAGE_BYTES); page * PAGE_BYTES < gpa + bytes; page++) {
      this.#pages[page >>> 5]! |= 1 << page;
    }
  }

  /** The relay sets bits of a word of the log. */
  checkBits(word: number, bits: number): void {
    const stray = bits & ~(this.#pages[word] ?? 0);
    if (stray === 0) return;
    const page = word * 32 + 31 - Math.clz32(stray);
    if (page >= RIG_PAGES) throw new Violation("O4", 23, `page ${page} is marked, and the log has ${RIG_PAGES}`);
    throw new Violation("O4", 21, `page ${page} is marked, which neither relay nor device may write`);
  }
}
