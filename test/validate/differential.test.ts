import { describe, expect, test } from "vitest";
import { guestProgram } from "../../src/validate/differential/guest-program.js";
import { illegalDifference, LEGAL_DIFFERENCES } from "../../src/validate/differential/legal.js";
import { DIFFERENTIALS, runDifferential } from "../../src/validate/differential/run-differential.js";
import { NEVER } from "../../src/validate/differential/scripted-guest.js";
import { WALKER_DIFFERENCES } from "../../src/validate/differential/walkers.js";
import { type Wired, Wirings } from "../../src/validate/differential/wirings.js";

describe("the guest sees the same, whatever stands between it and its device", () => {
  for (const name of DIFFERENTIALS.filter((each) => each !== "paths")) {
    test(`${name}: 2,000 programs`, () => {
      const report = runDifferential({ seed: 20_260_101, programs: 2000, only: [name] });
      expect(report.examples).toEqual([]);
      expect(report.wirings).toEqual([{ name, programs: 2000, differences: 0 }]);
    });
  }

  test("paths: 150 machines, each on all seven", () => {
    const report = runDifferential({ seed: 20_260_102, programs: 0, machines: 150, only: ["paths"] });
    expect(report.examples).toEqual([]);
    expect(report).toMatchObject({ programs: 150, differences: 0 });
  });

  test("everything at once, and progress on the way", () => {
    const done: number[] = [];
    const report = runDifferential({ seed: 3, programs: 1000, machines: 2, onProgress: (count) => done.push(count) });
    expect(report).toMatchObject({ programs: 1000, differences: 0 });
    expect(report.wirings.map(({ name }) => name)).toEqual([...DIFFERENTIALS]);
    expect(done).toEqual([500, 1000]);
  });
});

/** Which legal differences a run shows, by name. */
function shown(direct: Wired, other: Wired, wiring: "svq" | "device-half"): string[] {
  const seen = [];
  const pairs = direct.guest.outcomes.map((length, at) => [length, other.guest.outcomes[at]] as const);
  const views = direct.facts.map((fact) => fact.views);
  const broken = direct.broken !== undefined && other.broken !== undefined;
  if (broken && pairs.some(([a, b]) => (a === NEVER) !== (b === NEVER))) seen.push("at a break");
  if (wiring === "svq" && views.some(({ neverFits }) => neverFits)) seen.push("never fits");
  if (wiring === "device-half" && direct.broken === undefined && other.broken !== undefined) seen.push("shape first");
  if (!broken && pairs.some(([a, b], at) => b !== undefined && a > b && !views[at]!.neverFits)) seen.push("clamped");
  if (String(direct.guest.order) !== String(other.guest.order)) {
    seen.push(direct.facts.some(({ refused }) => refused !== undefined) ? "refused late" : "used order");
  }
  return seen;
}

test("every legal difference that shows in outcomes does occur, so that the table is not longer than it has to be", () => {
  const wirings = new Wirings();
  const seen = new Set<string>();
  for (let index = 0; index < 2000; index++) {
    const program = guestProgram(11, index);
    const direct = wirings.run(program, "direct");
    for (const wiring of ["svq", "device-half"] as const) {
      const other = wirings.run(program, wiring);
      expect(illegalDifference(program, direct, other, wiring)).toBeUndefined();
      for (const name of shown(direct, other, wiring)) seen.add(name);
    }
  }
  const silent = ["notifications", "event words", "empty chain"];
  expect([...seen, ...silent].sort()).toEqual(Object.keys(LEGAL_DIFFERENCES).sort());
  expect(Object.keys(WALKER_DIFFERENCES)).toEqual(["chain-empty", "chain-bytes-overflow"]);
});
