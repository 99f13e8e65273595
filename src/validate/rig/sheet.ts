const CHUNK_SHIFT = 8;
const CHUNK_BYTES = 1 << CHUNK_SHIFT;

/** Bytes with a note of which were touched: clearing and comparing them costs what was touched, not what there is. */
export class Sheet {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #touched: Uint8Array;
  readonly #chunks: Int32Array;
  readonly #words: Int32Array;
  #count = 0;

  /** All zero; of whole words. */
  constructor(byteLength: number) {
    this.bytes = new Uint8Array(byteLength);
    this.#words = new Int32Array(this.bytes.buffer);
    const chunks = Math.ceil(byteLength / CHUNK_BYTES);
    this.#touched = new Uint8Array(chunks);
    this.#chunks = new Int32Array(chunks);
  }

  /** Whoever stores to `bytes` says so, before or after. */
  touch(offset: number, length: number): void {
    const last = (offset + length - 1) >>> CHUNK_SHIFT;
    for (let chunk = offset >>> CHUNK_SHIFT; chunk <= last; chunk++) {
      if (this.#touched[chunk] !== 0) continue;
      this.#touched[chunk] = 1;
      this.#chunks[this.#count++] = chunk;
    }
  }

  /** Makes everything zero again. */
  clear(): void {
    for (let i = 0; i < this.#count; i++) {
      const chunk = this.#chunks[i]!;
      this.#touched[chunk] = 0;
      this.bytes.fill(0, chunk << CHUNK_SHIFT, (chunk + 1) << CHUNK_SHIFT);
    }
    this.#count = 0;
  }

  /** Makes a range what it is in another sheet of the same length; what neither has touched is zero in both. */
  copyFrom(source: Sheet, offset: number, length: number): void {
    const last = (offset + length - 1) >>> CHUNK_SHIFT;
    for (let chunk = offset >>> CHUNK_SHIFT; chunk <= last; chunk++) {
      if (source.#touched[chunk] === 0 && this.#touched[chunk] === 0) continue;
      const start = Math.max(offset, chunk << CHUNK_SHIFT);
      const end = Math.min(offset + length, (chunk + 1) << CHUNK_SHIFT);
      this.touch(start, end - start);
      this.bytes.set(source.bytes.subarray(start, end), start);
    }
  }

  /** The first offset, among what was touched here, at which another sheet of the same length differs; -1: none. */
  firstDifference(other: Sheet): number {
    let first = -1;
    for (let i = 0; i < this.#count; i++) {
      const start = this.#chunks[i]! << (CHUNK_SHIFT - 2);
      const end = Math.min(start + CHUNK_BYTES / 4, this.#words.length);
      for (let at = start; at < end; at++) {
        if (this.#words[at] === other.#words[at]) continue;
        if (first < 0 || at < first) first = at;
        break;
      }
    }
    if (first < 0) return -1;
    return first * 4 + [0, 1, 2, 3].findIndex((i) => this.bytes[first * 4 + i] !== other.bytes[first * 4 + i]);
  }
}
