import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { allowedCpus, parseCpuList, pinThread, threadTimes } from "../../src/lab/threads.js";

const hasTaskset = spawnSync("taskset", ["--version"]).status === 0;
const NO_SUCH_THREAD = 2 ** 30;

describe.runIf(hasTaskset)("pinThread()", () => {
  let sleeper: ChildProcess;

  beforeEach(() => {
    sleeper = spawn("sleep", ["60"]);
  });

  afterEach(() => {
    sleeper.kill();
    vi.unstubAllEnvs();
  });

  it("leaves the thread one CPU", () => {
    const cpu = allowedCpus().at(-1)!;
    expect(pinThread(sleeper.pid!, cpu)).toEqual({ pinned: true });
    expect(readFileSync(`/proc/${sleeper.pid}/status`, "utf8")).toMatch(
      new RegExp(`^Cpus_allowed_list:\\s*${cpu}$`, "m"),
    );
  });

  it("says why not: no such CPU, no such thread, no taskset", () => {
    expect(pinThread(sleeper.pid!, 4095)).toEqual({ pinned: false, reason: expect.stringMatching(/./) });
    expect(pinThread(NO_SUCH_THREAD, 0)).toEqual({ pinned: false, reason: expect.stringMatching(/./) });
    vi.stubEnv("PATH", "/nonexistent");
    expect(pinThread(sleeper.pid!, 0)).toEqual({
      pinned: false,
      reason: expect.stringContaining("taskset did not run"),
    });
  });
});

describe.runIf(process.platform === "linux")("threadTimes()", () => {
  it("counts up for a thread that runs", () => {
    const before = threadTimes("self", process.pid)!;
    expect(before.slices).toBeGreaterThan(0);
    const after = threadTimes(process.pid, process.pid)!;
    expect(after.on_cpu_ns).toBeGreaterThanOrEqual(before.on_cpu_ns);
    expect(after.run_queue_wait_ns).toBeGreaterThanOrEqual(before.run_queue_wait_ns);
  });

  it("is null for a thread that is not there", () => {
    expect(threadTimes("self", NO_SUCH_THREAD)).toBeNull();
  });
});

describe("allowedCpus()", () => {
  it("names at least one CPU, in order", () => {
    const cpus = allowedCpus();
    expect(cpus.length).toBeGreaterThanOrEqual(1);
    expect(cpus).toEqual(cpus.toSorted((x, y) => x - y));
  });

  it("reads the kernel's lists", () => {
    expect(parseCpuList("3")).toEqual([3]);
    expect(parseCpuList("0-2,5,8-9")).toEqual([0, 1, 2, 5, 8, 9]);
  });
});
