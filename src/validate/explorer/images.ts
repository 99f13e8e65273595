import { assert } from "../../memory/assert.js";
import type { Access } from "./automaton.js";
import { changedBy, stored } from "./store-order.js";
import { IDS_MAX, PairTable } from "./tables.js";

/** What is wrong with bytes that everybody can see, or undefined. */
export type Judge = (bytes: Uint8Array) => string | undefined;

/**
 * All contents that the memory of a play ever has, each with an id, and what an access makes of one.
 *
 * An image is judged when it first comes up: what may be asked of memory alone is asked once per image, not per state.
 */
export class Images {
  readonly #size: number;
  readonly #judge: Judge;
  readonly #ids = new Map<string, number>();
  readonly #complaints = new Map<number, string>();
  readonly #changes: Access[] = [];
  readonly #changeIds = new Map<string, number>();
  readonly #after = new PairTable();
  #bytes: Uint8Array;
  #words: Int32Array;
  #halves: Uint16Array;

  /** Image 0 is `start`, a whole number of 32-bit words. */
  constructor(start: Uint8Array, judge: Judge) {
    assert(start.length % 4 === 0, "an image is made of words");
    this.#size = start.length;
    this.#judge = judge;
    this.#bytes = new Uint8Array(start.length * 64);
    this.#words = new Int32Array(this.#bytes.buffer);
    this.#halves = new Uint16Array(this.#bytes.buffer);
    this.#intern(start);
  }

  get count(): number {
    return this.#ids.size;
  }

  /** Bytes of the images, of their names and of what leads from one to the next. */
  get bytes(): number {
    return this.#bytes.length + this.#ids.size * this.#size + this.#after.bytes;
  }

  /** What the judge says of an image. */
  complaint(image: number): string | undefined {
    return this.#complaints.size === 0 ? undefined : this.#complaints.get(image);
  }

  /** The bytes of an image, not to be kept. */
  of(image: number): Uint8Array {
    return this.#bytes.subarray(image * this.#size, (image + 1) * this.#size);
  }

  /** A word of an image, signed, or a half of one, unsigned. */
  read(image: number, offset: number, bytes: number): number {
    const at = image * this.#size + offset;
    return bytes === 4 ? this.#words[at >>> 2]! : this.#halves[at >>> 1]!;
  }

  /** The id of an access that may change memory, for `after`. */
  change({ kind, offset, bytes, value }: Access): number {
    const key = `${kind} ${offset} ${bytes} ${value}`;
    let id = this.#changeIds.get(key);
    if (id === undefined) {
      id = this.#changes.length;
      this.#changes.push({ kind, offset, bytes, value });
      this.#changeIds.set(key, id);
    }
    return id;
  }

  /** The image that an access leaves behind. */
  after(image: number, change: number): number {
    const known = this.#after.get(image, change);
    if (known >= 0) return known;
    const access = this.#changes[change]!;
    const value = changedBy(access, this.read(image, access.offset, access.bytes));
    const next = value === undefined ? image : this.#intern(stored(this.of(image), { ...access, value }));
    this.#after.set(image, change, next);
    return next;
  }

  #intern(bytes: Uint8Array): number {
    const key = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.#ids.size;
    assert(id < IDS_MAX, "there are fewer than 2^24 images");
    this.#ids.set(key, id);
    if ((id + 1) * this.#size > this.#bytes.length) this.#grow();
    this.#bytes.set(bytes, id * this.#size);
    const complaint = this.#judge(bytes);
    if (complaint !== undefined) this.#complaints.set(id, complaint);
    return id;
  }

  #grow(): void {
    const old = this.#bytes;
    this.#bytes = new Uint8Array(old.length * 2);
    this.#bytes.set(old);
    this.#words = new Int32Array(this.#bytes.buffer);
    this.#halves = new Uint16Array(this.#bytes.buffer);
  }
}
