import { PAGE_BYTES } from "../memory/address.js";
import { DenseRam, type GuestRam, SparseRam } from "../memory/guest-ram.js";
import type { WritePort } from "../vfio/dma.js";
import { seededRandom } from "./seeded.js";

/** How a writer writes. */
export interface WriterShape {
  /** First page of its working set, and how many there are; nobody else writes them. */
  readonly firstPage: number;
  readonly pageCount: number;
  /** Pages that it writes, in bytes a second. */
  readonly bytesPerSecond: number;
  /** Every so many writes one is of two whole pages instead of 8 bytes; 0: none. */
  readonly longEvery?: number;
  /** Every so many writes one stays on its way until the next run; 0: none. */
  readonly postEvery?: number;
  readonly seed: number;
}

/**
 * Writes pages of a working set, each as likely as the others, and knows what each of them has to hold.
 *
 * A page's first 8 bytes are the number of its writes and its own number, so that a page which is old, or another one,
 * is told from the right one. In sparse RAM the stamp is that number.
 */
export class UniformWriter {
  readonly port: WritePort;
  readonly shape: WriterShape;
  /** By page of the working set: how often it was written. */
  readonly #writes: Uint32Array;
  readonly #random: () => number;
  readonly #payload = new Uint8Array(8);
  readonly #words = new Uint32Array(this.#payload.buffer);
  readonly #long = new Uint8Array(2 * PAGE_BYTES);
  #owed = 0;
  #count = 0;

  constructor(port: WritePort, shape: WriterShape) {
    this.port = port;
    this.shape = shape;
    this.#writes = new Uint32Array(shape.pageCount);
    this.#random = seededRandom(shape.seed);
  }

  /** Writes what it owes for `ns` nanoseconds, of which it sleeps the share given. */
  run(ns: number, share = 0): void {
    this.port.drain();
    this.#owed += (this.shape.bytesPerSecond * ns * (1 - share)) / 1e9 / PAGE_BYTES;
    for (; this.#owed >= 1 && this.port.ready(); this.#owed -= 1) this.#write();
    // What it was held back from it does not catch up on.
    if (this.#owed >= 1) this.#owed = 0;
  }

  /** Finishes what is on its way. */
  rest(): void {
    this.port.drain();
  }

  /** Pages that do not hold what was written last. */
  wrongPages(ram: GuestRam): number {
    let wrong = 0;
    for (let i = 0; i < this.#writes.length; i++) if (!this.#holds(ram, i)) wrong += 1;
    return wrong;
  }

  #write(): void {
    const { firstPage, pageCount, longEvery = 0, postEvery = 0 } = this.shape;
    // A device's writes arrive in their order.
    this.port.drain();
    this.#count += 1;
    const index = Math.floor(this.#random() * pageCount);
    const address = (firstPage + index) * PAGE_BYTES;
    if (longEvery > 0 && this.#count % longEvery === 0 && index + 1 < pageCount) {
      this.#long.set(this.#stamped(index), 0);
      this.#long.set(this.#stamped(index + 1), PAGE_BYTES);
      this.port.write(address, this.#long);
      return;
    }
    const payload = this.#stamped(index);
    if (postEvery > 0 && this.#count % postEvery === 0) this.port.post(address, payload);
    else this.port.write(address, payload);
  }

  #stamped(index: number): Uint8Array {
    this.#writes[index]! += 1;
    this.#words[0] = this.#writes[index]!;
    this.#words[1] = this.shape.firstPage + index;
    return this.#payload;
  }

  #holds(ram: GuestRam, index: number): boolean {
    const page = this.shape.firstPage + index;
    const writes = this.#writes[index]!;
    if (ram instanceof SparseRam) return ram.stamp(page) === writes;
    if (!(ram instanceof DenseRam) || !ram.read(page * PAGE_BYTES, this.#payload)) return false;
    return writes === 0 || (this.#words[0] === writes && this.#words[1] === page);
  }
}
