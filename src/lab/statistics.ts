import { binomialDistribution, quantileSorted, median as sampleMedian } from "simple-statistics";

/** One measurement of A and one of B, taken next to each other. */
export interface Pair {
  readonly a: number;
  readonly b: number;
}

/** How A compares with B. */
export interface RatioInterval {
  /** Median of a/b over the pairs. */
  readonly ratio: number;
  /** Holds the true median with the given coverage. */
  readonly interval: readonly [low: number, high: number];
  readonly pairs: number;
  /** Probability in [0, 1]; below 0.95 where five pairs or fewer cannot give more. */
  readonly coverage: number;
}

/** The middle sample, or the mean of the two middle ones; throws Error when there is none. */
export function median(samples: readonly number[]): number {
  return sampleMedian([...samples]);
}

/** Quantiles for probabilities in [0, 1], interpolated between samples; throws Error when there is no sample. */
export function quantiles(samples: readonly number[], probabilities: readonly number[]): number[] {
  const sorted = samples.toSorted((x, y) => x - y);
  return probabilities.map((probability) => quantileSorted(sorted, probability));
}

/**
 * The median ratio of pairs with a distribution-free interval: between two order statistics of the ratios.
 *
 * The interval is symmetric in rank and the narrowest with a coverage of 0.95 or more: 7 pairs give min to max with
 * 0.984. Ranks depend on the number of pairs only; choosing them by the data would spoil the coverage.
 * Throws RangeError for no pairs, and for a measurement that is not positive and finite.
 */
export function ratioInterval(pairs: readonly Pair[]): RatioInterval {
  if (pairs.length === 0) throw new RangeError("a ratio needs at least one pair");
  const ratios = pairs.map(ratioOf).sort((x, y) => x - y);
  const { rank, coverage } = medianRank(pairs.length);
  return {
    ratio: median(ratios),
    interval: [ratios[rank]!, ratios[ratios.length - 1 - rank]!],
    pairs: pairs.length,
    coverage,
  };
}

/**
 * How many of `count` sorted samples to leave out at each end so that the rest spans the median with 0.95 or more.
 *
 * The samples below the median are binomial with probability 1/2, so leaving out `rank` at each end misses with
 * 2 · P(at most `rank` below).
 */
export function medianRank(count: number): { rank: number; coverage: number } {
  const below = binomialDistribution(count, 0.5)!;
  let rank = 0;
  let missed = 2 * below[0]!;
  while (missed + 2 * below[rank + 1]! <= 0.05) missed += 2 * below[++rank]!;
  return { rank, coverage: 1 - missed };
}

function ratioOf({ a, b }: Pair, index: number): number {
  const usable = (value: number) => Number.isFinite(value) && value > 0;
  if (!(usable(a) && usable(b))) throw new RangeError(`pair ${index} (${a}, ${b}) is not positive and finite`);
  return a / b;
}
