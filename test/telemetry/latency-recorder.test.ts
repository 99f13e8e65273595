import { createHistogram } from "node:perf_hooks";
import fc from "fast-check";
import { build } from "hdr-histogram-js";
import { describe, expect, it } from "vitest";
import { LATENCY_NS_MAX, LATENCY_RECORDER_BYTES, LatencyRecorder } from "../../src/telemetry/latency-recorder.js";

const PERCENTILES = [1, 10, 25, 50, 75, 90, 99, 99.9, 99.99, 100];
const BOUND = 0.016;

/** Latencies from 1 ns to the top of the range, as many in each doubling. */
const anyLatency = fc
  .tuple(fc.integer({ min: 0, max: 35 }), fc.double({ min: 1, max: 2, maxExcluded: true, noNaN: true }))
  .map(([doublings, mantissa]) => Math.floor(mantissa * 2 ** doublings));

function recorded(latencies: readonly number[]): LatencyRecorder {
  const recorder = new LatencyRecorder();
  for (const ns of latencies) recorder.record(ns);
  return recorder;
}

/** A skewed sample without chance: a body near 1.2 µs and a tail to seconds. */
function skewed(count: number): number[] {
  return Array.from({ length: count }, (_, i) => Math.floor(1_200 * (count / (count - i)) ** 1.6));
}

function relativeError(value: number, truth: number): number {
  return Math.abs(value - truth) / truth;
}

/** The p-th percentile by nearest rank: the definition, in whole thousandths of a percent. */
function exactPercentile(latencies: readonly number[], p: number): number {
  const sorted = latencies.toSorted((x, y) => x - y);
  const rank = Math.ceil((Math.round(p * 1_000) * sorted.length) / 100_000);
  return sorted[Math.max(rank, 1) - 1]!;
}

/** What the bound would be worth with half the buckets: the same check must fail. */
function coarse(ns: number): number {
  const width = 2 ** Math.max(Math.floor(Math.log2(ns)) - 5, 0);
  return Math.floor(ns / width) * width + width - 1;
}

