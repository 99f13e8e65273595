/** The list of mutants: complete, and each fits the build exactly. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { inWalk, type Mutant, type SourcePatch } from "../../src/validate/mutants/mutant.js";
import { MUTANTS } from "../../src/validate/mutants/mutant-list.js";
import { NOT_MUTANTS } from "../../src/validate/mutants/not-mutants.js";
import { PatchError, PatchedBuild, patchedText } from "../../src/validate/mutants/patched-build.js";
import { runMutants } from "../../src/validate/mutants/run-mutants.js";
import { packageRoot } from "../../src/workers/worker-url.js";
import { ownTmpdir } from "../helpers/own-tmpdir.js";

/** Rows that a mutant, or a reason why there is none, has to stand for. */
const ROWS: readonly string[] = [
  ...[1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 23, 24, 25, 26, 27, 28, 30, 31, 32, 33, 36, 37, 38, 41, 44].map(
    (row) => `SVQ-6.${row}`,
  ),
  ...[1, 2, 3, 4, 5, 6, 7, 8].map((row) => `SVQ-2.6.${row}`),
  ...[58, 59, 106, 107, 108, 109, 110, 111, 112, 113].map((row) => `BI-${row}`),
  "S9",
];

describe("the list", () => {
  test("has at least 36 mutants, each with a name of its own", () => {
    expect(MUTANTS.length).toBeGreaterThanOrEqual(36);
    expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
  });

  test("has a mutant for each row, or says why there is none", () => {
    const mutants = new Set(MUTANTS.map(({ row }) => row));
    expect([...mutants, ...Object.keys(NOT_MUTANTS)].sort()).toEqual([...ROWS].sort());
  });

  test("has three of row 27, and both orders of S9", () => {
    const count = (row: string) => MUTANTS.filter((mutant) => mutant.row === row).length;
    expect([count("SVQ-6.27"), count("S9")]).toEqual([3, 2]);
  });
});

describe("a patch", () => {
  test.each(MUTANTS)("of $name fits the build, and changes it", ({ patches }) => {
    for (const file of new Set(patches.map((patch) => patch.file))) {
      expect(patchedText(file, patches)).not.toBe(patchedText(file, []));
    }
  });

  test.each([
    ["nowhere", "a passage that was never written"],
    ["more than once", "books.freeHead"],
  ])("whose passage stands %s is refused by name (twin)", (_, passage) => {
    const [patch] = [inWalk(passage, "")];
    expect(() => patchedText(patch.file, [patch])).toThrow(PatchError);
    expect(() => patchedText(patch.file, [patch])).toThrow(`times: ${passage}`);
  });
});

describe("the copy of the build", () => {
  const FILE = "relay/shadow-virtqueue.js";
  const GOOD = inWalk("freeCount -= count;", "freeCount -= 1;");
  const BAD = inWalk("a passage that was never written", "");
  const folder = ownTmpdir();

  test("has patches while they are asked for, and is then what it was", async () => {
    const build = new PatchedBuild();
    const text = () => readFileSync(build.path(FILE), "utf8");
    const before = text();
    await build.with([GOOD], async () => expect(text()).toBe(before.replace(GOOD.find, GOOD.replace)));
    expect(text()).toBe(before);
    await expect(build.with([GOOD, BAD], async () => {})).rejects.toThrow(PatchError);
    expect(text()).toBe(before);
    build.remove();
    expect(readdirSync(folder())).toEqual([]);
  });

  test("is gone when the process ends, however that comes about", () => {
    const module = join(packageRoot(), "dist", "src", "validate", "mutants", "patched-build.js");
    const text = `import { PatchedBuild } from ${JSON.stringify(module)}; new PatchedBuild(["ring"]);`;
    const run = (end: string) =>
      spawnSync(process.execPath, ["--input-type=module", "--eval", `${text} ${end}`], { timeout: 20_000 }).status;
    expect([run("process.exit(130);"), run("throw new Error();"), run("")]).toEqual([130, 1, 0]);
    expect(readdirSync(folder())).toEqual([]);
  });

  test("has the folders that are asked for", () => {
    const build = new PatchedBuild(["ring", "layout"]);
    expect(readdirSync(join(folder(), readdirSync(folder())[0]!)).sort()).toEqual(["layout", "package.json", "ring"]);
    build.remove();
  });

  test("is gone when the run is over, also when a patch does not fit (twin)", async () => {
    const mutant = (name: string, patch: SourcePatch): Mutant => ({ name, row: "none", what: "", patches: [patch] });
    const run = (...mutants: Mutant[]) => runMutants({ seed: 1, mutants, only: ["none"] });
    await run(mutant("good", GOOD));
    expect(readdirSync(folder())).toEqual([]);
    await expect(run(mutant("good", GOOD), mutant("bad", BAD))).rejects.toThrow(PatchError);
    expect(readdirSync(folder())).toEqual([]);
  });

  test("is gone when the run is ended early, before a mutant or under way", async () => {
    const aborted = async (abort: (controller: AbortController) => void) => {
      const controller = new AbortController();
      const { signal } = controller;
      const onProgress = () => controller.abort(new Error("enough"));
      const run = runMutants({ seed: 1, only: ["SVQ-6.2"], signal, onProgress });
      abort(controller);
      await expect(run).rejects.toThrow("enough");
      expect(readdirSync(folder())).toEqual([]);
    };
    await aborted(() => {});
    await aborted((controller) => controller.abort(new Error("enough")));
  });
});
