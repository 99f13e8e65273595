/** Numbers that follow from a seed, for programs that can be made again (xorshift32). */
export class Random {
  #state: number;

  /** Any integers: neighbouring seeds and indices give unrelated sequences. */
  constructor(seed: number, index = 0) {
    const mixed = Math.imul(seed ^ Math.imul(index + 1, 0x9e37_79b1), 0x85eb_ca6b);
    this.#state = mixed ^ (mixed >>> 15) || 1;
    this.below(2);
  }

  /** An integer from 0 up to, and without, `limit`. */
  below(limit: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x | 0;
    return (Math.imul(x, 0x2c1b_3c6d) >>> 4) % limit;
  }

  /** True once in `times`. */
  once(times: number): boolean {
    return this.below(times) === 0;
  }

  /** One of a list. */
  pick<T>(of: readonly T[]): T {
    return of[this.below(of.length)]!;
  }
}
