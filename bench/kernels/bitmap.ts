import { bitCount, DirtyLog } from "../../src/dirty/dirty-log.js";
import { PAGE_BYTES } from "../../src/memory/address.js";
import { RealMemory } from "../../src/memory/real-memory.js";
import { BITMAP_HEADER_WORDS } from "../inputs/bitmap-input.js";
import { check, type Kernel, medianOfSlices, nowNs } from "./kernel.js";

/** DirtyLog.take over a whole log; the unit is one take, the marks are put back outside of it. */
export class BitmapKernel implements Kernel {
  readonly #marks: Int32Array;
  readonly #words: Int32Array;
  readonly #log: DirtyLog;
  readonly #bitmap: Uint32Array;
  readonly #dirtyPages: number;

  constructor(input: Int32Array) {
    this.#marks = input.subarray(BITMAP_HEADER_WORDS);
    const buffer = new SharedArrayBuffer(input[0]!);
    this.#words = new Int32Array(buffer);
    this.#log = new DirtyLog(new RealMemory(buffer), 0, buffer.byteLength * 8 * PAGE_BYTES);
    this.#bitmap = new Uint32Array(this.#words.length);
    this.#dirtyPages = this.#marks.reduce((sum, word) => sum + bitCount(word), 0);
  }

  outputs(): Uint8Array {
    this.#words.set(this.#marks);
    const pages = this.#log.take(this.#bitmap);
    return Buffer.concat([
      new Uint8Array(this.#bitmap.buffer),
      new Uint8Array(this.#words.buffer),
      new Uint8Array(Int32Array.of(pages).buffer),
    ]);
  }

  window(ns: number): number {
    return medianOfSlices(ns, () => {
      if (this.#dirtyPages > 0) this.#words.set(this.#marks);
      const start = nowNs();
      const pages = this.#log.take(this.#bitmap);
      const spentNs = nowNs() - start;
      check(pages === this.#dirtyPages, `${pages} pages taken of ${this.#dirtyPages}`);
      return spentNs;
    });
  }

  close(): void {}
}
