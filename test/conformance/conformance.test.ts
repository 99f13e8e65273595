import { describe, expect, it } from "vitest";
import { coverage, mentions } from "../helpers/named-ids.js";
import { read } from "../house/sources.js";
import { STATEMENT_ID, STATEMENTS, type Statement } from "./statements.js";
import { tally } from "./tally.js";

const PATH = "test/a/a.test.ts";

/** Statements by id; one that ends in "?" is down as not yet tested. */
function statements(...ids: string[]): Statement[] {
  return ids.map((id) => ({
    id: id.replace("?", ""),
    section: "2.7",
    binds: "driver",
    says: "does something",
    keyword: !id.startsWith("TOL"),
    ...(id.endsWith("?") ? { untested: { kind: "not yet", why: "it is missing" } as const } : {}),
  }));
}

/** The ids that a text counts as a test of. */
function found(text: string): string[] {
  return mentions({ path: PATH, text }, STATEMENT_ID).map(([id]) => id);
}

describe("an id counts", () => {
  it.each([
    ["in a title", 'it("a head is taken (SPLIT-10, BI-03)", () => {});', ["SPLIT-10"]],
    ["in a template", "test(`on $" + "{path} (NOTIF-01, NOTIF-02)`, () => {});", ["NOTIF-01", "NOTIF-02"]],
    ["in a title of a table", 'it.each([1, 2])("%s (IMPL-02)", () => {});', ["IMPL-02"]],
    ["in a table from which titles are made", 'export const FACTS = { a: { fact: "b (INDIR-01)" } };', ["INDIR-01"]],
    ["as a key of one", 'const RULES = { "aligned (SPLIT-01)": () => [] };', ["SPLIT-01"]],
    ["each time", 'it("a (TOL-01)", a); it("b (TOL-01)", b);', ["TOL-01", "TOL-01"]],
  ])("%s", (_, text, ids) => {
    expect(found(text)).toEqual(ids);
  });

  it.each([
    ["in a comment", '// SPLIT-10\n/** NOTIF-01 */ it("a", () => { /* STAT-01 */ });'],
    ["as a piece of another word", 'it("XSPLIT-1, SPLIT-1x, split-10, SPLIT 10, BI-10, S-1", () => {});'],
    ["as code", "const SPLIT = 20, left = SPLIT-10;"],
  ])("not %s", (_, text) => {
    expect(found(text)).toEqual([]);
  });
});

describe("coverage()", () => {
  const text = 'it("a (STAT-01, RFB-01)", () => {}); // STAT-02';
  const judged = (ids: string[], source = text) =>
    coverage(statements(...ids), [{ path: PATH, text: source }], STATEMENT_ID);

  it("finds what has no test", () => {
    expect(judged(["STAT-01", "RFB-01", "STAT-02"]).missing).toEqual(["STAT-02"]);
    expect(judged(["STAT-01", "RFB-01", "STAT-02?"])).toMatchObject({ missing: [], wrong: [] });
  });

  it("finds a title that names what there is not, or what is down as untested", () => {
    expect(judged(["STAT-01"]).wrong).toEqual([`${PATH}: there is no statement RFB-01 ("a (STAT-01, RFB-01)")`]);
    expect(judged(["STAT-01", "RFB-01?"]).wrong).toEqual([
      `${PATH}: RFB-01 is down as not yet, and has a test ("a (STAT-01, RFB-01)")`,
    ]);
  });

  it("is counted so that every statement is in one column", () => {
    const counts = tally(judged(["STAT-01", "RFB-01", "STAT-02", "SUSP-01?", "TOL-01"]), ({ keyword }) => keyword);
    expect(counts).toEqual({ statements: 4, tested: 2, not_applicable: 0, not_yet: 1, missing: ["STAT-02"] });
  });
});

describe("the statements", () => {
  it("are 131 with a keyword and 38 without, each once, each with a reason where it has no test", () => {
    expect(STATEMENTS.filter(({ keyword }) => keyword).length).toBe(131);
    expect(STATEMENTS.length).toBe(131 + 26 + 12);
    expect(new Set(STATEMENTS.map(({ id }) => id)).size).toBe(STATEMENTS.length);
    for (const { id, section, binds, says, untested } of STATEMENTS) {
      expect(
        [section, says].every((text) => text.length > 0),
        id,
      ).toBe(true);
      expect(["driver", "device", "both"], id).toContain(binds);
      expect(untested?.why.length ?? 99, id).toBeGreaterThan(20);
    }
  });

  it("have a test each, but for packed rings, IN_ORDER and PCI", () => {
    const sources = read(/^test\/.*\.ts$/).filter(({ path }) => !path.startsWith("test/conformance/"));
    const all = coverage(STATEMENTS, sources, STATEMENT_ID);
    expect([all.missing, all.wrong]).toEqual([[], []]);
    const { tested, not_applicable, not_yet } = tally(all, ({ keyword }) => keyword);
    expect(tested).toBeGreaterThanOrEqual(95);
    expect(not_yet).toBeLessThanOrEqual(30);
    expect(not_applicable).toBeLessThanOrEqual(8);
  });
});
