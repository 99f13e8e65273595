import { once } from "node:events";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { expect, it } from "vitest";
import { map } from "../../src/sys/mapping.js";
import { createMemfd } from "../../src/sys/memfd.js";
import { packageRoot, workerUrl } from "../../src/workers/worker-url.js";
import type { AdderJob } from "./adder.worker.js";

const BYTES = 4096;
const ADDS = 1_000_000;

/** Lets two workers add, one in the mapping of this thread, one in a mapping of its own; returns the sum. */
async function sumOfTwo(atomic: boolean): Promise<number> {
  // Refuses a build older than its sources.
  workerUrl("driver");
  const fd = createMemfd("words", BYTES);
  const mapping = map(fd, BYTES, 0, { prot: "read-write" });
  const job = { bytes: BYTES, atomic, adds: ADDS, parties: 2 };
  await Promise.all([
    finished({ ...job, from: { address: mapping.address } }),
    finished({ ...job, from: { fd: fd.dup().take() } }),
  ]);
  const sum = new Int32Array(mapping.windows[0]!.buffer)[1]!;
  mapping.unmap();
  fd.close();
  return sum;
}

async function finished(workerData: AdderJob): Promise<void> {
  const worker = new Worker(join(packageRoot(), "dist", "test", "sys", "adder.worker.js"), { workerData });
  await once(worker, "exit");
}

it("two workers add to one word, by two mappings of it, and no addition is lost", async () => {
  expect(await sumOfTwo(true)).toBe(2 * ADDS);
});

it("the twin: plain additions are lost", async () => {
  const sums: number[] = [];
  // On a machine that runs one after the other nothing is lost; one run of twenty is enough.
  while (sums.length < 20 && !sums.some((sum) => sum < 2 * ADDS)) sums.push(await sumOfTwo(false));
  expect(Math.min(...sums)).toBeLessThan(2 * ADDS);
});
