/** A stream of numbers that a seed repeats exactly: the same recorded input in every run, on every machine. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = Math.imul(seed | 0, 0x9e37_79b1) || 1;
  }

  /** The next whole number below `limit`, which is at most 2^31. */
  below(limit: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return Math.floor(((Math.imul(this.#state, 0x85eb_ca6b) >>> 0) / 2 ** 32) * limit);
  }

  /** The numbers below `count` in an order of chance. */
  order(count: number): Int32Array {
    const order = Int32Array.from({ length: count }, (_, i) => i);
    for (let last = count - 1; last > 0; last--) {
      const other = this.below(last + 1);
      [order[last], order[other]] = [order[other]!, order[last]!];
    }
    return order;
  }
}
