import { describe, expect, it } from "vitest";
import type { SharedMemory } from "../../src/memory/shared-memory.js";
import { RaceError } from "../../src/memory/simulated/owner-map.js";
import { type LitmusProgram, MODELS, outcomes, raceOf } from "./litmus.js";

const DATA = 0;
const INDEX = 8;

describe("words that are observed and published", () => {
  it("never race with each other", () => {
    const sync = (a: SharedMemory, b: SharedMemory) => {
      a.publish16(INDEX, 1);
      b.publish16(INDEX, 2);
      a.setBits32(INDEX, 4);
      b.takeBits32(INDEX);
      a.observe16(INDEX);
    };
    expect(raceOf(sync)).toBeUndefined();
  });

  it.each<[string, (a: SharedMemory, b: SharedMemory) => void, string | undefined]>([
    ["publish, then read", (a, b) => [a.publish16(INDEX, 1), b.read16(INDEX)], "b's plain read"],
    ["publish, then write", (a, b) => [a.publish16(INDEX, 1), b.write32(INDEX, 1)], "b's plain write"],
    ["observe, then write", (a, b) => [a.observe16(INDEX), b.write16(INDEX, 1)], "b's plain write"],
    ["observe, then read", (a, b) => [a.observe16(INDEX), b.read16(INDEX)], undefined],
    ["write, then observe", (a, b) => [a.write16(INDEX, 1), b.observe16(INDEX)], "b's sync read"],
    ["write, then publish", (a, b) => [a.write16(INDEX, 1), b.publish16(INDEX, 1)], "b's sync write"],
    ["read, then publish", (a, b) => [a.read16(INDEX), b.publish16(INDEX, 1)], "b's sync write"],
    ["read, then observe", (a, b) => [a.read16(INDEX), b.observe16(INDEX)], undefined],
    ["set, then read the upper half", (a, b) => [a.setBits32(INDEX, 1), b.read16(INDEX + 2)], "b's plain read"],
  ])("%s without a hand-over", (_, run, second) => {
    const found = raceOf(run);
    if (second === undefined) expect(found).toBeUndefined();
    else expect(found).toContain(`${second} is not ordered after a's`);
  });

  it("may be cleared plainly before they are handed over", () => {
    const cleared = (a: SharedMemory, b: SharedMemory) => {
      a.copyIn(DATA, new Uint8Array(4));
      a.publish16(INDEX, 1);
      b.observe16(INDEX);
      b.publish16(DATA, 1);
      a.observe16(DATA);
    };
    expect(raceOf(cleared)).toBeUndefined();
  });
});

describe("message passing in every order", () => {
  const writer: LitmusProgram = (memory) => {
    memory.write32(DATA, 7);
    memory.publish16(INDEX, 1);
  };
  const plainWriter: LitmusProgram = (memory) => {
    memory.write32(DATA, 7);
    memory.write16(INDEX, 1);
  };
  const reader: LitmusProgram = (memory) => (memory.observe16(INDEX) === 1 ? memory.read32(DATA) : null);

  it.each(MODELS)("is free of races when the index is published (%s)", (model) => {
    expect(outcomes(model, { programs: [writer, reader] })).toEqual(["[null,7]", "[null,null]"]);
  });

  it.each(MODELS)("is a race when it is written, even where no store passes another (%s)", (model) => {
    expect(() => outcomes(model, { programs: [plainWriter, reader] })).toThrow(RaceError);
  });
});
