import { describe, expect, it } from "vitest";
import { median, medianRank, type Pair, quantiles, ratioInterval } from "../../src/lab/statistics.js";

function pairsOf(ratios: readonly number[]): Pair[] {
  return ratios.map((ratio) => ({ a: ratio * 8, b: 8 }));
}

/** 1 - 2 · P(Binomial(n, 1/2) ≤ rank), in whole numbers but for the last division. */
function exactCoverage(n: number, rank: number): number {
  let choose = 1n;
  let outside = 0n;
  for (let k = 0; k <= rank; k++) {
    outside += choose;
    choose = (choose * BigInt(n - k)) / BigInt(k + 1);
  }
  return 1 - Number((2n * outside * 10n ** 18n) / 2n ** BigInt(n)) / 1e18;
}

/** A seeded generator (a 32-bit linear congruence), uniform in (0, 1). */
function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
}

/** How often the samples between two ranks span the true median, over many small skewed experiments. */
function observedCoverage(n: number, rank: number, experiments: number): number {
  const random = uniform(42);
  let hits = 0;
  for (let i = 0; i < experiments; i++) {
    // Exponential: its median is ln 2, far from its mean.
    const sorted = Array.from({ length: n }, () => -Math.log(random())).sort((x, y) => x - y);
    if (sorted[rank]! <= Math.LN2 && Math.LN2 <= sorted[n - 1 - rank]!) hits++;
  }
  return hits / experiments;
}

describe("median() and quantiles()", () => {
  it("leave the samples as they were", () => {
    const samples = [3, 1, 2, 10];
    expect(median(samples)).toBe(2.5);
    expect(quantiles(samples, [0, 0.25, 0.5, 1])).toEqual([1, 1.75, 2.5, 10]);
    expect(samples).toEqual([3, 1, 2, 10]);
  });

  it("refuse to speak of no samples", () => {
    expect(() => median([])).toThrow();
    expect(() => quantiles([], [0.5])).toThrow();
  });
});

describe("medianRank()", () => {
  it.each([
    [1, 0, 0],
    [5, 0, 0.9375],
    [6, 0, 0.96875],
    [7, 0, 0.984375],
    [8, 0, 0.9921875],
    [9, 1, 0.9609375],
    [12, 2, 0.96142578125],
    [15, 3, 0.96484375],
    [20, 5, 0.9586105346679688],
  ])("%i pairs leave out %i at each end and cover %f", (pairs, rank, coverage) => {
    expect(medianRank(pairs).rank).toBe(rank);
    expect(medianRank(pairs).coverage).toBeCloseTo(coverage, 12);
  });

  it("is the narrowest that covers 0.95, for every number of pairs up to 200", () => {
    for (let n = 6; n <= 200; n++) {
      const { rank, coverage } = medianRank(n);
      expect(coverage).toBeCloseTo(exactCoverage(n, rank), 10);
      expect(coverage).toBeGreaterThanOrEqual(0.95);
      expect(exactCoverage(n, rank + 1)).toBeLessThan(0.95);
    }
  });

  it("covers as often as it says, and one rank further in does not", () => {
    const { rank, coverage } = medianRank(15);
    expect(observedCoverage(15, rank, 20_000)).toBeCloseTo(coverage, 1.9);
    expect(observedCoverage(15, rank + 1, 20_000)).toBeLessThan(0.95);
  });
});

describe("ratioInterval()", () => {
  it("spans min to max for seven pairs, around the median ratio", () => {
    const result = ratioInterval(pairsOf([1.5, 1.1, 1.2, 1.3, 2.5, 1.25, 1.4]));
    expect(result).toMatchObject({ ratio: 1.3, interval: [1.1, 2.5], pairs: 7 });
    expect(result.coverage).toBeCloseTo(0.984375, 12);
  });

  it("shrugs off one wild pair when there are nine", () => {
    const result = ratioInterval(pairsOf([1, 2, 3, 4, 5, 6, 7, 8, 1000]));
    expect(result).toMatchObject({ ratio: 5, interval: [2, 8], pairs: 9 });
  });

  it("takes the ratio within each pair: a drift that both share cancels", () => {
    const drifting = [1, 2, 4, 8, 16, 32, 64].map((load) => ({ a: 3 * load, b: 2 * load }));
    const apart = drifting.map(({ a }, index) => ({ a, b: drifting[drifting.length - 1 - index]!.b }));
    expect(ratioInterval(drifting).interval).toEqual([1.5, 1.5]);
    expect(ratioInterval(apart).interval).not.toEqual([1.5, 1.5]);
  });

  it("owns up to a low coverage of few pairs", () => {
    expect(ratioInterval(pairsOf([1, 2, 3, 4, 5])).coverage).toBeCloseTo(0.9375, 12);
    expect(ratioInterval(pairsOf([2])).coverage).toBeCloseTo(0, 12);
  });

  it("refuses no pairs, and measurements that are none", () => {
    expect(() => ratioInterval([])).toThrow("at least one pair");
    for (const b of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => ratioInterval([{ a: 1, b }])).toThrow("pair 0");
    }
  });
});
