import type { BenchResult, PathResult } from "../../src/lab/bench-result.js";
import { parsePaths } from "../../src/lab/settings.js";
import { median } from "../../src/lab/statistics.js";

const MARKING = new Set(["svq", "used-only"]);

/** A row with these windows, in nanoseconds per request, and every gate passed; without windows it was never timed. */
export function rowOf(row: string, samples: readonly number[], change: Partial<PathResult> = {}): PathResult {
  const { path: name, placement } = parsePaths(row)[0]!;
  const marks = MARKING.has(name);
  const timed = samples.length > 0;
  return {
    name,
    placement,
    waiting: "adaptive",
    iova_policy: "tree",
    unsafe: false,
    refused_features: [],
    threads: placement === "fused" ? 2 : 3,
    requests: 100 * samples.length,
    sha256: null,
    ns_per_request: timed
      ? { median: median(samples), min: Math.min(...samples), max: Math.max(...samples), samples: [...samples] }
      : null,
    latency_ns: timed ? { "50": 1000, "99": 2000, "99.9": 3000 } : null,
    cpu_ns_per_request: timed
      ? placement === "fused"
        ? { driver: 10, relay: null, device: null, relay_device: 20 }
        : { driver: 10, relay: name === "passthrough" ? null : 30, device: 20, relay_device: null }
      : null,
    per_request: timed
      ? { kicks: 0.5, calls: 0.25, relay_kicks: 0.5, relay_calls: 0, descriptors: 3, dirty_marks: 1, hops: 0.001 }
      : null,
    samples: samples.map((ns) => ({ ns_per_request: ns, p50_ns: ns, requests: 100, run_queue_wait: 0 })),
    gates: {
      payload: true,
      lost: 0,
      duplicated: 0,
      lost_notifications: 0,
      changed_pages: 7,
      missed_dirty_pages: marks ? 0 : null,
      over_report_ratio: marks ? 0 : null,
      descriptors_balanced: true,
    },
    ...change,
  };
}

/** A document of these rows; each but the first is compared with the first, pair by pair of medians. */
export function resultOf(paths: PathResult[], verdict: BenchResult["verdict"] = "ok"): BenchResult {
  const [base, ...others] = paths;
  const ratioTo = (row: PathResult) => row.ns_per_request!.median / base!.ns_per_request!.median;
  return {
    schema: "shadowvq.bench/1",
    node: "20.0.0",
    v8: "11",
    cpu: "made up",
    cores: 4,
    git: null,
    cpu_tick_ns: 1e7,
    seed: 1,
    config: {},
    input: { path: "input", bytes: 1, sha256: "0".repeat(64) },
    noise: {
      pingpong_ns: { p50: 150.4, min: 100, max: 400 },
      pingpong_why: null,
      pinned: true,
      pinned_why: undefined,
      cpu_tick_ns: 1e7,
    },
    paths,
    overhead: others
      .filter(({ ns_per_request }) => ns_per_request !== null)
      .map((row) => ({
        path: row.name,
        placement: row.placement,
        against: "passthrough/threads",
        throughput: { ratio: ratioTo(row), interval: [ratioTo(row) - 0.1, ratioTo(row) + 0.1], pairs: 5 },
        latency_p50: { ratio: 1, interval: [0.9, 1.1], pairs: 5 },
        comparable: true,
      })),
    failures: [],
    verdict,
  };
}
