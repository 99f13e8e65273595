/** svq validate as a pipeline and a person use it: the contract, a failure and its replay, refusals, Ctrl-C. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { packageRoot } from "../../src/workers/worker-url.js";
import { expectNothingLeft, expectOneLine, refused, svq, svqJson } from "../helpers/svq.js";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "test-validate-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

interface ValidateDocument {
  readonly schema: string;
  readonly seed: number;
  readonly profile: string;
  readonly catalogue: { rows: number; cases: number; failed: number; legal_neighbours: number };
  readonly fuzz: {
    executions: number;
    per_second: number;
    failures: number;
    modes: { name: string; executions: number; completing: number; broken: Record<string, number> }[];
  };
  readonly differential: { programs: number; differences: number };
  readonly faults: {
    kinds: number;
    injections: number;
    lost: number;
    duplicated: number;
    missed_dirty_pages: number;
    hung: number;
  };
  readonly findings: { where: string; what: string }[];
  readonly verdict: string;
}

test("--profile ci --json keeps its contract, in less than four minutes", { timeout: 250_000 }, async () => {
  const args = ["validate", "--profile", "ci"];
  const document = await svqJson<ValidateDocument>(args, 0, { timeoutMs: 240_000 });
  expect(document).toMatchObject({
    schema: "shadowvq.validate/1",
    seed: 1,
    profile: "ci",
    verdict: "ok",
    findings: [],
  });
  const { catalogue, fuzz, differential, faults } = document;
  expect(catalogue.failed).toBe(0);
  expect(catalogue.cases).toBeGreaterThanOrEqual(1000);
  expect(catalogue.legal_neighbours).toBeGreaterThan(0);
  expect(catalogue.rows).toBeGreaterThan(40);
  expect(fuzz.failures).toBe(0);
  expect(fuzz.executions).toBeGreaterThanOrEqual(1_000_000);
  expect(fuzz.per_second).toBeGreaterThan(0);
  const hostile = fuzz.modes.filter(({ name }) => name !== "honest");
  expect(hostile.map(({ name }) => name)).toEqual(["hostile-guest", "hostile-device", "both"]);
  for (const { name, completing } of hostile) expect(completing, name).toBeGreaterThan(0);
  expect(differential.programs).toBeGreaterThanOrEqual(20_000);
  expect(differential.differences).toBe(0);
  expect(faults).toMatchObject({ lost: 0, duplicated: 0, missed_dirty_pages: 0, hung: 0 });
  expect(faults.kinds).toBeGreaterThanOrEqual(10);
  expect(faults.injections).toBeGreaterThanOrEqual(1000);
});

describe("a relay that goes wrong", () => {
  test.each(["drop-mark", "wrong-length", "wrong-head", "stray-store"])(
    "is found (%s), and its failure repeats from the trace that is left, access by access",
    async (fault) => {
      const cwd = join(folder, fault);
      mkdirSync(cwd);
      const found = await svq(["validate", "--fuzz", "--fault", fault], { cwd });
      expect({ code: found.code, stderr: found.stderr }).toEqual({ code: 1, stderr: "" });
      expect(found.stdout).toMatch(/^FAILED fuzz /m);
      const [, name] = /^repeat it, shrunk: svq validate --fault \S+ --replay (\S+)$/m.exec(found.stdout)!;
      expect(readdirSync(cwd)).toEqual([name]);
      const again = await svq(["validate", "--fault", fault, "--replay", name!], { cwd });
      expect(again.code).toBe(1);
      expect(again.stdout).toMatch(/the same trace as recorded/);
      const shipping = await svq(["validate", "--replay", name!], { cwd });
      expect(shipping.stdout).toMatch(/no oracle found anything\nanother trace than recorded, from step \d+ on/);
      expect(shipping.code).toBe(0);
    },
  );
});

describe("what cannot be used is refused in one line", () => {
  const trace = () => {
    const cwd = join(folder, "drop-mark");
    return existsSync(cwd) ? join(cwd, readdirSync(cwd)[0]!) : "";
  };
  const changed = (name: string, change: (bytes: Buffer) => Buffer) => {
    const path = join(folder, name);
    writeFileSync(path, change(readFileSync(trace())));
    return path;
  };

  test.each<[string, () => string[], RegExp]>([
    ["an unknown profile", () => ["--profile", "gentle"], /gentle/],
    ["a seed that is none", () => ["--seed", "-1"], /--seed: -1/],
    ["a row that the catalogue lacks", () => ["--rows", "BI-999"], /no row BI-999/],
    ["a trace that is not there", () => ["--replay", "no-such.trace"], /no-such\.trace/],
    ["a file that is no trace", () => ["--replay", process.execPath], /not a trace|too large|bytes/],
    ["a truncated trace", () => ["--replay", changed("short", (bytes) => bytes.subarray(0, -9))], /truncated/],
    [
      "an edited trace",
      () => [
        "--replay",
        changed("edited", (bytes) => Buffer.from(bytes.map((byte, i) => (i === 99 ? byte ^ 1 : byte)))),
      ],
      /edited/,
    ],
    [
      "a trace of another version",
      () => ["--replay", changed("version", (bytes) => Buffer.from(bytes.map((byte, i) => (i === 8 ? 99 : byte))))],
      /version/,
    ],
    [
      "a corpus that is a file",
      () => ["--fuzz", "--corpus", process.execPath],
      /--corpus: .* is no folder for a corpus/,
    ],
    ["a faulty relay that there is not", () => ["--fault", "lazy"], /lazy/],
  ])("%s", async (_, args, line) => {
    await refused(["validate", ...args()], 2, line);
  });
});

test("SIGINT prints what there is, as aborted, and ends with 130 and nothing left", async () => {
  const run = await svq(["validate", "--profile", "full", "--fuzz", "--json"], {
    meanwhile: async (child) => {
      await new Promise((resolve) => setTimeout(resolve, 8000));
      child.kill("SIGINT");
    },
  });
  expect(run.code).toBe(130);
  const document = JSON.parse(run.stdout) as ValidateDocument;
  expect(document.verdict).toBe("aborted");
  expect(document.fuzz.executions).toBeGreaterThan(0);
  expectNothingLeft(run);
});

test("--mutants: each mistake is noticed, by a check that is named, and the shipping relay passes them all", {
  timeout: 400_000,
}, async () => {
  interface Judged {
    readonly total: number;
    readonly killed: number;
    readonly survivors: string[];
    readonly list: { name: string; row: string; killed_by: string }[];
    readonly control: { killed_by: string | null };
  }
  const document = await svqJson<Judged>(["validate", "--mutants"], 0, { timeoutMs: 390_000 });
  expect(document).toMatchObject({ schema: "shadowvq.mutants/1", survivors: [], control: { killed_by: null } });
  expect(document.killed).toBe(document.total);
  expect(document.total).toBeGreaterThanOrEqual(36);
  for (const { killed_by } of document.list)
    expect(killed_by).toMatch(/^(catalogue|fuzz|differential|fault|machine|tracker rule|migrate)/);
});

describe("somebody's own relay", () => {
  // Some 45 s on two processors that nobody else uses.
  const LONG = { timeout: 400_000 };
  const example = (name: string) => join(packageRoot(), "examples", name);

  test("--relay says which oracle a broken one breaks, and leaves a trace that repeats it", LONG, async () => {
    const cwd = join(folder, "own");
    mkdirSync(cwd);
    const found = await svq(["validate", "--relay", example("broken-wrong-length.js")], { cwd, timeoutMs: 390_000 });
    expect({ code: found.code, stderr: found.stderr }).toEqual({ code: 1, stderr: "" });
    expect(found.stdout).toMatch(/O3 .*BROKEN/);
    const [trace] = readdirSync(cwd);
    const again = await svq(["validate", "--relay", example("broken-wrong-length.js"), "--replay", trace!], { cwd });
    expect(again.code).toBe(1);
  });

  test("--relay finds nothing wrong with the minimal one", LONG, async () => {
    const args = ["validate", "--relay", example("minimal-relay.js")];
    const document = await svqJson<{ verdict: string }>(args, 0, { timeoutMs: 390_000 });
    expect(document).toMatchObject({ schema: "shadowvq.validate-relay/1", verdict: "ok" });
  });

  test.each<[string[], RegExp]>([
    [["--relay", "no-such-relay.js"], /no-such-relay\.js/],
    [["--relay", "x.js", "--fuzz"], /--relay does not go with --fuzz/],
  ])("%j is refused in one line", async (args, line) => {
    await refused(["validate", ...args], 2, line);
  });
});

test("a second look at the same seed finds the same", async () => {
  const args = ["validate", "--catalogue", "--differential", "--seed", "7"];
  const [a, b] = [await svqJson<ValidateDocument>(args, 0), await svqJson<ValidateDocument>(args, 0)];
  expect(b).toEqual(a);
  expect(a.fuzz).toBeNull();
  expectOneLine(await refused(["validate", "surplus"], 2, /too many arguments/));
});
