/** The whole report of an exploration: verdict, twins, searches without a reduction, and what is left behind. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { castWith } from "../../src/validate/explorer/cast.js";
import { runExploration } from "../../src/validate/explorer/exploration.js";
import { type ExploreOptions, explore, modelName } from "../../src/validate/explorer/explore.js";
import type * as threads from "../../src/validate/explorer/explore-threads.js";
import { judgeTwin, optionsFor } from "../../src/validate/explorer/judge-twins.js";
import { REDUCTION_NAMES } from "../../src/validate/explorer/reductions.js";
import { TWINS, type Twin } from "../../src/validate/explorer/twin-list.js";
import { compare, comparisonsOf } from "../../src/validate/explorer/unreduced.js";
import { brokenBy, oracleOf } from "../../src/validate/explorer/violation-oracle.js";
import { PatchError } from "../../src/validate/mutants/patched-build.js";
import { packageRoot, workerUrl } from "../../src/workers/worker-url.js";
import { ownTmpdir } from "../helpers/own-tmpdir.js";
import { type Patch, patchedCopy } from "../helpers/patched-copy.js";

beforeAll(() => void workerUrl("relay"));

const TINY: ExploreOptions = { model: "tso", ring: 1, requests: 1, eventIdx: true, log: true };
const named = (name: string): Twin => TWINS.find((twin) => twin.name === name)!;
const LATE = named("marks-late");

describe("the verdict", () => {
  it("is ok when models, twins and comparisons are as they should be", async () => {
    const calls: [number, number, string][] = [];
    const report = await runExploration({
      models: [TINY],
      twins: [LATE],
      comparisons: [{ options: TINY, reduction: "images-once" }],
      onProgress: (...call) => calls.push(call),
    });
    expect(report).toMatchObject({ verdict: "ok", unreduced_agrees: true, mutants: { total: 1, killed: 1 } });
    expect(calls).toEqual([
      [1, 3, "marks-late"],
      [2, 3, "tso, 1 × 1, event idx, log on"],
      [3, 3, "without images-once"],
    ]);
  });

  it("is failed when a twin is not found as its kind is to be (twin)", async () => {
    const report = await runExploration({ models: [], twins: [{ ...LATE, kind: "store-order" }] });
    expect(report).toMatchObject({ verdict: "failed", mutants: { total: 1, killed: 0 } });
    expect(report.mutants.survivors[0]).toMatchObject({ name: "marks-late", seen: { sc: true } });
  });

  it("is failed when a model has a violation, which says its oracle and the command that shows it (twin)", async () => {
    const model = { ...optionsFor(LATE, "sc"), make: await castWith(LATE) };
    const { verdict, models } = await runExploration({ models: [model], twin: LATE.name });
    expect(verdict).toBe("failed");
    expect(models[0]!.violations[0]).toMatchObject({
      oracle: "O4",
      what: "request 0 is used and not yet marked",
      replay: 'svq validate --explore --only "sc, 2 × 1, event idx, log on" --twin marks-late',
    });
  });

  it("is aborted when a signal came, or a model was not visited whole", async () => {
    const signal = AbortSignal.abort();
    expect(await runExploration({ models: [TINY], twins: [LATE], signal })).toMatchObject({
      verdict: "aborted",
      models: [],
      bytes_per_state: null,
      unreduced_agrees: null,
    });
    expect(await runExploration({ models: [{ ...TINY, statesMax: 1000 }] })).toMatchObject({ verdict: "aborted" });
  });
});

/** The explorer with a passage of positions.ts changed. */
async function explorerWith(...patches: readonly Omit<Patch, "0">[]): Promise<typeof explore> {
  const folder = "validate/explorer";
  const positions = patches.map(([, passage, instead]) => [`${folder}/positions.ts`, passage, instead] as Patch);
  const same: Patch = [`${folder}/explorer.ts`, "export class Explorer {", "export class Explorer {"];
  const copy = await patchedCopy<{ explore: typeof explore }>(`${folder}/explore.ts`, same, ...positions);
  return copy.explore;
}

