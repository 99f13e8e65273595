import { describe, expect, test } from "vitest";
import { footnotes, headline, overheadTable } from "../../src/lab/bench-table.js";
import { textTable } from "../../src/report/table.js";
import { resultOf, rowOf } from "../helpers/made-up-bench.js";

const PASSTHROUGH = rowOf("passthrough/threads", [1000, 2000, 3000]);
const SVQ = rowOf("svq/threads", [3000, 4000, 5000]);
const FUSED = rowOf("svq/fused", [2000, 2000, 2000]);

/** The cells of a table by row and column title. */
function cells(...rows: Parameters<typeof resultOf>[0]) {
  const { columns, rows: lines } = overheadTable(resultOf(rows));
  return lines.map((line) => Object.fromEntries(columns.map(({ title }, i) => [title, line[i]])));
}

describe("headline()", () => {
  test("says what the figures leave out", () => {
    expect(headline(20_400, 0)).toBe(
      "emulated: no vm exit; a kick is a futex, 20.4 µs here: compare shapes, not microseconds",
    );
    expect(headline(null, 1500)).toContain("a vm exit is a busy 1.5 µs; a kick is a futex, not measured here");
  });
});

describe("overheadTable()", () => {
  test("has a row for each path, with the baseline named and the others compared", () => {
    const [base, svq, fused] = cells(PASSTHROUGH, SVQ, FUSED);
    expect(base).toMatchObject({ path: "passthrough/threads", overhead: "baseline", "p50 ratio": "–", gates: "ok" });
    expect(svq).toMatchObject({ "ns/request": "4000", "min…max": "3000…5000", "requests/s": "250,000", p50: "1 µs" });
    expect(svq).toMatchObject({ overhead: "2.00× [1.90–2.10]", "p50 ratio": "1.00× [0.90–1.10]" });
    expect(fused).toMatchObject({ overhead: "1.00× [0.90–1.10]" });
  });

  test("adds CPU time by thread: three, two without a relay, two where relay and device share one", () => {
    const cpu = cells(PASSTHROUGH, SVQ, FUSED).map((row) => row["cpu ns/request"]);
    expect(cpu).toEqual(["10 + 20", "10 + 30 + 20", "10 + 20"]);
  });

  test("counts kicks and calls of both halves, and shows rare ones as what they are", () => {
    expect(cells(PASSTHROUGH)[0]).toMatchObject({ kicks: "1.00", calls: "0.25", hops: "1e-3" });
  });

  test("shows a row that was never timed without figures", () => {
    const [, row] = cells(PASSTHROUGH, rowOf("svq/threads", []));
    expect(row).toMatchObject({ path: "svq/threads", "ns/request": null, p50: null, overhead: "–", gates: "ok" });
    expect(textTable(overheadTable(resultOf([rowOf("svq/threads", [])])), false)).not.toMatch(/null|undefined|NaN/);
  });

  test.each([
    { payload: false },
    { lost: 1 },
    { duplicated: 1 },
    { lost_notifications: 1 },
    { missed_dirty_pages: 1 },
    { descriptors_balanced: false },
  ])("one failed gate fails the row: %j", (gate) => {
    expect(cells({ ...SVQ, gates: { ...SVQ.gates, ...gate } })[0]).toMatchObject({ gates: "FAILED" });
  });
});

describe("footnotes()", () => {
  test("say why a row is not compared, what cannot migrate, what is unsafe, what failed", () => {
    const result = resultOf([PASSTHROUGH, { ...SVQ, unsafe: true, switches: 50 }]);
    Object.assign(result.overhead[0]!, { comparable: false, why: "3 pollers on 2 core(s)" });
    result.failures.push("svq/threads: lost: 1 requests never came back");
    expect(footnotes(result)).toEqual([
      "svq/threads: not compared: 3 pollers on 2 core(s)",
      "passthrough/threads: marks nothing, so it cannot migrate (7 pages changed unseen)",
      expect.stringMatching(/^svq\/threads: unsafe: /),
      "svq/threads: 50 changes of data path under load",
      "noise: cache-line ping-pong 150 ns (100…400); threads pinned",
      "FAILED svq/threads: lost: 1 requests never came back",
    ]);
  });

  test("say what the noise was, also where there is no figure for it", () => {
    const result = resultOf([SVQ]);
    Object.assign(result.noise, {
      pingpong_ns: null,
      pingpong_why: "needs two CPUs",
      pinned: false,
      pinned_why: "no taskset",
    });
    expect(footnotes(result)).toEqual(["noise: cache-line ping-pong needs two CPUs; not pinned: no taskset"]);
    Object.assign(result.noise, { pinned_why: undefined });
    expect(footnotes(result)[0]).toContain("not pinned: no timed phase");
  });
});
