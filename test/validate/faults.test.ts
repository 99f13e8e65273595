import { describe, expect, test } from "vitest";
import { FAULT_KINDS } from "../../src/validate/faults/kinds.js";
import { dryRun, replayFault, runFaults } from "../../src/validate/faults/run-faults.js";

/** What a report says when all was well. */
const NOTHING = { lost: 0, duplicated: 0, missed_dirty_pages: 0, hung: 0 };

describe("a fault at every position of a run is survived: nothing lost, doubled or missed, and it ends", () => {
  for (const kind of FAULT_KINDS) {
    test(`${kind.name} (G8, O2, O3, O4, O5)`, () => {
      const { kinds } = runFaults({ seed: 1, injections: 150, kinds: [kind] });
      expect(kinds[0]).toMatchObject({ name: kind.name, ...NOTHING, failures: [] });
      expect(kinds[0]!.injections).toBeGreaterThanOrEqual(150);
      if (kind.timeouts === 0) expect(kinds[0]!.timeouts).toBe(0);
    });
  }
});

describe("the kinds", () => {
  test("are at least 14, each with a name of its own and a sentence", () => {
    expect(new Set(FAULT_KINDS.map(({ name }) => name)).size).toBe(FAULT_KINDS.length);
    expect(FAULT_KINDS.length).toBeGreaterThanOrEqual(14);
    for (const { does } of FAULT_KINDS) expect(does).toMatch(/^[A-Z].*\.$/);
  });

  test("have positions all over a run, from its first step to its last", () => {
    for (const kind of FAULT_KINDS) {
      const { counts, verdict } = dryRun(kind, 3);
      expect([kind.name, verdict.what]).toEqual([kind.name, []]);
      expect(kind.positions(counts), kind.name).toBeGreaterThan(1);
    }
  });

  test("are as deterministic as their seed: the same run takes the same steps", () => {
    for (const kind of FAULT_KINDS) expect(dryRun(kind, 5).counts, kind.name).toEqual(dryRun(kind, 5).counts);
  });
});

describe("a lost notification", () => {
  const lost = FAULT_KINDS.filter(({ name }) => /^lost-/.test(name));

  test("is counted where a sleeper had to find its work by itself (BI-104)", () => {
    for (const kind of runFaults({ seed: 1, injections: 200, kinds: lost }).kinds) {
      expect(kind.timeouts, kind.name).toBeGreaterThan(10);
      expect(kind.timeouts, kind.name).toBeLessThan(kind.injections);
    }
  });

  test("stalls a machine whose sleep knows no time limit, and costs no data all the same (twin)", () => {
    const kinds = lost.map((kind) => ({ ...kind, timeouts: 0 }));
    for (const kind of runFaults({ seed: 1, injections: 200, kinds }).kinds) {
      expect(kind.hung, kind.name).toBeGreaterThan(10);
      expect([kind.lost, kind.duplicated, kind.missed_dirty_pages], kind.name).toEqual([0, 0, 0]);
      expect(kind.failures[0]!.what).toMatch(/everybody sleeps/);
    }
  });
});

describe("a report", () => {
  test("is the same for the same seed, and another for another", () => {
    const kinds = FAULT_KINDS.filter((_, i) => i % 4 === 1);
    const report = (seed: number) => JSON.stringify(runFaults({ seed, injections: 40, kinds }));
    expect(report(7)).toBe(report(7));
    expect(report(8)).not.toBe(report(7));
  });

  test("adds up, over at least as many injections as were asked for", () => {
    const report = runFaults({ seed: 2, injections: 18 });
    expect(report.kinds.map(({ name }) => name)).toEqual(FAULT_KINDS.map(({ name }) => name));
    expect(report.injections).toBe(report.kinds.reduce((sum, { injections }) => sum + injections, 0));
    expect(report.injections).toBeGreaterThanOrEqual(18);
    expect(report).toMatchObject(NOTHING);
  });

  test("is of whole machines: one that was begun is finished at its last position", () => {
    const kind = FAULT_KINDS.find(({ name }) => name === "relay-kill")!;
    const { counts } = dryRun(kind, 4);
    expect(runFaults({ seed: 4, injections: 1, kinds: [kind] }).injections).toBe(kind.positions(counts));
  });

  test("tells how far it has come after each injection", () => {
    const seen: number[] = [];
    const kinds = FAULT_KINDS.slice(0, 4);
    const report = runFaults({ seed: 1, injections: 36, kinds, onProgress: (...at) => seen.push(...at) });
    expect(seen.filter((_, i) => i % 2 === 0)).toEqual(Array.from({ length: report.injections }, (_, i) => i + 1));
    expect(new Set(seen.filter((_, i) => i % 2 === 1))).toEqual(new Set([36]));
  });

  test("ends for a kind that can strike nowhere", () => {
    const nowhere = { ...FAULT_KINDS[0]!, positions: () => 0 };
    expect(runFaults({ seed: 1, injections: 5, kinds: [nowhere] })).toMatchObject({ injections: 0, ...NOTHING });
  });

  test("names a failure by what it takes to run it again (O9)", () => {
    const kind = { ...FAULT_KINDS[0]!, timeouts: 0 };
    const { failures } = runFaults({ seed: 1, injections: 50, kinds: [kind] }).kinds[0]!;
    expect(failures.length).toBeGreaterThan(0);
    for (const { seed, position, what } of failures) {
      expect(replayFault(kind, seed, position).what.join("; ")).toBe(what);
    }
  });
});
