import { expect, it } from "vitest";
import { Courtesy } from "../../../src/daemon/data/courtesy.js";

/** A courtesy on a clock by hand: each time it gives way takes as long as the list says, then no time. */
function onClock(...tookMs: number[]) {
  let nowMs = 0;
  return new Courtesy(
    () => {
      nowMs += tookMs.shift() ?? 0;
    },
    () => nowMs,
  );
}

it("Courtesy.giveWay() gives way every time while the core comes back soon", () => {
  const courtesy = onClock(0.1, 0.9, 0.5);
  for (let i = 1; i <= 5000; i++) {
    expect(courtesy.giveWay()).toBe(true);
    expect(courtesy.count).toBe(i);
  }
});

it("Courtesy.giveWay() keeps the core for a while after it was long away, and then tries again", () => {
  const courtesy = onClock(0.1, 3);
  expect([courtesy.giveWay(), courtesy.giveWay()]).toEqual([true, true]);
  let kept = 0;
  while (!courtesy.giveWay()) kept += 1;
  expect(kept).toBe(100);
  expect(courtesy.count).toBe(3);
  expect(courtesy.giveWay()).toBe(true);
});