describe("searches without a reduction", () => {
  it("are made for each reduction, under each order of stores where it does something, with twins as well", () => {
    for (const profile of ["quick", "ci", "full"] as const) {
      const comparisons = comparisonsOf(profile);
      for (const reduction of REDUCTION_NAMES) {
        const own = comparisons.filter((comparison) => comparison.reduction === reduction);
        const models = own.filter(({ twin }) => twin === undefined).map(({ options }) => options.model);
        expect(models).toEqual(expect.arrayContaining(["tso", "pso", "tso-seqcst"]));
        expect(models.includes("sc")).toBe(reduction !== "stores-with-access");
        expect(own.filter(({ twin }) => twin !== undefined).length).toBeGreaterThanOrEqual(3);
      }
    }
  });

  it.each(comparisonsOf("quick"))("come to the same verdict: $options.model, $reduction, $twin.name", async (both) => {
    const row = await compare(both);
    expect(row).toMatchObject({ agrees: true, reduced_verdict: row.verdict });
    expect(row.verdict === "complete").toBe(both.twin === undefined);
    expect(row.states).toBeGreaterThanOrEqual(row.reduced_states);
  });

  it.each(["stores-with-access", "equal-steps"] as const)("have more states: %s", async (reduction) => {
    const { states, reduced_states } = await compare({ options: TINY, reduction });
    expect(states).toBeGreaterThan(1.5 * reduced_states);
  });

  it("show a reduction that takes a fence along with the stores, and so finds what is not there (twin)", async () => {
    const broken = await explorerWith([
      "",
      "else if (!this.#isEmpty(kind)) break;",
      'else if (kind !== "fence") break;',
    ]);
    const options = { ...TINY, requests: 2 };
    expect(await compare({ options, reduction: "stores-with-access" }, broken)).toMatchObject({
      verdict: "complete",
      reduced_verdict: "O5",
      agrees: false,
    });
  });

  it("show a reduction that lets stores be seen in order only, and so overlooks what is there (twin)", async () => {
    const broken = await explorerWith([
      "",
      "if (!mayDrain(stores, position, order)) return [];",
      'if (!mayDrain(stores, position, this.#folds ? "tso" : order)) return [];',
    ]);
    const twin = named("relay-used-plain");
    const row = await compare({ options: optionsFor(twin, "pso"), reduction: "stores-with-access", twin }, broken);
    expect(row).toMatchObject({ verdict: "hand-over", reduced_verdict: "complete", agrees: false });
  });

  it("agree on nothing where the limit ended both (twin)", async () => {
    const options = { ...TINY, statesMax: 1000 };
    expect(await compare({ options, reduction: "images-once" })).toMatchObject({ agrees: false });
  });

  it("that disagree make the report's verdict failed (twin)", async () => {
    const comparisons = [{ options: { ...TINY, statesMax: 1000 }, reduction: "images-once" as const }];
    const report = await runExploration({ models: [], comparisons });
    expect(report).toMatchObject({ verdict: "failed", unreduced_agrees: false });
  });
});

describe("the oracle of a violation, and what a relay has broken by it", () => {
  it.each<[string, string, string, number]>([
    ["asleep: driver, relay", "O5", "O5", 25],
    ["driver and relay have guest avail ring at once", "hand-over", "O2", 6],
    ["relay and driver have guest used ring at once", "hand-over", "O3", 8],
    ["device: a store of 4 bytes at 88, where it may not write", "O6", "O6", 5],
    ["request 0 is used and not yet marked", "O4", "O4", 20],
    ["the guest's used ring is not marked", "O4", "O4", 20],
    ["3 requests are used of 2", "O3", "O3", 8],
    ["used entry 1 is of no request", "O3", "O3", 8],
    ["driver: request 0 has length 767", "O3", "O3", 39],
    ["driver: request 1 comes back before 0", "O3", "O3", 8],
    ["driver: used-id-unknown: the used ring names a head that is not in flight", "all", "O3", 8],
    ["device: request 0 is 1 × 768 bytes at 4160", "O2", "O2", 6],
    ["device: loop: a chain comes back to a descriptor", "all", "O2", 6],
    ["relay: 1 free and 1 in flight of 1", "O1", "O1", 2],
    ["relay: used-id-unknown: the device's used ring names a head it does not have", "all", "O8", 36],
    ["relay: O9: what save() gives cannot be cloned", "all", "O9", 0],
    ["relay: O1 (invariant 2): 3 chains of 2", "all", "O1", 2],
    ["relay: a step remembers what is not in its state", "all", "O9", 0],
    ["a fault that nobody has named", "all", "O8", 36],
  ])("%s: %s, %s %i", (what, oracle, id, invariant) => {
    expect(oracleOf(what)).toBe(oracle);
    expect(brokenBy(what)).toEqual({ id, invariant });
  });
});

describe("patched copies", () => {
  const folder = ownTmpdir();

  it("are gone when a twin is judged, and when its patch does not fit (twin)", async () => {
    await judgeTwin(LATE);
    expect(readdirSync(folder())).toEqual([]);
    const patches = [{ file: LATE.entry, find: "a passage that was never written", replace: "" }];
    await expect(judgeTwin({ ...LATE, patches })).rejects.toThrow(PatchError);
    expect(readdirSync(folder())).toEqual([]);
  });
});

describe("explorations on threads", () => {
  const built = join(packageRoot(), "dist", "src", "validate", "explorer", "explore-threads.js");
  const inThreads = async (...args: Parameters<typeof threads.exploreInThreads>) => {
    const module = (await import(/* @vite-ignore */ pathToFileURL(built).href)) as typeof threads;
    return module.exploreInThreads(...args);
  };

  it("say what they say on one, in the order in which they were asked for", async () => {
    const plays = (["pso", "sc", "tso"] as const).map((model) => ({ ...TINY, model }));
    const done: string[] = [];
    const found = await inThreads(plays, { onDone: (name) => done.push(name) });
    expect(found.map(({ name, states }) => [name, states])).toEqual(
      plays.map((play) => [modelName(play), explore(play).states]),
    );
    expect(done.sort()).toEqual(plays.map(modelName).sort());
  });

  it("end with a signal", async () => {
    const controller = new AbortController();
    const found = inThreads([{ ...TINY, ring: 2, requests: 3 }], { signal: controller.signal, onDone: () => {} });
    controller.abort();
    expect(await found).toEqual([]);
  });

  it("end when a thread dies (twin)", async () => {
    const impossible = { ...TINY, requests: 2, order: "any" } as const;
    await expect(inThreads([impossible], { onDone: () => {} })).rejects.toThrow(/any order: .*out of order/);
  });
});
