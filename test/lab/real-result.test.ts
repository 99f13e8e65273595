/** The document of svq bench --real, made of made-up windows: what is slow, noisy, wrong or bypassed is seen. */
import { describe, expect, it } from "vitest";
import {
  REAL_MODES,
  type RealBenchResult,
  type RealContext,
  type RealMode,
  type RealSeries,
  realResult,
} from "../../src/lab/real-result.js";
import { realNotes, realTable } from "../../src/lab/real-table.js";

const CONTEXT: RealContext = {
  node: "20.0.0",
  v8: "11",
  cpu: "made up",
  cores: 4,
  git: null,
  cpu_tick_ns: 1e7,
  peers: [{ name: "qemu-storage-daemon", version: "7.2" }],
  seed: 1,
  config: { request_bytes: 4096, device: "made up" },
  load_average: [0, 0],
  aborted: undefined,
};

const ROUNDS = 15;
const WINDOW_REQUESTS = 34_000;

interface Made {
  /** Nanoseconds of a request in window `i`. */
  readonly ns?: (i: number) => number;
  readonly cpuNs?: number;
  readonly wrong?: number;
  /** Requests in the shadow queue in a window. */
  readonly through?: number;
  readonly rounds?: number;
}

function series(name: RealMode, depth: number, made: Made = {}): RealSeries {
  const { ns = (i) => 10_000 + i, cpuNs = 2000, wrong = 0, rounds = ROUNDS } = made;
  const through = made.through ?? (name === "shadow" ? WINDOW_REQUESTS : 0);
  const relay =
    name === "direct" ? null : { cpu_ns: cpuNs * WINDOW_REQUESTS, syscalls: WINDOW_REQUESTS / 2, requests: through };
  const facts = { requests: through * rounds, switches: 0, fds: 20, rss_bytes: 50 * 2 ** 20, idle_cpu_share: 0.001 };
  const windows = Array.from({ length: rounds }, (_, i) => ({
    ns_per_request: ns(i),
    requests: WINDOW_REQUESTS,
    relay,
  }));
  return { name, depth, windows, wrong, relay: relay === null ? null : facts };
}

/** A whole measurement, alike in all modes but for what `made` says. */
function measured(made: Partial<Record<RealMode, Made>> = {}, context: Partial<RealContext> = {}): RealBenchResult {
  const all = [1, 32].flatMap((depth) => REAL_MODES.map((name) => series(name, depth, made[name])));
  return realResult(all, { ...CONTEXT, ...context });
}

const ratioOf = ({ ratios }: RealBenchResult, a: RealMode, depth = 32) =>
  ratios.find((ratio) => ratio.a === a && ratio.depth === depth)!;

