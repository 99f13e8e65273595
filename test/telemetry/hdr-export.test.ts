import { decodeFromCompressedBase64, encodeIntoCompressedBase64 } from "hdr-histogram-js";
import { describe, expect, it } from "vitest";
import { toHdr } from "../../src/telemetry/hdr-export.js";
import { LATENCY_NS_MAX, LatencyRecorder } from "../../src/telemetry/latency-recorder.js";

function sample(): LatencyRecorder {
  const recorder = new LatencyRecorder();
  for (let ns = 0; ns < 5_000; ns++) recorder.record(ns * ns * 7);
  return recorder;
}

describe("toHdr()", () => {
  it("keeps the count and every percentile below the longest bucket", () => {
    const recorder = sample();
    const histogram = toHdr(recorder);
    expect(histogram.totalCount).toBe(recorder.count);
    for (const p of [1, 10, 50, 90, 99]) expect(histogram.getValueAtPercentile(p)).toBe(recorder.percentile(p));
    expect(histogram.maxValue).toBe(recorder.max);
  });

  it("takes both ends of the range", () => {
    const recorder = new LatencyRecorder();
    recorder.record(0);
    recorder.record(LATENCY_NS_MAX);
    expect(toHdr(recorder).totalCount).toBe(2);
    expect(toHdr(recorder).maxValue).toBe(LATENCY_NS_MAX);
  });

  it("survives the interchange format", () => {
    const recorder = sample();
    const copy = decodeFromCompressedBase64(encodeIntoCompressedBase64(toHdr(recorder)), 64, false);
    expect(copy.totalCount).toBe(recorder.count);
    expect(copy.getValueAtPercentile(99)).toBe(recorder.percentile(99));
  });

  it("prints a percentile table that ends with all of them", () => {
    expect(toHdr(sample()).outputPercentileDistribution()).toContain("Total count    =         5000");
  });
});
