import { describe, expect, test } from "vitest";
import { requireEqualOutputs, TwinMismatch } from "../../bench/harness/contest.js";
import { changeOf, isNoisy, judgePairs, outOfTheRunning, standing } from "../../bench/harness/verdict.js";

const row = (...ratios: number[]) => judgePairs(ratios.map((ratio) => ({ a: ratio * 10, b: 10 })));
const around = (value: number) => row(...[-3, -2, -1, 0, 1, 2, 3].map((step) => value * (1 + step / 300)));

test("seven pairs give their median and their extremes", () => {
  const result = row(1.2, 1.0, 1.1, 1.3, 1.6, 1.4, 1.5);
  expect(result).toMatchObject({ pairs: 7, noisy: false, b_ns: 10 });
  expect(result.value).toBeCloseTo(1.3);
  expect(result.interval[0]).toBeCloseTo(1.0);
  expect(result.interval[1]).toBeCloseTo(1.6);
});

test("an interval that reaches beyond a quarter to either side is noisy", () => {
  expect(isNoisy(2, [1.5, 2.5])).toBe(false);
  expect(isNoisy(2, [1.49, 2.1])).toBe(true);
  expect(isNoisy(2, [1.9, 2.51])).toBe(true);
});

test("of several, who is slow in every window is out of the running, and nobody before all were measured", () => {
  const peer = (...windows: number[]) => windows.map((b) => ({ a: 1, b }));
  expect(outOfTheRunning([peer(10, 11, 12), peer(17, 18, 19), peer(16, 40, 50)])).toEqual(new Set([1]));
  expect(outOfTheRunning([peer(10, 10, 10), peer()])).toEqual(new Set());
  expect(outOfTheRunning([peer(10, 500, 600)])).toEqual(new Set());
});

test("a goal is met by a whole interval, and holds for its lower end", () => {
  expect(standing([1, 2], 2)).toBe("met");
  expect(standing([1, 2], 1.5)).toBe("holds");
  expect(standing([1, 2], 0.9)).toBe("missed");
});

describe("against a baseline", () => {
  test("intervals apart are a change for the better or for the worse", () => {
    expect(changeOf(around(2.2), around(2))).toBe("regressed");
    expect(changeOf(around(1.8), around(2))).toBe("improved");
  });

  test("narrow intervals that touch are no change", () => {
    expect(changeOf(around(2), around(2))).toBe("no change");
    expect(changeOf(around(2.01), around(2))).toBe("no change");
  });

  test("a difference of two percent is no change, however sure", () => {
    const exact = (value: number) => row(...[0, 0, 0, 0, 0, 0, 0].map(() => value));
    expect(changeOf(exact(2.04), exact(2))).toBe("no change");
    expect(changeOf(exact(2.08), exact(2))).toBe("regressed");
  });

  test("wide intervals that touch could hide a change", () => {
    expect(changeOf(row(1.5, 1.8, 2, 2.1, 2.2, 2.4, 2.6), around(2.4))).toBe("within noise");
  });

  test("two pairs are too few to call a difference one", () => {
    expect(changeOf(row(2.2, 2.21), row(2, 2.01))).toBe("within noise");
  });
});

test("outputs that differ are refused, equal ones pass", () => {
  expect(() => requireEqualOutputs("row", ["ab", "ac"])).toThrow(TwinMismatch);
  expect(() => requireEqualOutputs("row", ["ab", "ab"])).not.toThrow();
});
