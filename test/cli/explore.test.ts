/** svq validate --explore as a pipeline and a person use it: the contract, one exploration again, refusals, Ctrl-C. */
import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { documentOf, expectNothingLeft, refused, svq, svqJson, until } from "../helpers/svq.js";

interface ExploreDocument {
  readonly schema: string;
  readonly profile: string;
  readonly only: string | null;
  readonly twin: string | null;
  readonly models: {
    name: string;
    memory: string;
    publish: string;
    ring: number;
    requests: number;
    event_idx: boolean;
    log: boolean;
    chain: number;
    indirect: boolean;
    order: string;
    paths: string[];
    complete: boolean;
    states: number;
    transitions: number;
    depth: number;
    violations: { oracle: string; what: string; trace: string[]; replay: string }[];
    reductions: string[];
    seconds: number;
    bytes_per_state: number;
  }[];
  readonly states: number;
  readonly bytes_per_state: number;
  readonly unreduced_agrees: boolean | null;
  readonly unreduced: { name: string; reduction: string; states: number; reduced_states: number; agrees: boolean }[];
  readonly mutants: {
    total: number;
    killed: number;
    survivors: unknown[];
    list: { name: string; kind: string; sc: boolean; tso: boolean; pso: boolean }[];
  };
  readonly crash_points: { points: number; covered: number; failures: number } | null;
  readonly verdict: string;
}

const REDUCTIONS = ["stores-with-access", "equal-steps", "images-once"];
const EVERYWHERE = { sc: true, tso: true, pso: true };
const SIGNATURES: Readonly<Record<string, object>> = {
  fence: { sc: false, tso: true, pso: true },
  "store-order": { sc: false, tso: false, pso: true },
};

test("--explore --json keeps its contract, field by field", { timeout: 250_000 }, async () => {
  const document = await svqJson<ExploreDocument>(["validate", "--explore"], 0, { timeoutMs: 240_000 });
  expect(document).toMatchObject({ schema: "shadowvq.explore/1", profile: "quick", verdict: "ok", only: null });
  expectModels(document);
  expectTwins(document);
  expect(document.unreduced_agrees).toBe(true);
  expect(new Set(document.unreduced.map(({ reduction }) => reduction))).toEqual(new Set(REDUCTIONS));
  for (const { agrees, states, reduced_states } of document.unreduced) {
    expect(agrees).toBe(true);
    expect(states).toBeGreaterThanOrEqual(reduced_states);
  }
  const { points, covered, failures } = document.crash_points!;
  expect({ covered, failures }).toEqual({ covered: points, failures: 0 });
  expect(points).toBeGreaterThan(10_000);
});

function expectModels({ models, states, bytes_per_state }: ExploreDocument): void {
  expect(new Set(models.map(({ memory, publish }) => `${memory} ${publish}`))).toEqual(
    new Set(["sc release", "tso release", "pso release", "tso seq_cst"]),
  );
  expect(new Set(models.map(({ event_idx, log }) => `${event_idx} ${log}`)).size).toBe(4);
  expect(new Set(models.map(({ name }) => name)).size).toBe(models.length);
  for (const model of models) {
    expect(model).toMatchObject({ ring: 1, requests: 2, complete: true, violations: [], reductions: REDUCTIONS });
    expect(model).toMatchObject({ chain: 1, indirect: false, order: "fifo", paths: ["svq"] });
    expect(model.states).toBeGreaterThan(100_000);
    expect(model.transitions).toBeGreaterThan(model.states);
    expect(model.depth).toBeGreaterThan(100);
    expect(model.seconds).toBeGreaterThan(0);
    expect(model.bytes_per_state).toBeGreaterThanOrEqual(12);
  }
  expect(states).toBe(models.reduce((sum, model) => sum + model.states, 0));
  expect(bytes_per_state).toBeLessThanOrEqual(24);
}

function expectTwins({ mutants }: ExploreDocument): void {
  const { total, killed, survivors, list } = mutants;
  expect({ total, killed, survivors }).toEqual({ total: list.length, killed: total, survivors: [] });
  const count = (wanted: string) => list.filter(({ kind }) => kind === wanted).length;
  expect(total).toBeGreaterThanOrEqual(15);
  expect(count("fence")).toBeGreaterThanOrEqual(7);
  expect(count("recheck")).toBeGreaterThanOrEqual(4);
  expect(count("mark-order")).toBeGreaterThanOrEqual(1);
  for (const { name, kind, ...found } of list) expect(found, name).toEqual(SIGNATURES[kind] ?? EVERYWHERE);
}

describe("one exploration again", () => {
  const NAME = "pso, 2 × 1, event idx, log off";

  test("--only explores one model, by its name", async () => {
    const document = await svqJson<ExploreDocument>(["validate", "--explore", "--only", NAME], 0);
    expect(document).toMatchObject({ only: NAME, twin: null, verdict: "ok", unreduced_agrees: null });
    expect(document).toMatchObject({ crash_points: null, mutants: { total: 0 }, unreduced: [] });
    expect(document.models).toMatchObject([{ name: NAME, complete: true }]);
  });

  test("--only with --twin shows the shortest way to what the twin lacks, and the command for it", async () => {
    const args = ["validate", "--explore", "--only", NAME, "--twin", "relay-used-plain"];
    const document = await svqJson<ExploreDocument>(args, 1);
    const [{ violations, depth }] = document.models as [ExploreDocument["models"][0]];
    const replay = `svq validate --explore --only "${NAME}" --twin relay-used-plain`;
    expect(violations).toMatchObject([{ oracle: "hand-over", what: expect.stringContaining("at once"), replay }]);
    expect(violations[0]!.trace.length).toBe(depth);
    const { stdout, code } = await svq(args);
    expect(code).toBe(1);
    for (const line of [...violations[0]!.trace, replay]) expect(stdout).toContain(line);
  });

  test("--twin alone shows it under sc, tso and pso", async () => {
    const args = ["validate", "--explore", "--twin", "marks-late"];
    const { models, verdict } = await svqJson<ExploreDocument>(args, 1);
    expect(models.map(({ memory, violations }) => [memory, violations[0]?.oracle])).toEqual([
      ["sc", "O4"],
      ["tso", "O4"],
      ["pso", "O4"],
    ]);
    expect(verdict).toBe("failed");
  });

  test.each<[string[], RegExp]>([
    [["--explore", "--only", "weak"], /--only: no exploration is called "weak"/],
    [["--explore", "--twin", "evil"], /--twin: no twin is called evil; there are .*marks-late/],
    [["--only", NAME], /--only goes with --explore/],
    [["--fuzz", "--twin", "marks-late"], /--twin goes with --explore/],
    [["--relay", "x.js", "--twin", "marks-late"], /--relay does not go with --twin/],
  ])("%j is refused", async (args, line) => {
    await refused(["validate", ...args], 2, line);
  });
});

test("SIGINT while a twin is loaded prints what there is, as aborted, and leaves no copy", async () => {
  const run = await svq(["validate", "--explore", "--json"], {
    timeoutMs: 110_000,
    meanwhile: async (child, folder) => {
      await until(() => readdirSync(folder).some((name) => name.startsWith("svq-")));
      child.kill("SIGINT");
    },
  });
  expect(run.code).toBe(130);
  const document = documentOf<ExploreDocument>(run);
  expect(document).toMatchObject({ verdict: "aborted", unreduced_agrees: null, crash_points: null });
  expect(document).toMatchObject({ models: [], bytes_per_state: null });
  expect(document.mutants.total).toBeLessThan(25);
  expectNothingLeft(run);
});
