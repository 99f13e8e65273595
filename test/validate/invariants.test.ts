import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { INVARIANTS } from "../../src/validate/oracles/invariants.js";
import { ORACLES, type OracleId } from "../../src/validate/oracles/violation.js";
import { WRONG_MANNERS } from "./wrong-manners.js";
import { WRONG_OUTCOMES } from "./wrong-outcomes.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const WRONG = [...WRONG_OUTCOMES, ...WRONG_MANNERS];
/** What shows only in another way than a relay that breaks it, in oracles.test.ts. */
const SHOWN_OTHERWISE = new Map([
  [7, "a head that is in no place is one that is returned or taken out of turn: 8 and 36"],
  [10, "follows from what the ledger accepts: each head taken is in flight, back, or held"],
  [17, "what the device has no right to is refused, by the book: 36"],
  [24, "in a test of its own: only what nobody watches gets as far"],
  [27, "extra notifications are counted, not refused"],
]);

describe("the invariants", () => {
  it("are forty, numbered in their order, each with one sentence", () => {
    expect(INVARIANTS.map(({ number }) => number)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    for (const { statement } of INVARIANTS) expect(statement).toMatch(/^[A-Z].*[^.]\.$/);
  });

  it.each(INVARIANTS.flatMap(({ number, heldBy }) => ("about" in heldBy ? [{ number, ...heldBy }] : [])))(
    "$number is held by tests that are there, and about it",
    ({ number, tests, about }) => {
      for (const file of tests) {
        expect(existsSync(`${ROOT}${file}`), file).toBe(true);
        const text = readFileSync(`${ROOT}${file}`, "utf8");
        expect(text.includes(about), `invariant ${number}: ${file} has nothing about "${about}"`).toBe(true);
      }
    },
  );

  it("that a rig holds are each broken by some relay, and noticed by an oracle that the table names", () => {
    for (const { number, heldBy } of INVARIANTS) {
      if (!("oracles" in heldBy)) continue;
      const broken = WRONG.filter(({ caught }) => caught[1] === number);
      expect(broken.length > 0 || SHOWN_OTHERWISE.has(number), `invariant ${number}`).toBe(true);
      for (const {
        caught: [oracle],
      } of broken)
        expect(heldBy.oracles, `invariant ${number}`).toContain(oracle);
      for (const file of heldBy.tests ?? [])
        expect(readFileSync(`${ROOT}${file}`, "utf8")).toContain(`invariant ${number}`);
    }
  });

  it("use every oracle but replay, which takes two runs", () => {
    const used = new Set(INVARIANTS.flatMap(({ heldBy }) => ("oracles" in heldBy ? heldBy.oracles : [])));
    const all = Object.keys(ORACLES) as OracleId[];
    expect(all.filter((oracle) => !used.has(oracle))).toEqual(["O9"]);
    expect(new Set(WRONG.map(({ caught }) => caught[0])).size).toBe(all.length - 1);
  });
});
