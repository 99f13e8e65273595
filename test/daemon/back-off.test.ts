import { expect, test } from "vitest";
import { BackOff } from "../../src/daemon/back-off.js";

test("BackOff doubles from 100 ms to 10 s, and starts again after a minute of life", () => {
  const backOff = new BackOff();
  const waits = Array.from({ length: 9 }, () => backOff.afterLifeOf(59_999));
  expect(waits).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
  expect(backOff.afterLifeOf(60_000)).toBe(100);
  expect(backOff.afterLifeOf(0)).toBe(200);
});
