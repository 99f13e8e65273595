/** The relay dies at every store to shared memory, and another takes over: nothing is lost, doubled or missed. */
import { expect, test } from "vitest";
import { runCrashPoints } from "../../src/validate/crash/crash-points.js";

test("G9: killed before and after every store, with 1 to 4 chains in flight, direct and indirect", () => {
  const heard: number[] = [];
  const { points, covered, failures, by } = runCrashPoints({ onProgress: (done) => heard.push(done) });
  expect(failures).toEqual([]);
  expect(covered).toBe(points);
  expect(points).toBeGreaterThan(10_000);
  expect(by).toHaveLength(32);
  expect(heard).toEqual(by.map((_, i) => i + 1));
});

test("G9: killed again at every store of the recovery, with two chains in flight", () => {
  const { points, covered, failures } = runCrashPoints({ chains: [2], shadowNums: [16], depth: 2 });
  expect(failures).toEqual([]);
  expect(covered).toBe(points);
});
