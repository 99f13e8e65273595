/** Mutants are killed by the check that ought to; one in which nothing is wrong survives, and is reported. */
import { expect, test } from "vitest";
import type { Mutant, SourcePatch } from "../../src/validate/mutants/mutant.js";
import { runMutants } from "../../src/validate/mutants/run-mutants.js";

/** By name: the check that notices first, with seed 1. */
const KILLERS: Readonly<Record<string, RegExp>> = {
  "free-list-at-head": /^fuzz honest O1 /,
  "free-list-shared": /^fuzz honest O1 \(invariant 3\)$/,
  "empty-flush": /^fuzz honest O3 \(invariant 13\)$/,
  "bad-id-for-ever": /^fuzz hostile-device O[78] /,
  "wrong-map-deleted": /^fuzz honest O8 /,
  "used-ring-mapped-short": /^machine with a used ring of two pages/,
  "base-of-the-shadow": /^catalogue BI-53$/,
  "late-completion-left": /^fault remap$/,
  "log-not-atomic": /^fuzz honest O4 \(invariant 22\)$/,
  "buffers-marked-late": /^fuzz honest O4 \(invariant 20\)$/,
  "used-ring-marked-early": /^fuzz [a-z-]+ O4 /,
  "kick-without-fence": /^fuzz honest O5 \(invariant 25\)$/,
  "avail-publish-plain": /^fuzz honest O2 \(invariant 6\)$/,
  "length-read-twice": /^catalogue BI-58$/,
  "marks-by-the-ring": /^catalogue BI-59$/,
  "address-cut": /^catalogue BI-107$/,
  "page-by-shift": /^catalogue BI-108$/,
  "fault-uncaught": /^machine with a broken queue/,
};

test("mutants are killed by the check that ought to", async () => {
  const report = await runMutants({ seed: 1, only: Object.keys(KILLERS) });
  for (const { name, killed_by, executions } of report.list) {
    expect(killed_by, name).toMatch(KILLERS[name]!);
    expect(executions, name).toBeGreaterThan(0);
  }
  const total = Object.keys(KILLERS).length;
  expect(report).toMatchObject({ schema: "shadowvq.mutants/1", total, killed: total, survivors: [], control: null });
  expect(JSON.parse(JSON.stringify(report))).toEqual(report);
});

const comment = (file: string, find: string): SourcePatch => ({ file, find, replace: `${find} Nothing else.` });

/** Changes files that others change, and nothing in what they do. */
const EQUIVALENT: Mutant = {
  name: "another-comment",
  row: "none",
  what: "says the same in more words",
  patches: [
    comment("relay/shadow-virtqueue.js", "// Returns first: they free descriptors for what comes,"),
    comment("relay/guest-marks.js", "/** Marks the whole used ring,"),
    comment("dirty/dirty-log.js", "/** Bytes of a log that covers guest addresses below `end`;"),
    comment("iova/gpa-map.js", "/** How many mappings there are."),
  ],
};

test("a mutant in which nothing is wrong survives, and so does the control (twin)", async () => {
  const seen: string[] = [];
  const report = await runMutants({
    seed: 1,
    mutants: [EQUIVALENT],
    onProgress: (done, total, { name, killed_by }) => seen.push(`${done} of ${total} ${name} ${killed_by}`),
  });
  expect(report).toMatchObject({ total: 1, killed: 0, survivors: ["another-comment"], control: { killed_by: null } });
  expect(report.list[0]!.executions).toBe(report.control!.executions);
  expect(seen).toEqual(["1 of 1 another-comment null"]);
}, 120_000);

test("the same seed gives the same report", async () => {
  const run = () => runMutants({ seed: 7, only: ["SVQ-6.2", "S9"] });
  const report = await run();
  expect(report.list.map(({ row }) => row)).toEqual(["SVQ-6.2", "SVQ-6.2", "S9", "S9"]);
  expect(await run()).toEqual(report);
});

test("a name that no mutant has is refused (twin)", async () => {
  await expect(runMutants({ seed: 1, only: ["S9", "S10"] })).rejects.toThrow("no mutant is called S10");
});
