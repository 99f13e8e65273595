import { describe, expect, it } from "vitest";
import { type Behaviour, Completions } from "../../src/device/completions.js";

const BEHAVIOUR: Behaviour = { order: "in-order", delaySteps: 5, batch: 1, seed: 3 };
const LAST_STEP = 0x7fff_ffff;

/** Ticks so many steps; the heads that came due, by the step at which they did. */
function returned(completions: Completions, steps: number): [step: number, head: number][] {
  const found: [number, number][] = [];
  for (let step = 1; step <= steps; step++) {
    completions.tick();
    while (completions.next()) found.push([step, completions.head]);
  }
  return found;
}

describe("Completions", () => {
  it("wait their steps, over the wrap of the device's count too", () => {
    for (let before = 0; before < 12; before++) {
      const completions = new Completions(8, BEHAVIOUR);
      completions.state.step = LAST_STEP - before;
      completions.add(7, 1);
      expect(returned(completions, 12), `${before} steps before`).toEqual([[5, 7]]);
    }
  });

  it("are due after the wrap where nobody looked at the step at which they became due", () => {
    const completions = new Completions(8, BEHAVIOUR);
    completions.state.step = LAST_STEP - 5;
    completions.add(7, 1);
    for (let step = 0; step < 6; step++) completions.tick();
    expect([completions.state.step < 0, completions.next()]).toEqual([true, true]);
  });

  /** Three requests of which the first takes longest. */
  function slowFirst(order: Behaviour["order"]): Completions {
    const behaviour = { ...BEHAVIOUR, order, delaySteps: 9 };
    const completions = new Completions(8, behaviour);
    completions.add(0, 1);
    behaviour.delaySteps = 2;
    completions.add(1, 1);
    completions.add(2, 1);
    return completions;
  }

  it("in order wait for the one that came first", () => {
    expect(returned(slowFirst("in-order"), 12).map(([step, head]) => [step, head])).toEqual([
      [9, 0],
      [9, 1],
      [9, 2],
    ]);
  });

  it("out of order overtake one that is not due", () => {
    const found = returned(slowFirst("out-of-order"), 12);
    expect(found.map(([step]) => step)).toEqual([2, 2, 9]);
    expect(found[2]![1]).toBe(0);
  });
});
