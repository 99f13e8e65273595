import { describe, expect, test } from "vitest";
import { TRACKER_CHECKS } from "../../src/lab/migrate/mutants/tracker-checks.js";
import { trackerKill } from "../../src/lab/migrate/mutants/tracker-killers.js";
import { TRACKER_JUDGE, TRACKER_MUTANTS } from "../../src/lab/migrate/mutants/tracker-mutants.js";
import { MUTANTS } from "../../src/validate/mutants/mutant-list.js";
import { runMutants } from "../../src/validate/mutants/run-mutants.js";

describe("the mutants of dirty tracking", () => {
  test("are M1 to M10 and M17 to M21, those of the relay among the relay's", () => {
    const rows = [...TRACKER_MUTANTS.map(({ row }) => row), ...MUTANTS.flatMap(({ also }) => also ?? [])];
    const numbers = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 17, 18, 19, 20, 21].map((number) => `M${number}`);
    expect([...new Set(rows)].sort()).toEqual(numbers.sort());
  });

  test("are each noticed by a named check, and the shipping trackers by none", async () => {
    const { survivors, control, list } = await runMutants({ seed: 1, mutants: TRACKER_MUTANTS, judge: TRACKER_JUDGE });
    expect(survivors).toEqual([]);
    expect(control?.killed_by).toBeNull();
    for (const { name, killed_by } of list) expect(killed_by, name).toMatch(/^(tracker rule: |migrate )/);
  });

  test("that change nothing survive (twin)", async () => {
    const [{ patches, ...mutant }] = TRACKER_MUTANTS as [(typeof TRACKER_MUTANTS)[number]];
    const none = { ...mutant, patches: patches.map(({ file, find }) => ({ file, find, replace: find })) };
    const { survivors } = await runMutants({ seed: 1, mutants: [none], judge: TRACKER_JUDGE, only: [none.name] });
    expect(survivors).toEqual([none.name]);
  });
});

test("the rules hold of what ships", async () => {
  for (const [name, holds] of Object.entries(TRACKER_CHECKS)) expect(holds(), name).toBe(true);
  expect(await trackerKill(2, [])).toMatchObject({ killed_by: null });
});
