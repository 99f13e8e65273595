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

it("Courtesy.giveWay() gives way ever more rarely while that brings nothing", () => {
  const courtesy = onClock();
  const keptBefore = Array.from({ length: 8 }, () => {
    let kept = 0;
    while (!courtesy.giveWay()) kept += 1;
    courtesy.looked(false);
    courtesy.looked(false);
    return kept;
  });
  expect(keptBefore).toEqual([0, 1, 3, 7, 15, 31, 63, 63]);
});

it("Courtesy.giveWay() gives way every time again once that brought something", () => {
  const courtesy = onClock();
  for (let i = 0; i < 200; i++) if (courtesy.giveWay()) courtesy.looked(false);
  while (!courtesy.giveWay());
  courtesy.looked(true);
  for (let i = 0; i < 10; i++) {
    expect(courtesy.giveWay()).toBe(true);
    courtesy.looked(true);
  }
});
