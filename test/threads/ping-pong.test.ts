import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { type PingPong, pingPong } from "../../src/lab/ping-pong.js";
import { allowedCpus } from "../../src/lab/threads.js";
import type { PingPongGo, PingPongReport, PingPongStart } from "../../src/workers/ping-pong.worker.js";
import { packageRoot, workerUrl } from "../../src/workers/worker-url.js";

const hasTaskset = spawnSync("taskset", ["--version"]).status === 0;
const twoCpus = allowedCpus().length >= 2;

/** Starts one half, lets it spin for some milliseconds at most, and waits until it has ended by itself. */
async function playAlone(role: "ping" | "pong"): Promise<{ report: PingPongReport; code: number }> {
  const workerData: PingPongStart = { role, buffer: new SharedArrayBuffer(256), roundsPerWindow: 1000 };
  const worker = new Worker(workerUrl("ping-pong"), { workerData });
  await once(worker, "message");
  const nowNs = Number(process.hrtime.bigint());
  const go: PingPongGo = { warmUntilNs: nowNs, deadlineNs: nowNs + 20e6 };
  worker.postMessage(go);
  const [[report], [code]] = await Promise.all([once(worker, "message"), once(worker, "exit")]);
  return { report: report as PingPongReport, code: code as number };
}

describe("pingPong()", () => {
  // A long spin, so that a busy machine finishes a window too; no number is compared.
  it.runIf(twoCpus)("measures windows of 1000 round trips", { retry: 2 }, async () => {
    const result = await pingPong({ spinMs: 1_000 });
    expect(result.reason).toBe(hasTaskset ? null : expect.stringContaining("taskset"));
    expect(result.windows_ns.length).toBeGreaterThan(0);
    expect(result.rounds_per_window).toBe(1_000);
    const { min, "50": middle, max } = result.round_trip_ns!;
    expect(min).toBeGreaterThan(0);
    expect(middle).toBeGreaterThanOrEqual(min);
    expect(max).toBeGreaterThanOrEqual(middle);
    expect([min, max]).toEqual([Math.min(...result.windows_ns), Math.max(...result.windows_ns)]);
  });

  it.runIf(hasTaskset)("gives up by itself when both threads share a CPU", async () => {
    const cpu = allowedCpus()[0]!;
    const result = await pingPong({ cpus: [cpu, cpu], spinMs: 50 });
    expect(result).toMatchObject({ round_trip_ns: null, windows_ns: [], cpus: [cpu, cpu] });
    expect(result.reason).toContain("within the deadline");
  });

  it.runIf(hasTaskset)("says why there is nothing to measure on one core", () => {
    const module = JSON.stringify(pathToFileURL(`${packageRoot()}/dist/src/lab/ping-pong.js`).href);
    const program = `console.log(JSON.stringify(await (await import(${module})).pingPong()))`;
    const node = [process.execPath, "--input-type=module", "-e", program];
    const { stdout } = spawnSync("taskset", ["-c", String(allowedCpus()[0]), ...node], { encoding: "utf8" });
    const result = JSON.parse(stdout) as PingPong;
    expect(result).toMatchObject({ round_trip_ns: null, reason: "needs two CPUs and may use 1" });
  });

  it.runIf(hasTaskset && twoCpus)("names a CPU that could not be had", async () => {
    const result = await pingPong({ cpus: [allowedCpus()[0]!, 4095], spinMs: 20 });
    expect(result.reason).toMatch(/./);
  });
});

describe("ping-pong.worker", () => {
  it.each(["ping", "pong"] as const)("%s ends by itself when its partner never answers", async (role) => {
    expect(await playAlone(role)).toEqual({ report: { type: "done", windowsNs: [] }, code: 0 });
  });
});
