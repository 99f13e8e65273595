import { beforeAll, describe, expect, test } from "vitest";
import { type FaultReason, PEER_FAULTS } from "../../src/ring/peer-fault.js";
import type { Case } from "../../src/validate/catalogue/case.js";
import { CATALOGUE } from "../../src/validate/catalogue/catalogue.js";
import { NOT_YET } from "../../src/validate/catalogue/not-yet.js";
import { type CatalogueReport, runCatalogue } from "../../src/validate/catalogue/run-catalogue.js";
import { type MakeRelay, SHIPPING } from "../../src/validate/rig/rig.js";

const IDS = Array.from({ length: 113 }, (_, i) => `BI-${String(i + 1).padStart(2, "0")}`);

/** The fault that a case is to end in. */
function reasonOf({ expected }: Case): FaultReason | undefined {
  return expected === "forward" ? undefined : (expected.split(" ")[1] as FaultReason);
}

describe("the catalogue", () => {
  let report: CatalogueReport;
  const progress: string[] = [];

  beforeAll(() => {
    report = runCatalogue({ onProgress: (done, total) => progress.push(`${done} of ${total}`) });
  }, 60_000);

  for (const { id, title } of CATALOGUE) {
    test(`${id}: ${title}`, () => {
      expect(report.failures.filter((failure) => failure.id === id)).toEqual([]);
    });
  }

  test("has thousands of cases, none of which fails", () => {
    expect(report).toMatchObject({ rows: CATALOGUE.length, failed: 0, failures: [] });
    expect(report.cases).toBeGreaterThanOrEqual(5000);
    expect(report.legal_neighbours).toBeGreaterThanOrEqual(1500);
    expect(progress.at(-1)).toBe(`${CATALOGUE.length} of ${CATALOGUE.length}`);
  });
});

describe("what the catalogue covers", () => {
  test("each number is a row with cases, or is left out with a reason", () => {
    const rows = CATALOGUE.filter((row) => row.cases().length > 0).map(({ id }) => id);
    expect([...rows, ...Object.keys(NOT_YET)].sort()).toEqual([...IDS].sort());
    for (const [id, why] of Object.entries(NOT_YET)) expect(why.length, id).toBeGreaterThan(20);
  });

  test("each reason in the closed list is what some case is to end in, at the cost that the list names", () => {
    const all = CATALOGUE.flatMap((row) => row.cases());
    const reasons = new Set(all.map(reasonOf));
    expect([...reasons].filter((reason) => reason !== undefined).sort()).toEqual(Object.keys(PEER_FAULTS).sort());
    for (const each of all) {
      const reason = reasonOf(each);
      if (reason !== undefined) expect(each.expected).toBe(`${PEER_FAULTS[reason]} ${reason}`);
    }
  });

  test("each row that refuses has a legal neighbour, and so has each reason", () => {
    const reasons = new Map<FaultReason, number>();
    for (const row of CATALOGUE) {
      const cases = row.cases();
      const neighbours = cases.filter(({ kind }) => kind === "neighbour");
      for (const each of neighbours) expect(each.expected, `${row.id} ${each.name}`).toBe("forward");
      const refused = new Set(cases.map(reasonOf));
      refused.delete(undefined);
      if (refused.size > 0) expect(neighbours.length, row.id).toBeGreaterThan(0);
      for (const reason of refused) reasons.set(reason!, (reasons.get(reason!) ?? 0) + neighbours.length);
    }
    expect([...reasons].filter(([, neighbours]) => neighbours === 0)).toEqual([]);
  });

  test("a case has a name of its own, which stays when the row is made again", () => {
    for (const row of CATALOGUE) {
      const names = row.cases().map(({ name }) => name);
      expect([...new Set(names)], row.id).toEqual(names);
      expect(row.cases().map(({ name }) => name)).toEqual(names);
    }
  });
});

describe("runCatalogue", () => {
  test("runs the rows that it is asked for, and says the same each time", () => {
    const report = runCatalogue({ rows: ["BI-12", "BI-62"] });
    expect(report).toMatchObject({ rows: 1, failed: 0, not_yet: [{ id: "BI-62" }] });
    expect(runCatalogue({ rows: ["BI-12", "BI-62"] })).toEqual(report);
  });

  test("a relay that refuses everything fails, and so does one that throws what is no fault of a peer", () => {
    const idle = { step: () => false, arm: () => true, abandon: () => {} };
    const refusing = runCatalogue({ rows: ["BI-19"], make: () => idle });
    expect(refusing.failed).toBe(refusing.cases);
    const throwing = runCatalogue({
      rows: ["BI-19"],
      make: () => {
        throw new Error("no relay today");
      },
    });
    expect(throwing.failed).toBe(throwing.cases);
    expect(throwing.failures[0]).toMatchObject({ id: "BI-19", got: "threw Error: no relay today" });
    expect(throwing.failures[0]!.program?.actions.length).toBeGreaterThan(0);
  });

  test("a case that takes more accesses than it may fails, though it ends well", () => {
    const make: MakeRelay = (parts) => {
      const relay = SHIPPING(parts);
      const step = () => {
        for (let i = 0; i < 1000; i++) parts.shadow.availMemory.fence();
        return relay.step();
      };
      return { step, arm: () => relay.arm(), abandon: () => relay.abandon() };
    };
    const { failures, cases } = runCatalogue({ rows: ["BI-25"], make });
    expect(failures.length).toBe(cases);
    for (const { got } of failures) expect(got).toMatch(/^forward, in \d+ accesses of \d+$/);
  });
});
