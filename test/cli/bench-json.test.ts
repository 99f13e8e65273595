/** The document of `svq bench --json`, field by field, on short runs over everything a user can choose. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { describe, expect, test } from "vitest";
import type { BenchResult, PathResult } from "../../src/lab/bench-result.js";
import { allowedCpus } from "../../src/lab/threads.js";
import type { Placement } from "../../src/machine/config.js";
import { checkedBench, failedGates, rowName } from "../helpers/bench-document.js";
import { svqJson } from "../helpers/svq.js";

const SHORT = ["--input-bytes", "128k", "--window", "10ms", "--rounds", "5"];
const INPUT_BYTES = 128 * 1024;
const BLOCKS = INPUT_BYTES / 4096;
/** get-id, every block out, flush, every block in. */
const REQUESTS = 2 * BLOCKS + 2;

/** Runs a bench, checks what holds for every document, and returns it. */
async function bench(...args: string[]): Promise<BenchResult> {
  const document = checkedBench(await svqJson(["bench", ...SHORT, ...args], 0));
  expect(document).toMatchObject({ verdict: "ok", failures: [] });
  for (const row of document.paths) expectSound(row, document);
  return document;
}

/** Relations between the fields of a row that passed. */
function expectSound(row: PathResult, { input, config }: BenchResult): void {
  const name = rowName(row);
  const { samples, median, min, max } = row.ns_per_request!;
  expect(samples.length, name).toBeGreaterThanOrEqual(5);
  expect([min, max], name).toEqual([Math.min(...samples), Math.max(...samples)]);
  expect(median, name).toBe(samples.toSorted((x, y) => x - y)[(samples.length - 1) / 2] ?? median);
  const latency = row.latency_ns!;
  expect(latency["99"], name).toBeGreaterThanOrEqual(latency["50"]!);
  expect(latency["99.9"], name).toBeGreaterThanOrEqual(latency["99"]!);
  if (config["device"] !== "null") expect(row.sha256, name).toBe(input.sha256);
  expect(failedGates(row), name).toEqual([]);
  expect(row.gates.changed_pages, name).toBeGreaterThan(0);
  const marks = row.name === "svq" || row.name === "used-only";
  expect(row.gates, name).toMatchObject(
    marks ? { missed_dirty_pages: 0 } : { missed_dirty_pages: null, over_report_ratio: null },
  );
  expectThreads(row, name);
}

/** A role has CPU time of its own exactly when it has a thread of its own; what relays nothing has none. */
function expectThreads(row: PathResult, name: string): void {
  const passive = row.name === "passthrough";
  const threads = { inline: 1, fused: 2, threads: passive ? 2 : 3 }[row.placement as Placement];
  expect(row.threads, name).toBe(threads);
  if (process.platform !== "linux") return;
  const own = {
    driver: true,
    relay: row.placement === "threads" && !passive,
    device: row.placement === "threads",
    relay_device: row.placement === "fused",
  };
  for (const [role, has] of Object.entries(own)) {
    const ns = row.cpu_ns_per_request![role as keyof typeof own];
    expect(ns === null, `${name} ${role}: ${ns}`).toBe(!has);
  }
}

function rowOf({ paths }: BenchResult, name: string): PathResult {
  return paths.find((row) => rowName(row) === name)!;
}

function sha256OfPrefix(path: string, bytes: number): string {
  return createHash("sha256").update(readFileSync(path).subarray(0, bytes)).digest("hex");
}

describe("svq bench --json", () => {
  test("says where, what and how it measured, for all five paths (D36)", async () => {
    const document = await bench("--seed", "7");
    expect(document).toMatchObject({
      schema: "shadowvq.bench/1",
      node: process.versions.node,
      v8: process.versions.v8,
      cores: availableParallelism(),
      seed: 7,
      input: { path: process.execPath, bytes: INPUT_BYTES },
    });
    expect(document.input.sha256).toBe(sha256OfPrefix(process.execPath, INPUT_BYTES));
    expect(document.noise.pingpong_ns !== null || document.noise.pingpong_why !== null).toBe(true);
    const names = document.paths.map(rowName);
    const expected = ["passthrough/threads", "notify/threads", "svq/threads", "svq/fused", "used-only/threads"];
    expect(names).toEqual(expected);
    expect(document.config["paths"]).toEqual(expected);
    for (const { requests, ns_per_request } of document.paths) {
      expect(requests % REQUESTS).toBe(0);
      expect(requests / REQUESTS).toBeGreaterThanOrEqual(ns_per_request!.samples.length);
    }
    expectCounts(document);
    expectOverhead(document);
  });

  test("changes data paths under load at least 50 times, and the gates hold", async () => {
    const document = await bench("--switch-every", "5ms");
    expect(document.paths.map(rowName)).toEqual(["svq/threads", "svq/fused"]);
    for (const { switches } of document.paths) expect(switches).toBeGreaterThanOrEqual(50);
    expect(document.switches).toBe(document.paths.reduce((sum, { switches }) => sum + switches!, 0));
    expect(document.overhead).toEqual([]);
  });
});

