import { expect, it } from "vitest";
import { coverage, mentions } from "../helpers/named-ids.js";
import { INVENTORY_ID, inventory } from "./inventory.js";
import { INVENTORY } from "./rows.js";

const found = (title: string) => mentions({ path: "a.test.ts", text: `it("${title}", a);` }, INVENTORY_ID);

it("has the 98 rows of five threads, each once", () => {
  const ids = INVENTORY.map(({ id }) => id);
  const ofThread = (letter: string, count: number) =>
    Array.from({ length: count }, (_, i) => `${letter}${String(i + 1).padStart(2, "0")}`);
  const all = [ofThread("A", 21), ofThread("B", 13), ofThread("C", 13), ofThread("D", 36), ofThread("E", 15)].flat();
  expect(ids).toEqual(all);
  expect(INVENTORY.every(({ says, thread }) => says !== "" && thread !== "")).toBe(true);
});

it("has a test for every row that waits for no other part", () => {
  const { missing, wrong } = inventory();
  expect(wrong).toEqual([]);
  expect(missing).toEqual([]);
});

it("finds an id in a title, and not in what only looks like one", () => {
  expect(found("A05: a leaf is split").map(([id]) => id)).toEqual(["A05"]);
  expect(found("a leaf (B04, D32)").map(([id]) => id)).toEqual(["B04", "D32"]);
  expect(found("A22: B14, C00) E16: A05 0xA05: BA05:")).toEqual([]);
});

it("finds a row that has no test, and a test of what is down as later", () => {
  const sources = [{ path: "a.test.ts", text: 'it("C01: a set of states", a);' }];
  const rows = [{ id: "A05" }, { id: "C01", untested: { kind: "later", why: "it is missing" } }];
  expect(coverage(rows, sources, INVENTORY_ID)).toMatchObject({
    missing: ["A05"],
    wrong: ['a.test.ts: C01 is down as later, and has a test ("C01: a set of states")'],
  });
});
