import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { Contest, TwinMismatch } from "../../bench/harness/contest.js";
import { TimedProcess } from "../../bench/harness/timed-process.js";
import { compileTwin, findCompiler, type TwinName } from "../../bench/harness/twin.js";
import { record, type Work } from "../../bench/inputs/record.js";
import { BitmapKernel } from "../../bench/kernels/bitmap.js";
import { IovaKernel } from "../../bench/kernels/iova.js";
import type { Kernel } from "../../bench/kernels/kernel.js";
import { RelayKernel } from "../../bench/kernels/relay.js";
import { writtenInLockstep } from "../../bench/kernels/ring.js";
import { ROWS } from "../../bench/rows.js";

const compiler = findCompiler();
if (typeof compiler === "string") console.log(`skipped: outputs of the C twins, ${compiler}`);
const folder = mkdtempSync(join(tmpdir(), "svq-bench-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const RELAY = { kind: "relay", queueSize: 64, chain: 3, mappings: 50, batch: 8, log: true, queues: 2 } as const;
const CASES: [string, Work, (input: Int32Array) => Kernel][] = [
  ["relay, random", { ...RELAY, buffers: "random" }, (input) => new RelayKernel(input)],
  ["relay, contiguous", { ...RELAY, chain: 1, buffers: "contiguous" }, (input) => new RelayKernel(input)],
  ["relay, one entry", { ...RELAY, chain: 1, queueSize: 1, buffers: "random" }, (input) => new RelayKernel(input)],
  ["relay, crowded", { ...RELAY, mappings: 20_000, buffers: "random" }, (input) => new RelayKernel(input)],
  ["iova", { kind: "iova", live: 5000, verified: 4096 }, (input) => new IovaKernel(input)],
  ["bitmap", { kind: "bitmap", bytes: 65_536, dirtyPerMillion: 20_000 }, (input) => new BitmapKernel(input)],
];

async function outputOfTwin(program: TwinName, work: Work, ...options: string[]): Promise<Buffer> {
  const [input, output] = [join(folder, "input"), join(folder, "output")];
  writeFileSync(input, record(work));
  const twin = new TimedProcess(program, await compileTwin(program, folder), [input, output, ...options]);
  try {
    await twin.ready(undefined);
    return readFileSync(output);
  } finally {
    await twin.stop();
  }
}

test.each(CASES)("a recorded input is the same each time: %s", (_, work) => {
  expect(record(work)).toEqual(record(work));
});

test.each(CASES)("a kernel does its work and checks it: %s", async (_, work, make) => {
  const kernel = make(record(work));
  expect((await kernel.outputs()).length).toBeGreaterThan(0);
  expect(await kernel.window(1e6)).toBeGreaterThan(0);
});

describe.skipIf(typeof compiler === "string")(`the C twin (${typeof compiler === "string" ? compiler : "cc"})`, () => {
  test.each(CASES)("writes what ours writes: %s", async (_, work, make) => {
    const ours = Buffer.from(await make(record(work)).outputs());
    expect(ours.equals(await outputOfTwin(work.kind as TwinName, work))).toBe(true);
  });

  test.each([
    { relayed: false, outstanding: 16, batch: 4 },
    { relayed: true, outstanding: 1, batch: 1 },
    { relayed: true, outstanding: 16, batch: 4 },
  ])("writes to rings and log what ours writes: %j", async (ring) => {
    const work = { kind: "ring", queueSize: 64, ...ring } as const;
    const ours = Buffer.from(writtenInLockstep(record(work)));
    expect(ours.equals(await outputOfTwin("ring", work))).toBe(true);
    const other = await outputOfTwin("ring", { ...work, relayed: !ring.relayed });
    expect(ours.equals(other)).toBe(false);
  });

  test.each(["tree", "array"])("a walk over a %s ends in the same map", async (how) => {
    const work = { kind: "iova", live: 3000, verified: 512 } as const;
    const ours = Buffer.from(new IovaKernel(record(work)).outputs());
    expect(ours.equals(await outputOfTwin("walk", work, how))).toBe(true);
  });

  test("a twin that did other work is refused before anything is timed", async () => {
    const row = ROWS.find(({ name }) => name === "bitmap_scan_1pct_vs_c")!;
    const less = { ...row.b[0]!, work: { kind: "bitmap", bytes: 65_536, dirtyPerMillion: 10 } as const };
    const contest = new Contest({ processPairs: 1, windows: 1, windowNs: 1e6, warmNs: 1e6, totalMs: 0 });
    try {
      await expect(contest.measure({ ...row, b: [less] })).rejects.toThrow(TwinMismatch);
      expect(contest.outputsEqual).toBe(false);
    } finally {
      contest.close();
    }
  });
});
