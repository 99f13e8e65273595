import { describe, expect, test } from "vitest";
import { overheadsOf } from "../../src/lab/overhead.js";
import { configOf } from "../../src/lab/paths.js";
import { parsePaths } from "../../src/lab/settings.js";
import { planThreads } from "../../src/lab/wait-policy.js";
import type { Sample, WindowSeries } from "../../src/lab/windows.js";

const FOUR_CORES = [0, 1, 2, 3];

/** Windows of one row as a series holds them. */
function seriesOf(
  row: string,
  ns: readonly number[],
  change: { cpus?: number[]; pinned?: string; wait?: number } = {},
) {
  const config = configOf(parsePaths(row)[0]!, {});
  const plan = planThreads(config, change.cpus ?? FOUR_CORES);
  const pinning = { pinned: change.pinned === undefined, reason: change.pinned };
  const samples: Sample[] = ns.map((ns_per_request) => ({
    ns_per_request,
    p50_ns: 2 * ns_per_request,
    requests: 10,
    run_queue_wait: change.wait ?? 0,
  }));
  return { machine: { config, plan, pinning }, samples } as unknown as WindowSeries;
}

const BASE = [10, 20, 30, 40, 50, 60, 70];
const base = (change = {}) => seriesOf("passthrough", BASE, change);

describe("overheadsOf()", () => {
  test("compares window with window, so that what drifts cancels", () => {
    const twice = BASE.map((ns) => 2 * ns);
    expect(overheadsOf([seriesOf("svq", twice), base(), seriesOf("svq/fused", BASE)])).toEqual([
      {
        path: "svq",
        placement: "threads",
        against: "passthrough/threads",
        throughput: { ratio: 2, interval: [2, 2], pairs: 7 },
        latency_p50: { ratio: 2, interval: [2, 2], pairs: 7 },
        comparable: true,
      },
      expect.objectContaining({ placement: "fused", throughput: { ratio: 1, interval: [1, 1], pairs: 7 } }),
    ]);
  });

  test("has nothing to say without the baseline; another placement of its path is none", () => {
    expect(overheadsOf([seriesOf("svq", BASE), seriesOf("passthrough/inline", BASE)])).toEqual([]);
    expect(overheadsOf([base()])).toEqual([]);
  });

  test.each<[string, Parameters<typeof seriesOf>[2], RegExp]>([
    ["its threads were not pinned", { pinned: "no taskset" }, /^not pinned: no taskset$/],
    ["its threads waited for their cores", { wait: 0.11 }, /^threads waited 11 % of a window/],
  ])("a row is not compared when %s, and no row when the baseline's were", (_, change, why) => {
    expect(overheadsOf([base(), seriesOf("svq", BASE, change)])).toMatchObject([
      { comparable: false, why: expect.stringMatching(why) },
    ]);
    expect(overheadsOf([base(change), seriesOf("svq", BASE)])).toMatchObject([
      { comparable: false, why: expect.stringMatching(why) },
    ]);
    expect(overheadsOf([base(), seriesOf("svq", BASE, { wait: 0.1 })])).toMatchObject([{ comparable: true }]);
  });

  test("threads that share a core by plan wait for it by plan", () => {
    const shared = { cpus: [0, 1], wait: 0.6 };
    expect(overheadsOf([base({ cpus: [0, 1] }), seriesOf("svq", BASE, shared)])).toMatchObject([{ comparable: true }]);
    expect(overheadsOf([base({ cpus: [0, 1] }), seriesOf("svq/fused", BASE, shared)])).toMatchObject([
      { comparable: false },
    ]);
  });
});