describe("realResult()", () => {
  it("finds modes that are alike alike, and all aims met", () => {
    const result = measured();
    expect(result).toMatchObject({ schema: "shadowvq.bench-real/1", verdict: "ok", failures: [] });
    for (const { ratio, interval, pairs } of result.ratios)
      expect([ratio, ...interval, pairs]).toEqual([1, 1, 1, ROUNDS]);
    expect(result.modes).toHaveLength(2 * REAL_MODES.length);
    expect(result.aims.map(({ met }) => met)).toEqual([true, true, true, true]);
  });

  it("sees a shadow queue that takes half as long again: two thirds of the requests a second", () => {
    const result = measured({ shadow: { ns: (i) => 15_000 + 3 * i } });
    const { ratio, interval } = ratioOf(result, "shadow");
    expect(ratio).toBeCloseTo(2 / 3, 2);
    expect(interval[1]).toBeLessThan(0.7);
    expect(result.aims[0]).toMatchObject({ met: false });
    expect(result.verdict).toBe("ok");
  });

  it("sees one slow window in fifteen as no change, since the interval leaves out three at each end", () => {
    const { interval } = ratioOf(measured({ shadow: { ns: (i) => (i === 4 ? 90_000 : 10_000 + i) } }), "shadow");
    expect(interval).toEqual([1, 1]);
  });

  it("concludes nothing where passthrough differs from itself by more than 15 %", () => {
    const swing = (i: number) => (i % 2 === 0 ? 8_000 : 13_000);
    const result = measured({ "passthrough-2": { ns: swing } });
    expect(result.verdict).toBe("inconclusive");
    expect(result.why).toMatch(/^at depth 1 and 32 passthrough differs from itself by more than 15 %$/);
  });

  it("concludes something where it differs by 14 %", () => {
    const result = measured({ "passthrough-2": { ns: (i) => (10_000 + i) / 1.14 } });
    expect(ratioOf(result, "passthrough-2").ratio).toBeCloseTo(1.14);
    expect(result.verdict).toBe("ok");
  });

  it("fails over data that is wrong, and over a shadow queue that requests went around", () => {
    expect(measured({ passthrough: { wrong: 1 } })).toMatchObject({ verdict: "failed", failures: { length: 2 } });
    expect(measured({ shadow: { through: WINDOW_REQUESTS - 1 } }).failures[0]).toMatch(
      /^shadow, depth 1: 509985 requests in the shadow queue, and not 510000$/,
    );
    expect(measured({ passthrough: { through: 1 } }).verdict).toBe("failed");
  });

  it("takes CPU time as the median of five runs of windows next to each other", () => {
    const all = [series("shadow", 32)];
    const windows = all[0]!.windows.map((window, i) => ({
      ...window,
      relay: { ...window.relay!, cpu_ns: (i < 3 ? 9000 : 1000) * WINDOW_REQUESTS },
    }));
    const [shadow] = realResult([{ ...all[0]!, windows }], CONTEXT).modes;
    expect(shadow!.relay_cpu_runs.map(({ requests }) => requests)).toEqual([
      102_000, 102_000, 102_000, 102_000, 102_000,
    ]);
    expect(shadow!.relay_cpu_runs.map(({ ns_per_request }) => ns_per_request)).toEqual([9000, 1000, 1000, 1000, 1000]);
    expect(shadow).toMatchObject({ relay_cpu_ns_per_request: 1000, relay_syscalls_per_request: 0.5 });
  });

  it("sees a relay that takes too much CPU time", () => {
    const { aims } = measured({ shadow: { cpuNs: 3001 } });
    expect(aims.find(({ name }) => name.startsWith("relay CPU"))).toMatchObject({ measured: 3001, met: false });
  });

  it("does not judge a ratio that is noise, nor CPU time of short runs, and says so", () => {
    const noisy = measured({ "passthrough-2": { ns: (i) => (i % 2 === 0 ? 8_000 : 13_000) } });
    expect(noisy.aims[0]!.met).toBe(null);
    expect(noisy.aims[1]!.met).toBe(true);
    const short = measured({ shadow: { rounds: 14 } });
    expect(short.aims.map(({ met }) => met)).toEqual([true, null, true, true]);
    expect(realNotes(short)).toContain(
      "aim not judged, too noisy or too short: relay CPU ns a request at depth 32: 2000 (3000)",
    );
  });

  it("makes a document of what is there when a run ended early", () => {
    const early = realResult([series("direct", 1), series("shadow", 1, { rounds: 0 })], {
      ...CONTEXT,
      aborted: "interrupted",
    });
    expect(early).toMatchObject({ verdict: "aborted", why: "interrupted", ratios: [], aims: [], modes: { length: 1 } });
    expect(realResult([], { ...CONTEXT, aborted: "interrupted" }).modes).toEqual([]);
  });
});

describe("the table of svq bench --real", () => {
  it("has a row for each mode and depth, with nothing where there is no relay", () => {
    const { columns, rows } = realTable(measured());
    expect(rows).toHaveLength(8);
    for (const row of rows) expect(row).toHaveLength(columns.length);
    expect(rows[0]!.slice(0, 2)).toEqual(["direct", 1]);
    expect(rows[0]!.slice(-4)).toEqual([null, null, null, null]);
    expect(rows[7]).toContain("1.00× [1.00–1.00]");
  });

  it("has notes on noise, aims and failures", () => {
    const notes = realNotes(measured({ shadow: { wrong: 2, cpuNs: 5000 } }));
    expect(notes).toContain("aim MISSED: relay CPU ns a request at depth 32: 5000 (3000)");
    expect(notes.filter((note) => note.startsWith("FAILED"))).toHaveLength(2);
    expect(notes[0]).toMatch(/^noise: passthrough against itself depth 1 1\.00–1\.00/);
  });
});
