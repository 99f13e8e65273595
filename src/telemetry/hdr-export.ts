import { build, type Histogram } from "hdr-histogram-js";
import { LATENCY_NS_MAX, type LatencyRecorder } from "./latency-recorder.js";

/**
 * Copies a recorder into an HdrHistogram, for .hgrm tables and encoded logs.
 *
 * Two digits are 128 buckets a doubling, twice as many as the recorder has: each of its buckets ends where one of
 * theirs ends, and percentiles come out the same, but in the last bucket in use, which HdrHistogram does not cut off at
 * the longest latency.
 */
export function toHdr(recorder: LatencyRecorder): Histogram {
  const histogram = build({
    // 64-bit counts: a long run passes 2^31 in one bucket.
    bitBucketSize: 64,
    autoResize: false,
    lowestDiscernibleValue: 1,
    highestTrackableValue: LATENCY_NS_MAX,
    numberOfSignificantValueDigits: 2,
  });
  for (const [highestNs, count] of recorder.buckets()) histogram.recordValueWithCount(highestNs, count);
  return histogram;
}