/** Counts that follow from what the path does. */
function expectCounts(document: BenchResult): void {
  // A block has header, data and status; flush has no data.
  const descriptors = (3 * (REQUESTS - 1) + 2) / REQUESTS;
  for (const { name, per_request } of document.paths) {
    const relays = name === "svq" || name === "used-only";
    expect(per_request!.descriptors, name).toBeCloseTo(relays ? descriptors : 0, 9);
    expect(per_request!.dirty_marks > 0, name).toBe(relays);
    expect(per_request!.relay_kicks > 0, name).toBe(name === "svq" || name === "notify");
    expect(per_request!.relay_calls > 0, name).toBe(name !== "passthrough");
  }
}

/** One entry for each path but the baseline, from as many pairs as there are windows. */
function expectOverhead({ overhead, paths }: BenchResult): void {
  expect(overhead.map(({ path, placement }) => `${path}/${placement}`)).toEqual(paths.slice(1).map(rowName));
  const base = paths[0]!.ns_per_request!.samples;
  for (const [i, { throughput, latency_p50 }] of overhead.entries()) {
    for (const { ratio, interval, pairs } of [throughput, latency_p50]) {
      expect(pairs).toBe(5);
      expect(interval[0]).toBeLessThanOrEqual(ratio);
      expect(interval[1]).toBeGreaterThanOrEqual(ratio);
    }
    const ratios = paths[i + 1]!.ns_per_request!.samples.map((ns, pair) => ns / base[pair]!);
    expect(throughput.ratio).toBeCloseTo(ratios.toSorted((x, y) => x - y)[2]!, 9);
    expect(throughput.interval[0]).toBeCloseTo(Math.min(...ratios), 9);
    expect(throughput.interval[1]).toBeCloseTo(Math.max(...ratios), 9);
  }
}

describe("what a user can choose goes into the run and into its document", () => {
  test("a net device out of order over several queues, indirect, without event_idx", async () => {
    const choice = ["--device", "net", "--order", "out-of-order", "--queues", "3", "--delay-steps", "5"];
    const rows = ["--paths", "svq,svq/fused,used-only", "--event-idx", "off", "--indirect", "on"];
    const document = await bench(...choice, ...rows, "--device-batch", "7", "--segments", "2");
    expect(document.config).toMatchObject({ device: "net", queues: 3, event_idx: false, indirect: true, segments: 2 });
    // Two segments each way.
    expect(rowOf(document, "svq/threads").per_request!.descriptors).toBeGreaterThanOrEqual(4);
  });

  test("a null device in queues of one entry: nothing is read back, everything is counted", async () => {
    const rows = ["--paths", "passthrough,svq,svq/fused,used-only"];
    const document = await bench(...rows, "--device", "null", "--null-requests", "300", "--queue-size", "1");
    for (const { requests, sha256 } of document.paths) {
      expect(requests % 300).toBe(0);
      expect(sha256).toBe(createHash("sha256").digest("hex"));
    }
  });

  test("polling: with fewer cores than pollers only the relay polls, and the row is not compared", async () => {
    const document = await bench("--waiting", "polled", "--paths", "passthrough,svq");
    const [overhead] = document.overhead;
    if (allowedCpus().length >= 3) expect(rowOf(document, "svq/threads").waiting).toBe("polled");
    else {
      expect(rowOf(document, "svq/threads").waiting).toBe("notified");
      expect(overhead).toMatchObject({ comparable: false, why: expect.stringMatching(/pollers on \d core/) });
    }
  });

  test("inline rows: one thread, nothing crosses threads", async () => {
    const document = await bench("--paths", "passthrough/inline,notify/inline,svq/inline,used-only/inline");
    expect(document.paths.map(({ per_request }) => per_request!.hops)).toEqual([0, 0, 0, 0]);
    expect(document.overhead).toEqual([]);
  });

  test("an aperture far up, many mappings, a shadow ring smaller than the guest's", async () => {
    const far = ["--aperture-first", `0x${(2 ** 45).toString(16)}`, "--mappings", "64"];
    const document = await bench("--paths", "svq", ...far, "--shadow-queue-size", "16");
    expect(document.config).toMatchObject({ aperture_first: 2 ** 45, mappings: 64, shadow_queue_size: 16 });
  });

  test("every IOVA policy, as a sweep; only identity-all is marked unsafe", async () => {
    const policies = ["tree", "gpa", "fixed", "identity-all"];
    const sweep = ["--sweep", `iova_policy=${policies.join(",")}`];
    const document = await svqJson<{ schema: string; points: { point: object; result: unknown }[] }>(
      ["bench", ...SHORT, "--paths", "svq", ...sweep],
      0,
    );
    expect(document.schema).toBe("shadowvq.sweep/1");
    expect(document.points.map(({ point }) => point)).toEqual(policies.map((iova_policy) => ({ iova_policy })));
    for (const [i, { result }] of document.points.entries()) {
      const row = checkedBench(result).paths[0]!;
      expectSound(row, checkedBench(result));
      expect(row).toMatchObject({ iova_policy: policies[i], unsafe: policies[i] === "identity-all" });
    }
  });
});
