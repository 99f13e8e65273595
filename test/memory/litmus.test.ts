import { describe, expect, it } from "vitest";
import type { SharedMemory } from "../../src/memory/shared-memory.js";
import { type LitmusProgram, MODELS, modelsAllowing, outcomes } from "./litmus.js";

const X = 0;
const Y = 8;
const LOG = 16;

describe("SB: each side publishes its word, then looks at the other's", () => {
  type Side = (memory: SharedMemory, own: number, other: number) => number;
  const plain: Side = (memory, own, other) => {
    memory.publish16(own, 1);
    return memory.observe16(other);
  };
  const fenced: Side = (memory, own, other) => {
    memory.publish16(own, 1);
    memory.fence();
    return memory.observe16(other);
  };
  const modified: Side = (memory, own, other) => {
    memory.publish16(own, 1);
    memory.setBits32(LOG, 1);
    return memory.observe16(other);
  };
  const sides = (a: Side, b: Side): LitmusProgram[] => [(memory) => a(memory, X, Y), (memory) => b(memory, Y, X)];

  it("both may miss the other with store buffers", () => {
    expect(modelsAllowing([0, 0], { programs: sides(plain, plain) })).toEqual(["tso", "pso"]);
  });

  it("one at least sees the other after a fence", () => {
    expect(modelsAllowing([0, 0], { programs: sides(fenced, fenced) })).toEqual([]);
    expect(modelsAllowing([1, 1], { programs: sides(fenced, fenced) })).toEqual(MODELS);
  });

  it("a fence on one side only is not enough", () => {
    expect(modelsAllowing([0, 0], { programs: sides(fenced, plain) })).toEqual(["tso", "pso"]);
  });

  it("a read-modify-write is a fence", () => {
    expect(modelsAllowing([0, 0], { programs: sides(modified, modified) })).toEqual([]);
  });

  it("what JavaScript promises for publish is a fence", () => {
    expect(modelsAllowing([0, 0], { programs: sides(plain, plain), options: { publish: "seq_cst" } })).toEqual([]);
  });
});

describe("MP: data, then the index that hands it over", () => {
  const reader: LitmusProgram = (memory) => [memory.observe16(Y), memory.read32(X)];
  const stale = [null, [1, 0]];
  // The reader does not wait for the index: it is the outcome that says whether it should have seen the data.
  const options = { owners: false };

  it("whoever observes the index sees the data", () => {
    const published: LitmusProgram = (memory) => {
      memory.write32(X, 7);
      memory.publish16(Y, 1);
    };
    expect(modelsAllowing(stale, { programs: [published, reader], options })).toEqual([]);
    expect(modelsAllowing([null, [1, 7]], { programs: [published, reader], options })).toEqual(MODELS);
  });

  it("a plain write instead of a publish fails where writes pass each other", () => {
    const written: LitmusProgram = (memory) => {
      memory.write32(X, 7);
      memory.write16(Y, 1);
    };
    expect(modelsAllowing(stale, { programs: [written, reader], options })).toEqual(["pso"]);
  });

  it("an index before its data fails everywhere", () => {
    const reversed: LitmusProgram = (memory) => {
      memory.publish16(Y, 1);
      memory.write32(X, 7);
    };
    expect(modelsAllowing(stale, { programs: [reversed, reader], options })).toEqual(MODELS);
  });

  it("a later write may pass a publish that waits", () => {
    const late: LitmusProgram = (memory) => {
      memory.publish16(Y, 1);
      memory.write32(X, 7);
    };
    const early: LitmusProgram = (memory) => [memory.read32(X), memory.observe16(Y)];
    expect(modelsAllowing([null, [7, 0]], { programs: [late, early], options })).toEqual(["pso"]);
  });

  it("writes to one word keep their order", () => {
    const twice: LitmusProgram = (memory) => {
      memory.write16(X, 1);
      memory.write16(X + 2, 1);
    };
    const look: LitmusProgram = (memory) => [memory.read16(X + 2), memory.read16(X)];
    expect(modelsAllowing([null, [1, 0]], { programs: [twice, look], options })).toEqual([]);
  });
});

describe("the dirty log: a page is written and marked while a migration takes the marks and copies", () => {
  const PAGE = X;

  /** Models in which the new bytes are neither copied nor marked for the next round. */
  const modelsThatLose = (writer: LitmusProgram) =>
    MODELS.filter((model) => outcomes(model, concurrently(writer)).some((outcome) => lost(JSON.parse(outcome))));

  const concurrently = (writer: LitmusProgram) => ({
    programs: [
      (memory: SharedMemory) => {
        memory.setBits32(LOG, 1);
        writer(memory);
      },
      (memory: SharedMemory) => ((memory.takeBits32(LOG) & 1) === 0 ? null : memory.read32(PAGE)),
    ],
    // The copy races with the writer on purpose: what it misses is marked again.
    options: { owners: false },
    finally: (memory: { peek32(offset: number): number }) => memory.peek32(LOG),
  });

  const lost = ([, copied, marked]: [null, number | null, number]) => copied !== 7 && marked === 0;

  it("a write that is followed by its mark is never lost", () => {
    const writeThenMark: LitmusProgram = (memory) => {
      memory.write32(PAGE, 7);
      memory.setBits32(LOG, 1);
    };
    expect(modelsThatLose(writeThenMark)).toEqual([]);
  });

  it("a write that follows its mark is", () => {
    const markThenWrite: LitmusProgram = (memory) => {
      memory.setBits32(LOG, 1);
      memory.write32(PAGE, 7);
    };
    expect(modelsThatLose(markThenWrite)).toEqual(MODELS);
  });

  it("a mark that is left out where the bit is set already is, with store buffers", () => {
    const testThenMark: LitmusProgram = (memory) => {
      memory.write32(PAGE, 7);
      if ((memory.read32(LOG) & 1) === 0) memory.setBits32(LOG, 1);
    };
    expect(modelsThatLose(testThenMark)).toEqual(["tso", "pso"]);
  });
});
