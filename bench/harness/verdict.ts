import { permutationTest } from "simple-statistics";
import { median, type Pair, ratioInterval } from "../../src/lab/statistics.js";
import { Random } from "../inputs/random.js";

/** What one row came to. */
export interface RowResult {
  /** Median of the pair ratios: ours / other. */
  readonly value: number;
  readonly interval: readonly [low: number, high: number];
  readonly pairs: number;
  /** Medians of nanoseconds per operation. */
  readonly a_ns: number;
  readonly b_ns: number;
  /** The ratio of each pair, in the order they were taken. */
  readonly ratios: readonly number[];
  readonly noisy: boolean;
}

/** Half of an interval that is wider than this part of its value is noisy. */
const NOISY_SHARE = 0.25;
/** A difference smaller than this is not worth a word, however sure. */
const CHANGE_MIN = 0.03;
/** Chance of a difference where there is none. */
const CHANCE_MAX = 0.01;
const PERMUTATIONS = 2000;
/** So many times slower than the best of several, a peer cannot be the best. */
const HOPELESS = 1.5;

/** Says what pairs of windows came to. */
export function judgePairs(pairs: readonly Pair[]): RowResult {
  const { ratio, interval } = ratioInterval(pairs);
  return {
    value: ratio,
    interval,
    pairs: pairs.length,
    a_ns: median(pairs.map(({ a }) => a)),
    b_ns: median(pairs.map(({ b }) => b)),
    ratios: pairs.map(({ a, b }) => a / b),
    noisy: isNoisy(ratio, interval),
  };
}

/** Whether an interval reaches further than a quarter of the value to either side. */
export function isNoisy(value: number, [low, high]: readonly [number, number]): boolean {
  return value - low > NOISY_SHARE * value || high - value > NOISY_SHARE * value;
}

/** Of several contests: those whose B takes even in its fastest window 1.5 times the median of the best B. */
export function outOfTheRunning(contests: readonly (readonly Pair[])[]): Set<number> {
  if (contests.some(({ length }) => length === 0)) return new Set();
  const best = Math.min(...contests.map((pairs) => median(pairs.map(({ b }) => b))));
  const slow = (pairs: readonly Pair[]) => Math.min(...pairs.map(({ b }) => b)) > HOPELESS * best;
  return new Set(contests.flatMap((pairs, index) => (slow(pairs) ? [index] : [])));
}

/** "holds": the whole interval may lie above, its lower end does not; "met": all of it is within reach. */
export type Standing = "met" | "holds" | "missed";

/** Compares an interval with a goal. */
export function standing([low, high]: readonly [number, number], goal: number): Standing {
  if (high <= goal) return "met";
  return low <= goal ? "holds" : "missed";
}

/** How a row stands against the same row of an earlier run. */
export type Change = "improved" | "regressed" | "no change" | "within noise";

/** What is kept of a row for later runs. */
export type KeptRow = Pick<RowResult, "value" | "interval" | "ratios" | "noisy">;

/**
 * Compares a row with its baseline.
 *
 * A change needs intervals that do not touch, a difference of 3 % and a permutation test that gives chance less than
 * 1 %. Where intervals touch, "no change" says that both are narrow, "within noise" that they could hide one.
 */
export function changeOf(now: KeptRow, before: KeptRow): Change {
  const apart = now.interval[0] > before.interval[1] || now.interval[1] < before.interval[0];
  const worth = Math.abs(now.value / before.value - 1) > CHANGE_MIN;
  if (!apart) return isWide(now) || isWide(before) ? "within noise" : "no change";
  if (!worth) return "no change";
  const random = new Random(1);
  const chance = permutationTest(
    [...now.ratios],
    [...before.ratios],
    "two_side",
    PERMUTATIONS,
    () => random.below(2 ** 30) / 2 ** 30,
  );
  if (chance > CHANCE_MAX) return "within noise";
  return now.value > before.value ? "regressed" : "improved";
}

/** Whether an interval is too wide to say that nothing changed. */
function isWide({ value, interval: [low, high], noisy }: KeptRow): boolean {
  return noisy || high - low > 0.2 * value;
}
