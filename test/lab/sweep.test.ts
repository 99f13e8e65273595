import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BenchResult } from "../../src/lab/bench-result.js";
import { type Axis, askedOf, parseAxis, sweepPoints, writeCsv } from "../../src/lab/sweep.js";
import { RunBroken, UsageError } from "../../src/report/exit-codes.js";
import { resultOf, rowOf } from "../helpers/made-up-bench.js";

let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "test-sweep-"));
});

afterAll(() => rmSync(folder, { recursive: true }));

describe("parseAxis()", () => {
  test("reads a setting and its values, each as the setting does", () => {
    expect(parseAxis("queue-size=16,256")).toEqual({ key: "queue_size", field: "queueSize", values: [16, 256] });
    expect(parseAxis("event_idx=on,off").values).toEqual([true, false]);
    expect(parseAxis("ram=64M,1G").values).toEqual([2 ** 26, 2 ** 30]);
  });

  test.each([
    ["colour=red", /unknown setting "colour"/],
    ["queue_size", /write queue_size=value/],
    ["queue_size=", /write queue_size=value/],
    ["queue_size=16=32", /write queue_size=value/],
    ["queue_size=16,", /queue_size "" is not a whole number/],
    ["device=blk,floppy", /device "floppy" is not one of blk, net, null/],
    ["", /unknown setting ""/],
  ])("refuses %j", (text, message) => {
    expect(() => parseAxis(text)).toThrow(UsageError);
    expect(() => parseAxis(text)).toThrow(message);
  });
});

describe("sweepPoints()", () => {
  test("is the product of the axes, the last moving fastest", () => {
    const axes = [parseAxis("queue_size=16,32,64"), parseAxis("event_idx=on,off")];
    expect(sweepPoints(axes).map((point) => Object.values(point))).toEqual([
      [16, true],
      [16, false],
      [32, true],
      [32, false],
      [64, true],
      [64, false],
    ]);
    expect(askedOf(axes, sweepPoints(axes)[3]!)).toEqual({ queueSize: 32, eventIdx: false });
  });

  test("without axes is one point that sets nothing", () => {
    expect(sweepPoints([])).toEqual([{}]);
    expect(askedOf([], {})).toEqual({});
  });

  test("refuses a setting that comes twice", () => {
    expect(() => sweepPoints([parseAxis("seed=1"), parseAxis("seed=2")])).toThrow("seed is given twice");
  });
});

/** Reads CSV as RFC 4180 says, character by character. */
function parseCsv(text: string): string[][] {
  const lines: string[][] = [[""]];
  let quoted = false;
  const add = (character: string) => {
    const line = lines.at(-1)!;
    line.push(line.pop()! + character);
  };
  for (let i = 0; i < text.length; i++) {
    const character = text[i]!;
    if (quoted && character === '"' && text[i + 1] === '"') add(text[++i]!);
    else if (character === '"') quoted = !quoted;
    else if (quoted) add(character);
    else if (character === ",") lines.at(-1)!.push("");
    else if (character === "\r" && text[i + 1] === "\n") {
      lines.push([""]);
      i += 1;
    } else add(character);
  }
  return lines;
}

function csvOf(
  axes: readonly Axis[],
  points: readonly Record<string, string | number | boolean>[],
  result: BenchResult,
) {
  const file = join(folder, "out.csv");
  writeCsv(
    file,
    axes,
    points.map((point) => ({ point, result })),
  );
  const text = readFileSync(file, "utf8");
  const lines = parseCsv(text);
  // Every line ends, the last one too.
  expect(lines.pop()).toEqual([""]);
  const [head, ...rows] = lines;
  for (const row of rows) expect(row).toHaveLength(head!.length);
  return rows.map((row) => Object.fromEntries(head!.map((name, i) => [name, row[i]!])));
}

describe("writeCsv()", () => {
  test("writes a line for each point and path, with the figures of the document", () => {
    const result = resultOf([
      rowOf("passthrough/threads", [10, 20, 30, 40, 50]),
      rowOf("svq/threads", [20, 40, 60, 80, 100]),
    ]);
    const axes = [parseAxis("queue_size=16,32"), parseAxis("event_idx=on")];
    const rows = csvOf(axes, sweepPoints(axes), result);
    expect(rows.map(({ queue_size, event_idx, path }) => [queue_size, event_idx, path])).toEqual([
      ["16", "true", "passthrough"],
      ["16", "true", "svq"],
      ["32", "true", "passthrough"],
      ["32", "true", "svq"],
    ]);
    expect(rows[1]).toMatchObject({ placement: "threads", ns_per_request: "60", min: "20", max: "100", verdict: "ok" });
    expect(rows[1]).toMatchObject({ p50_ns: "1000", p99_ns: "2000", ratio: "2", comparable: "true" });
    expect(rows[0]).toMatchObject({ ratio: "", ratio_low: "", ratio_high: "", comparable: "" });
  });

  test("leaves figures that were not taken empty", () => {
    const rows = csvOf([], [{}], resultOf([rowOf("svq/threads", [])], "failed"));
    expect(rows).toEqual([expect.objectContaining({ path: "svq", ns_per_request: "", p50_ns: "", verdict: "failed" })]);
  });

  test("quotes what would be read as something else", () => {
    const odd = ['a "b"', "c,d", "e\r\nf", "g\nh", "plain", ""];
    const axis: Axis = { key: "odd, key", field: "order", values: odd };
    const rows = csvOf(
      [axis],
      odd.map((value) => ({ "odd, key": value })),
      resultOf([rowOf("svq/threads", [1])]),
    );
    expect(rows.map((row) => row["odd, key"])).toEqual(odd);
  });

  test("refuses a name that cannot be; a full disk is no wrong name", (ctx) => {
    expect(() => writeCsv(join(folder, "no", "file.csv"), [], [])).toThrow(UsageError);
    expect(() => writeCsv(folder, [], [])).toThrow(/EISDIR/);
    if (process.platform !== "linux") return ctx.skip("there is no /dev/full");
    expect(() => writeCsv("/dev/full", [], [])).toThrow(RunBroken);
  });
});
