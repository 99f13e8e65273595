import { describe, expect, it } from "vitest";
import { markdownTable, type TableContent, textTable, wantsColour } from "../../src/report/table.js";

const ESCAPE = "\u001b";
const content: TableContent = {
  columns: [{ title: "path" }, { title: "requests" }, { title: "p50", align: "right" }],
  rows: [
    ["passthrough", 5, "1.9 µs"],
    ["svq", 12_345, "12.3 µs"],
    ["polled", null, null],
  ],
};

describe("textTable()", () => {
  it("aligns numbers right, draws one rule, and leaves no blanks at the ends", () => {
    expect(textTable(content).split("\n")).toEqual([
      "path         requests      p50",
      "-----------  --------  -------",
      "passthrough         5   1.9 µs",
      "svq             12345  12.3 µs",
      "polled              –        –",
    ]);
  });

  it("has no colour unless asked, and the same text with it", () => {
    expect(textTable(content)).not.toContain(ESCAPE);
    const coloured = textTable(content, true);
    expect(coloured).toContain(ESCAPE);
    expect(coloured.replaceAll(/\p{Cc}\[\d+m/gu, "")).toBe(textTable(content));
  });

  it("prints the titles of an empty table", () => {
    expect(textTable({ columns: content.columns, rows: [] })).toContain("path  requests  p50");
  });

  it("keeps a name from moving the cursor or breaking the line", () => {
    const hostile = textTable({ columns: [{ title: "name" }], rows: [[`a\nb${ESCAPE}[2Jc`]] });
    expect(hostile.split("\n")).toHaveLength(3);
    expect(hostile).not.toContain(ESCAPE);
  });

  it("refuses a row that does not fit the columns", () => {
    expect(() => textTable({ columns: content.columns, rows: [["svq", 1]] })).toThrow(
      "row 0 has 2 cells for 3 columns",
    );
  });
});

describe("markdownTable()", () => {
  it("writes the same rows", () => {
    expect(markdownTable(content).split("\n")).toEqual([
      "| path | requests | p50 |",
      "| --- | ---: | ---: |",
      "| passthrough | 5 | 1.9 µs |",
      "| svq | 12345 | 12.3 µs |",
      "| polled | – | – |",
    ]);
  });

  it("escapes what would open another cell", () => {
    expect(markdownTable({ columns: [{ title: "a|b" }], rows: [["c\\|d\ne"]] })).toBe(
      "| a\\|b |\n| --- |\n| c\\\\\\|d e |",
    );
  });
});

describe("wantsColour()", () => {
  it("asks for a terminal that takes it, and honours NO_COLOR", () => {
    expect(wantsColour({ isTTY: true }, {})).toBe(true);
    expect(wantsColour({ isTTY: true }, { NO_COLOR: "" })).toBe(true);
    expect(wantsColour({ isTTY: true }, { NO_COLOR: "1" })).toBe(false);
    expect(wantsColour({ isTTY: true }, { TERM: "dumb" })).toBe(false);
    expect(wantsColour({}, {})).toBe(false);
  });
});
