import { describe, expect, it } from "vitest";
import { PeerFault } from "../../src/ring/peer-fault.js";
import * as ringState from "../../src/ring/ring-state.js";
import { patchedCopy } from "../helpers/patched-copy.js";

type RingStateModule = typeof ringState;

const USED = [0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff];
const SIZES = [1, 2, 256, 32_768];

/** Numbers of chains in flight: around the size, around half of the indices, near the wrap, and between. */
function inFlight(num: number): number[] {
  const between = Array.from({ length: 65 }, (_, i) => i * 1000 + 17);
  return [0, 1, num - 1, num, num + 1, num + 2, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff, ...between];
}

/** The first state at which a check decides otherwise than counting chains does. */
function wrongVerdict({ checkedRingState }: RingStateModule): string | undefined {
  for (const num of SIZES) {
    for (const usedIdx of USED) {
      for (const chains of inFlight(num)) {
        const state = { lastAvailIdx: (usedIdx + chains) % 65_536, usedIdx };
        let refused = false;
        try {
          expect(checkedRingState(state, num)).toBe(state);
        } catch (error) {
          if (!(error instanceof PeerFault && error.reason === "avail-idx-overrun")) throw error;
          refused = true;
        }
        if (refused !== chains > num) return `${chains} chains of ${num} from ${usedIdx}`;
      }
    }
  }
  return undefined;
}

describe("checkedRingState()", () => {
  it("lets up to num chains be in flight, on both sides of the wrap", () => {
    expect(wrongVerdict(ringState)).toBeUndefined();
  });

  it.each([
    ["one chain too many is let through", "inFlight > num", "inFlight > num + 1"],
    ["the indices do not wrap", "u16(state.lastAvailIdx - state.usedIdx)", "state.lastAvailIdx - state.usedIdx"],
  ])("is seen to be wrong where %s", async (_, passage, instead) => {
    const copy = await patchedCopy<RingStateModule>("ring/ring-state.ts", ["ring/ring-state.ts", passage, instead]);
    expect(wrongVerdict(copy)).toBeTypeOf("string");
  });
});
