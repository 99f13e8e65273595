import { createHash } from "node:crypto";
import { openSync, readSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { BenchResult } from "../../src/lab/bench-result.js";
import { runSvq } from "../helpers/run-svq.js";

const SHORT = ["--input-bytes", "256k", "--rounds", "5", "--window", "10ms", "--json"];

async function bench(...args: string[]): Promise<BenchResult> {
  const run = await runSvq(["bench", ...SHORT, ...args]);
  expect([run.code, run.left, run.stderr]).toEqual([0, [], ""]);
  return JSON.parse(run.stdout) as BenchResult;
}

function prefixSha256(file: string, bytes: number): string {
  const buffer = Buffer.alloc(bytes);
  readSync(openSync(file, "r"), buffer, 0, bytes, 0);
  return createHash("sha256").update(buffer).digest("hex");
}

describe("svq bench --json", () => {
  test("prints the whole document for all five paths, with every gate measured", async () => {
    const result = await bench();
    expect(result.schema).toBe("shadowvq.bench/1");
    expect(result.verdict).toBe("ok");
    expect(result.input).toEqual({
      path: process.execPath,
      bytes: 2 ** 18,
      sha256: prefixSha256(process.execPath, 2 ** 18),
    });
    const names = result.paths.map(({ name, placement }) => `${name}/${placement}`);
    expect(names).toEqual(["passthrough/threads", "notify/threads", "svq/threads", "svq/fused", "used-only/threads"]);
    for (const path of result.paths) {
      expect(path.sha256).toBe(result.input.sha256);
      expect(path.ns_per_request!.samples.length).toBeGreaterThanOrEqual(5);
      expect(Object.keys(path.latency_ns!)).toEqual(["50", "99", "99.9"]);
      expect(path.gates).toMatchObject({ payload: true, lost: 0, duplicated: 0, lost_notifications: 0 });
      expect(path.gates.changed_pages).toBeGreaterThan(0);
      const marks = path.name === "svq" || path.name === "used-only";
      expect(path.gates.missed_dirty_pages).toBe(marks ? 0 : null);
      expect(path.gates.over_report_ratio === null).toBe(!marks);
      const cpu = path.cpu_ns_per_request!;
      expect(cpu.relay_device === null).toBe(path.placement !== "fused");
      expect(cpu.device === null).toBe(path.placement === "fused");
      expect(cpu.relay === null).toBe(path.placement === "fused" || path.name === "passthrough");
    }
    expect(result.overhead.map(({ path, placement }) => `${path}/${placement}`)).toEqual(names.slice(1));
    for (const { against, throughput, latency_p50 } of result.overhead) {
      expect(against).toBe("passthrough/threads");
      for (const { ratio, interval, pairs } of [throughput, latency_p50]) {
        expect(pairs).toBeGreaterThanOrEqual(5);
        expect(interval[0]).toBeLessThanOrEqual(ratio);
        expect(interval[1]).toBeGreaterThanOrEqual(ratio);
      }
    }
  });

  test("changes data paths under load at least fifty times on each row", async () => {
    const result = await bench("--switch-every", "5ms");
    expect(result.paths.map(({ placement }) => placement)).toEqual(["threads", "fused"]);
    for (const path of result.paths) {
      expect(path.switches).toBeGreaterThanOrEqual(50);
      expect(path.gates).toMatchObject({ payload: true, lost: 0, duplicated: 0, missed_dirty_pages: 0 });
    }
    expect(result.switches).toBeGreaterThanOrEqual(100);
  });

  test.each([
    ["net packets", ["--device", "net"]],
    ["a null device", ["--device", "null", "--null-requests", "2000"]],
    ["flags and indirect tables", ["--event-idx", "off", "--indirect", "on", "--segments", "4"]],
    ["out of order, several queues", ["--order", "out-of-order", "--queues", "3", "--device-batch", "4"]],
    ["an aperture at 2^45, many mappings", ["--aperture-first", "0x200000000000", "--mappings", "64"]],
    ["a small shadow ring", ["--shadow-queue-size", "16"]],
  ])("holds its gates with %s", async (_what, args) => {
    const aperture = args[0] === "--aperture-first" ? ["--aperture-last", "0x3fffffffffff"] : [];
    const result = await bench("--paths", "svq/threads,svq/fused,svq/inline", ...args, ...aperture);
    expect(result.failures).toEqual([]);
    for (const { gates } of result.paths) expect(gates.missed_dirty_pages).toBe(0);
  });

  test.each(["gpa", "fixed", "identity-all"])("holds its gates under the IOVA policy %s", async (policy) => {
    const result = await bench("--paths", "svq/fused", "--iova-policy", policy);
    expect(result.failures).toEqual([]);
    expect(result.paths[0]!.unsafe).toBe(policy === "identity-all");
  });
});

describe("svq bench --fault", () => {
  const GATE = {
    "flip-byte": (gates: BenchResult["paths"][number]["gates"]) => !gates.payload,
    "drop-mark": (gates: BenchResult["paths"][number]["gates"]) => gates.missed_dirty_pages! > 0,
    "lose-call": (gates: BenchResult["paths"][number]["gates"]) => gates.lost_notifications > 0,
    "double-used": (gates: BenchResult["paths"][number]["gates"]) => gates.duplicated > 0,
  };
  const kinds = Object.keys(GATE) as (keyof typeof GATE)[];
  const rows = ["svq/threads", "svq/fused", "used-only/threads", "passthrough/threads"];
  const cases = kinds.flatMap((kind) => rows.map((row) => [kind, row] as const));

  test.each(cases.filter(([kind, row]) => kind !== "drop-mark" || !row.startsWith("pass")))(
    "%s on %s fails its gate and no other",
    async (kind, row) => {
      const run = await runSvq([
        "bench",
        ...SHORT,
        "--paths",
        row,
        "--fault",
        kind,
        "--fault-path",
        row,
        "--seed",
        "3",
      ]);
      const result = JSON.parse(run.stdout) as BenchResult;
      expect([run.code, run.left]).toEqual([1, []]);
      const { gates } = result.paths[0]!;
      expect(kinds.filter((other) => GATE[other](gates))).toEqual([kind]);
      expect([result.verdict, result.failures.length, gates.lost]).toEqual(["failed", 1, 0]);
    },
  );
});
