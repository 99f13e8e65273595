/**
 * A log-linear histogram of latencies in shared memory: one thread records, any thread reads.
 *
 *     value (ns)   0 … 127     128 … 255   256 … 511   …   2^35 … 2^36-1
 *     buckets      128         64          64              64
 *     width (ns)   1           2           4               2^29
 *
 *     Float64Array:  [ max | slack | 6 spare ] [ 1984 buckets ]
 *
 * A bucket is at most 1/64 of its lowest value wide, which bounds the relative error at 1.6 %.
 */
import { assert } from "../memory/assert.js";

/** The longest latency that is told apart, in nanoseconds (68.7 s); longer ones count as this one. */
export const LATENCY_NS_MAX = 2 ** 36 - 1;

const SUB_BUCKET_BITS = 6;
const SUB_BUCKETS = 1 << SUB_BUCKET_BITS;
const BUCKETS = (36 - SUB_BUCKET_BITS + 1) * SUB_BUCKETS;
const INT32_SPAN = 0x8000_0000;

/** Column of the longest latency so far. */
const MAX = 0;
/** Column of LATENCY_NS_MAX minus the shortest so far: zeroed memory is then an empty recorder, without a set-up. */
const SLACK = 1;
/** The buckets follow on a cache line of their own. */
const FIRST_BUCKET = 8;

/** Bytes of one recorder: whole cache lines. */
export const LATENCY_RECORDER_BYTES = (FIRST_BUCKET + BUCKETS) * Float64Array.BYTES_PER_ELEMENT;

/** The percentiles of a summary, as their keys. */
const SUMMARY_PERCENTILES = ["50", "90", "99", "99.9", "99.99"] as const;

/** A recorder in figures; null where nothing was recorded. */
export interface LatencySummary {
  readonly count: number;
  readonly min_ns: number | null;
  readonly max_ns: number | null;
  readonly percentiles_ns: Readonly<Record<(typeof SUMMARY_PERCENTILES)[number], number | null>>;
}

/** Counts latencies by size; zeroed memory is an empty one. */
export class LatencyRecorder {
  readonly #columns: Float64Array;

  /** Takes recorder number `index` of a buffer of recorders; throws when the buffer ends before it. */
  constructor(buffer: SharedArrayBuffer | ArrayBuffer = new ArrayBuffer(LATENCY_RECORDER_BYTES), index = 0) {
    const offset = index * LATENCY_RECORDER_BYTES;
    assert(
      Number.isInteger(index) && index >= 0 && offset + LATENCY_RECORDER_BYTES <= buffer.byteLength,
      `latency recorder ${index} lies inside ${buffer.byteLength} bytes`,
    );
    this.#columns = new Float64Array(buffer, offset, FIRST_BUCKET + BUCKETS);
  }

  /** Counts one latency in nanoseconds; below 1 (and NaN) counts as 0, above LATENCY_NS_MAX as that. Writer only. */
  record(ns: number): void {
    const columns = this.#columns;
    const value = ns >= INT32_SPAN ? Math.min(ns, LATENCY_NS_MAX) : Math.max(ns | 0, 0);
    columns[FIRST_BUCKET + bucketOf(value)]! += 1;
    if (value > columns[MAX]!) columns[MAX] = value;
    const slack = LATENCY_NS_MAX - value;
    if (slack > columns[SLACK]!) columns[SLACK] = slack;
  }

  /** Forgets everything. The writer only. */
  reset(): void {
    this.#columns.fill(0);
  }

  /** Adds what another recorder has counted. The writer only. */
  merge(other: LatencyRecorder): void {
    const theirs = other.#columns;
    for (let column = FIRST_BUCKET; column < theirs.length; column++) this.#columns[column]! += theirs[column]!;
    for (const column of [MAX, SLACK]) this.#columns[column] = Math.max(this.#columns[column]!, theirs[column]!);
  }

  /** How many latencies it holds. */
  get count(): number {
    let count = 0;
    for (let column = FIRST_BUCKET; column < this.#columns.length; column++) count += this.#columns[column]!;
    return count;
  }

  /** The shortest latency, exactly; NaN when there is none. */
  get min(): number {
    return this.count === 0 ? Number.NaN : LATENCY_NS_MAX - this.#columns[SLACK]!;
  }

  /** The longest latency, exactly; NaN when there is none. */
  get max(): number {
    return this.count === 0 ? Number.NaN : this.#columns[MAX]!;
  }

  /**
   * The latency that `p` percent stay at or below, at most 1.6 % too high; NaN when there is none.
   *
   * By nearest rank, as HdrHistogram does. Throws RangeError when p is not in [0, 100].
   */
  percentile(p: number): number {
    if (!(p >= 0 && p <= 100)) throw new RangeError(`percentile ${p} is not in [0, 100]`);
    const rank = nearestRank(p, this.count);
    let below = 0;
    for (const [highest, count] of this.buckets()) {
      below += count;
      if (below >= rank) return p === 0 ? this.min : highest;
    }
    return Number.NaN;
  }

  /** Walks the buckets in use, in order: the highest latency each may stand for, and its count. */
  *buckets(): Generator<readonly [highestNs: number, count: number]> {
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const count = this.#columns[FIRST_BUCKET + bucket]!;
      if (count > 0) yield [Math.min(highestOf(bucket), this.#columns[MAX]!), count];
    }
  }

  /** Count, extremes and the usual percentiles, keyed as results are. */
  summary(): LatencySummary {
    const orNull = (ns: number) => (Number.isNaN(ns) ? null : ns);
    const percentiles = SUMMARY_PERCENTILES.map((key) => [key, orNull(this.percentile(Number(key)))]);
    return {
      count: this.count,
      min_ns: orNull(this.min),
      max_ns: orNull(this.max),
      percentiles_ns: Object.fromEntries(percentiles) as LatencySummary["percentiles_ns"],
    };
  }
}

function nearestRank(p: number, count: number): number {
  // 99.9 % of 50000 comes out a hair above 49950, and must not become the next rank.
  const rank = (p / 100) * count * (1 - 4 * Number.EPSILON);
  return Math.max(Math.ceil(rank), 1);
}

function bucketOf(value: number): number {
  if (value < INT32_SPAN) return bucketOfInt32(value | 0);
  // Beyond int32 every bucket is wider than 64 ns: divide by 64, and count the six doublings left out.
  return bucketOfInt32((value / SUB_BUCKETS) | 0) + SUB_BUCKET_BITS * SUB_BUCKETS;
}

function bucketOfInt32(value: number): number {
  const doublings = 31 - SUB_BUCKET_BITS - Math.clz32(value | SUB_BUCKETS);
  return (doublings << SUB_BUCKET_BITS) + (value >>> doublings);
}

function highestOf(bucket: number): number {
  if (bucket < 2 * SUB_BUCKETS) return bucket;
  const doublings = (bucket >>> SUB_BUCKET_BITS) - 1;
  return (bucket - doublings * SUB_BUCKETS + 1) * 2 ** doublings - 1;
}