describe("LatencyRecorder", () => {
  it("tells every latency within 1.6 %", () => {
    fc.assert(
      fc.property(anyLatency, (ns) => {
        // A second, longer one keeps the percentile from being clamped to the exact maximum.
        const value = recorded([ns, LATENCY_NS_MAX]).percentile(50);
        expect(value).toBeGreaterThanOrEqual(ns);
        expect(relativeError(value, ns)).toBeLessThanOrEqual(BOUND);
      }),
      { numRuns: 2_000 },
    );
  });

  it("would not, with half the buckets: the bound is not slack", () => {
    const worst = Math.max(...[128, 256, 1024, 2 ** 20].map((ns) => relativeError(coarse(ns), ns)));
    expect(worst).toBeGreaterThan(BOUND);
  });

  it("gives every bucket border its own side", () => {
    for (let doublings = 7; doublings < 36; doublings++) {
      const border = 2 ** doublings;
      const below = recorded([border - 1, LATENCY_NS_MAX]);
      expect(below.percentile(50)).toBe(border - 1);
      const [first] = recorded([border, LATENCY_NS_MAX]).buckets();
      expect(first?.[0]).toBe(Math.min(border + border / 64 - 1, LATENCY_NS_MAX));
    }
  });

  it("gives the nearest-rank percentiles within 1.6 %, never below", () => {
    fc.assert(
      fc.property(fc.array(anyLatency, { minLength: 1, maxLength: 300 }), (latencies) => {
        const recorder = recorded(latencies);
        for (const p of PERCENTILES) {
          const truth = exactPercentile(latencies, p);
          expect(recorder.percentile(p)).toBeGreaterThanOrEqual(truth);
          expect(relativeError(recorder.percentile(p), truth)).toBeLessThanOrEqual(BOUND);
        }
      }),
    );
  });

  it("agrees with HdrHistogram and with perf_hooks", () => {
    const latencies = skewed(50_000);
    const recorder = recorded(latencies);
    const hdr = build({ bitBucketSize: 32, highestTrackableValue: LATENCY_NS_MAX, numberOfSignificantValueDigits: 5 });
    const native = createHistogram({ lowest: 1, highest: LATENCY_NS_MAX, figures: 5 });
    for (const ns of latencies) {
      hdr.recordValue(ns);
      native.record(ns);
    }
    expect(recorder.count).toBe(hdr.totalCount);
    expect(recorder.count).toBe(native.count);
    for (const p of PERCENTILES) {
      expect(relativeError(recorder.percentile(p), hdr.getValueAtPercentile(p))).toBeLessThanOrEqual(BOUND);
      expect(relativeError(recorder.percentile(p), native.percentile(p))).toBeLessThanOrEqual(BOUND);
    }
  });

  it("takes no rank too many, for every whole rank of a large sample", () => {
    // One bucket a value: a percentile is its own rank.
    const ranks = Array.from({ length: 100 }, (_, i) => i + 1);
    const recorder = recorded(ranks.flatMap((rank) => Array<number>(500).fill(rank)));
    for (let tenths = 1; tenths <= 1_000; tenths++) {
      expect(recorder.percentile(tenths / 10)).toBe(Math.ceil(tenths / 10));
    }
  });

  it("keeps count, shortest and longest exactly", () => {
    const recorder = recorded([1_000_003, 777_777_777, 5_000_000_011, 131]);
    expect([recorder.count, recorder.min, recorder.max]).toEqual([4, 131, 5_000_000_011]);
    expect([recorder.percentile(0), recorder.percentile(100)]).toEqual([131, 5_000_000_011]);
  });

  it("counts what is out of range at its ends", () => {
    const recorder = recorded([-5, 0, Number.NaN, 0.9, 2 ** 40, Number.POSITIVE_INFINITY]);
    expect([...recorder.buckets()]).toEqual([
      [0, 4],
      [LATENCY_NS_MAX, 2],
    ]);
    expect([recorder.min, recorder.max]).toEqual([0, LATENCY_NS_MAX]);
  });

  it("is empty in zeroed memory and after reset()", () => {
    const recorder = recorded([5]);
    recorder.reset();
    for (const empty of [recorder, new LatencyRecorder()]) {
      expect([empty.count, empty.min, empty.max, empty.percentile(50)]).toEqual([
        0,
        Number.NaN,
        Number.NaN,
        Number.NaN,
      ]);
      expect(empty.summary()).toMatchObject({ count: 0, min_ns: null, percentiles_ns: { "99.9": null } });
    }
  });

  it("merges as if one had recorded it all", () => {
    const [left, right] = [skewed(100), skewed(37).map((ns) => ns >>> 3)];
    const merged = recorded(left);
    merged.merge(recorded(right));
    merged.merge(new LatencyRecorder());
    expect(merged.summary()).toEqual(recorded([...left, ...right]).summary());
    expect([...merged.buckets()]).toEqual([...recorded([...left, ...right]).buckets()]);
  });

  it("shows one writer's records to a reader of the same memory, and to no neighbour", () => {
    const buffer = new SharedArrayBuffer(3 * LATENCY_RECORDER_BYTES);
    const writer = new LatencyRecorder(buffer, 1);
    const reader = new LatencyRecorder(buffer, 1);
    for (const ns of [0, 100, LATENCY_NS_MAX]) writer.record(ns);
    expect(reader.summary()).toEqual(writer.summary());
    expect(reader.count).toBe(3);
    expect([new LatencyRecorder(buffer, 0).count, new LatencyRecorder(buffer, 2).count]).toEqual([0, 0]);
  });

  it("refuses memory it does not fit into, and percentiles that are none", () => {
    expect(() => new LatencyRecorder(new SharedArrayBuffer(LATENCY_RECORDER_BYTES), 1)).toThrow("latency recorder 1");
    expect(() => new LatencyRecorder(new SharedArrayBuffer(64))).toThrow("64 bytes");
    for (const p of [-1, 100.1, Number.NaN]) expect(() => recorded([1]).percentile(p)).toThrow(RangeError);
  });
});
