/** A fault is found by its own gate and by no other: that is how anyone sees that the gates are alive. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BlkWorkload } from "../../src/driver/blk-workload.js";
import { planFault } from "../../src/lab/fault-plan.js";
import { loadInput } from "../../src/lab/files.js";
import { gateFailures, runGates } from "../../src/lab/gates.js";
import { configOf } from "../../src/lab/paths.js";
import { parsePaths } from "../../src/lab/settings.js";
import type { MachineConfig } from "../../src/machine/config.js";
import { FAULTS, type FaultKind } from "../../src/machine/faults.js";
import { FlightRecorder } from "../../src/report/flight-recorder.js";
import { checkedBench, failedGates, rowName } from "../helpers/bench-document.js";
import { documentOf, expectNothingLeft, refused, svq } from "../helpers/svq.js";

const ROWS = ["passthrough/threads", "notify/threads", "svq/threads", "svq/fused", "used-only/threads"];
const GATE_OF: Record<FaultKind, string> = {
  "flip-byte": "payload",
  "drop-mark": "missed_dirty_pages",
  "lose-call": "lost_notifications",
  "double-used": "duplicated",
};
const marks = (row: string) => row.startsWith("svq") || row.startsWith("used-only");
const applicable = (kind: FaultKind) => ROWS.filter((row) => kind !== "drop-mark" || marks(row));
/** Through the command line each kind in two rows, and each row at least once; in this process all others. */
const TYPED = [
  { kind: "flip-byte", row: "passthrough/threads", seed: 1 },
  { kind: "flip-byte", row: "used-only/threads", seed: 2 },
  { kind: "drop-mark", row: "svq/threads", seed: 3 },
  { kind: "drop-mark", row: "svq/fused", seed: 4 },
  { kind: "lose-call", row: "svq/threads", seed: 5 },
  { kind: "lose-call", row: "notify/threads", seed: 6 },
  { kind: "double-used", row: "svq/threads", seed: 7 },
  { kind: "double-used", row: "notify/threads", seed: 8 },
] as const;
const CASES = FAULTS.flatMap((kind) => applicable(kind).map((row) => ({ kind, row }))).filter(
  ({ kind, row }) => !TYPED.some((typed) => typed.kind === kind && typed.row === row),
);
const MACHINES: readonly Partial<MachineConfig>[] = [
  {},
  { eventIdx: false, indirect: true, order: "out-of-order" },
  { queues: 2, depth: 16, batch: 3, segments: 4 },
];
const INPUT_BYTES = 128 * 1024;

let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "test-faults-"));
});

afterAll(() => rmSync(folder, { recursive: true }));

/** The words with which the gates of one path fail, on a machine of this process. */
async function gatesThatFail(kind: FaultKind | undefined, row: string, change: Partial<MachineConfig>) {
  const config = configOf(parsePaths(row)[0]!, change);
  const input = loadInput(process.execPath, INPUT_BYTES);
  const image = { path: join(folder, "disk.img"), bytes: BlkWorkload.diskBytes(input.bytes, config.requestBytes) };
  writeFileSync(image.path, "");
  const fault = kind === undefined ? undefined : planFault(kind, config, input.bytes);
  const { gates } = await runGates(config, { input, image, fault, recorder: new FlightRecorder(64) });
  return gateFailures(gates).map((failure) => failure.split(":")[0]);
}

describe("svq bench --fault", () => {
  test.each(TYPED)("$kind in $row, seed $seed: its gate and no other", async ({ kind, row, seed }) => {
    const choice = ["--fault", kind, "--fault-path", row, "--paths", row, "--seed", String(seed), "--json"];
    const run = await svq(["bench", "--input-bytes", "128k", ...choice]);
    expect({ ...run, stdout: "", stderr: "" }).toMatchObject({ code: 1, signal: null });
    expectNothingLeft(run);
    const document = checkedBench(documentOf(run));
    expect(document).toMatchObject({ verdict: "failed", overhead: [], seed });
    expect(document.failures).toEqual([expect.stringMatching(`^${row}: ${GATE_OF[kind]}: `)]);
    expect(document.paths.map(failedGates)).toEqual([[GATE_OF[kind]]]);
    // Figures of a broken machine are no figures.
    expect(document.paths[0]).toMatchObject({ ns_per_request: null, latency_ns: null, per_request: null });
  });

  test("breaks one row, and the others are well", async () => {
    const rows = ["passthrough/threads", "svq/threads", "used-only/threads"];
    const choice = ["--fault", "flip-byte", "--fault-path", "used-only", "--paths", rows.join(","), "--json"];
    const run = await svq(["bench", "--input-bytes", "64k", ...choice]);
    expect(run.code).toBe(1);
    const { paths } = checkedBench(documentOf(run));
    expect(paths.map((row) => [rowName(row), failedGates(row)])).toEqual([
      ["passthrough/threads", []],
      ["svq/threads", []],
      ["used-only/threads", ["payload"]],
    ]);
  });

  test("says in the table what failed, and shows on stderr what led to it", async () => {
    const run = await svq(["bench", "--input-bytes", "64k", "--paths", "svq", "--fault", "lose-call"]);
    expect(run.code).toBe(1);
    expect(run.stdout).toMatch(/^svq\/threads .* FAILED$/m);
    expect(run.stdout).toMatch(/^FAILED svq\/threads: lost_notifications: 1 /m);
    expect(run.stdout).toMatch(/^verdict: failed$/m);
    expect(run.stderr).toMatch(/lost-notification .*guest ring 0: avail\.idx \d+/);
  });

  test.concurrent.each([
    ["drop-mark", ["--paths", "passthrough"], /path passthrough marks no pages/],
    ["drop-mark", ["--paths", "notify"], /path notify marks no pages/],
    ["drop-mark", ["--paths", "svq", "--dirty-log", "off"], /without a dirty log/],
    ["drop-mark", ["--paths", "svq", "--device", "null"], /null device writes no data/],
    ["flip-byte", ["--paths", "svq", "--device", "null"], /null device writes no data/],
    ["lose-call", ["--paths", "svq/inline"], /inline nobody sleeps/],
    ["flip-byte", ["--paths", "svq", "--fault-path", "notify"], /notify\/threads is not among the rows/],
    ["flip-bit", [], /flip-bit.*flip-byte, drop-mark, lose-call, double-used/],
  ])("%s is refused where there is nothing of the kind to break: %j", async (kind, args, line) => {
    await refused(["bench", "--fault", kind, ...args], 2, line);
  });

  test("a fault that found nothing to strike is no passed run", async () => {
    // Packets so small that none of the device's writes counts as data.
    const tiny = ["--device", "net", "--request-size", "16", "--input-bytes", "2k"];
    await refused(["bench", "--paths", "svq", "--fault", "flip-byte", ...tiny], 2, /offered nothing to break/);
  });

  test("--fault-path alone is refused", () => refused(["bench", "--fault-path", "svq"], 2, /without --fault/));
});

describe("runGates() with a fault", () => {
  test.each(CASES.map((one, i) => ({ ...one, seed: i + 1 })))(
    "$kind in $row, seed $seed",
    async ({ kind, row, seed }) => {
      const change = { ...MACHINES[seed % MACHINES.length], seed, ramBytes: 2 ** 24 };
      expect(await gatesThatFail(kind, row, change), JSON.stringify(change)).toEqual([GATE_OF[kind]]);
    },
  );

  test("no gate fails on any of these machines without a fault", async () => {
    for (const change of MACHINES) {
      expect(await gatesThatFail(undefined, "svq/threads", { ...change, ramBytes: 2 ** 24 })).toEqual([]);
    }
  });
});
