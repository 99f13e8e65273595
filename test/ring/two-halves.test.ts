import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Patch, patchedCopy } from "../helpers/patched-copy.js";
import { seeded } from "../iova/seeded.js";
import {
  firstProblem,
  type Halves,
  OPERATIONS,
  type Operation,
  type PairOptions,
  SOUND,
  TwoHalves,
} from "./two-halves.js";

const SIZES = [1, 2, 4, 16, 256];
/** Both sides of the wrap of an index, and places from which 200 operations reach it. */
const STARTS = [0, 1, 0x7fff, 0x8000, 0xff80, 0xfff0, 0xfffe, 0xffff];

const operations = fc.array(fc.tuple(fc.constantFrom(...OPERATIONS), fc.nat()), { maxLength: 200, size: "max" });
const pairs: fc.Arbitrary<PairOptions> = fc.record({
  num: fc.constantFrom(...SIZES),
  startIdx: fc.constantFrom(...STARTS),
  eventIdx: fc.boolean(),
});

describe("driver half and device half (IMPL-02, IMPL-03)", () => {
  it("do what queues of chains do, each in its own bytes (SPLIT-07, NOTIF-02, NOTIF-17, NOTIF-18)", () => {
    fc.assert(
      fc.property(pairs, operations, (options, run) => {
        expect(firstProblem(SOUND, options, run)).toBeUndefined();
      }),
      { numRuns: 200 },
    );
  });

  it.each(SIZES.flatMap((num) => [true, false].map((eventIdx) => ({ num, eventIdx }))))(
    "do so for 6 seeds of 200 operations from each start: $num entries, EVENT_IDX $eventIdx",
    ({ num, eventIdx }) => {
      for (const startIdx of STARTS) {
        for (let seed = 1; seed <= 6; seed++) {
          expect(
            firstProblem(SOUND, { num, startIdx, eventIdx }, someOperations(seed)),
            `seed ${seed}`,
          ).toBeUndefined();
        }
      }
    },
  );
});

/** 200 operations, the same ones for the same seed. */
function* someOperations(seed: number): Generator<Operation> {
  const below = seeded(seed * 7919);
  for (let i = 0; i < 200; i++) yield [OPERATIONS[below(OPERATIONS.length)]!, below(2 ** 31)];
}

/** Runs batches of chains, direct and indirect, until `chains` of them have gone round; returns what went wrong. */
function longRun(halves: Halves, options: PairOptions, chains: number): string | undefined {
  const pair = new TwoHalves(halves, options);
  const below = seeded(options.num + (options.eventIdx ? 1 : 0) + 1);
  for (let lap = 0; pair.completed < chains; lap++) {
    const batch: Operation[] = [];
    const add = (name: Operation[0], most: number) => {
      for (let i = 1 + below(most); i > 0; i--) batch.push([name, below(2 ** 31)]);
    };
    const most = Math.min(options.num, 64);
    add(below(3) === 0 ? "addIndirect" : "add", most);
    add("publishAvail", 1);
    if (below(4) === 0) batch.push(["armDevice", 0], ["disarmDevice", 0]);
    add("takeAvail", most);
    add("addUsed", most);
    if (below(2) === 0) add("publishUsed", 1);
    if (below(4) === 0) batch.push(["armDriver", 0], ["scribble", below(2 ** 31)], ["disarmDriver", 0]);
    add("takeUsed", most);
    for (const operation of batch) {
      const problem = pair.operate(operation);
      if (problem !== undefined) return `lap ${lap}, ${problem}`;
    }
    const [problem] = lap % 1000 === 0 || pair.completed >= chains ? pair.problems() : [];
    if (problem !== undefined) return `lap ${lap}, ${problem}`;
  }
  return undefined;
}

describe("over a wrap of the 16-bit indices", () => {
  it.each([
    { num: 1, eventIdx: false },
    { num: 2, eventIdx: true },
    { num: 256, eventIdx: true },
  ])("70 001 chains go round: $num entries, EVENT_IDX $eventIdx (IMPL-02)", ({ num, eventIdx }) => {
    expect(longRun(SOUND, { num, eventIdx, startIdx: 0 }, 70_001)).toBeUndefined();
  });

  it.each([true, false])("1 000 chains go round in a ring of 32 768, EVENT_IDX %s (IMPL-01, IMPL-02)", (eventIdx) => {
    for (const startIdx of [32_768 - 500, 65_536 - 500]) {
      expect(longRun(SOUND, { num: 32_768, eventIdx, startIdx }, 1000)).toBeUndefined();
    }
  });
});

/** What somebody could get wrong in one of the halves, and what the runs above then say. */
interface Fault {
  readonly what: string;
  readonly patch: Patch;
  readonly says: RegExp;
}

const DRIVER = "ring/driver-ring.ts";
const DEVICE = "ring/device-ring.ts";

const FAULTS: readonly Fault[] = [
  {
    what: "no mask on the slot of an available entry",
    patch: [DRIVER, "const slot = state.availIdx & (areas.num - 1);", "const slot = state.availIdx;"],
    says: /the driver has stored to byte \d+, which is not its own/,
  },
  {
    what: "no mask on the slot where the device looks for a head",
    patch: [DEVICE, "const slot = state.lastAvailIdx & (areas.num - 1);", "const slot = state.lastAvailIdx;"],
    says: /takeAvail: /,
  },
  {
    what: "no mask on the slot of a used entry",
    patch: [DEVICE, "(state.usedIdx & (areas.num - 1)) * USED_ELEM_SIZE", "state.usedIdx * USED_ELEM_SIZE"],
    says: /the device has stored to byte \d+, which is not its own/,
  },
  {
    what: "no mask on the slot where the driver looks for a used entry",
    patch: [DRIVER, "const slot = state.lastUsedIdx & (areas.num - 1);", "const slot = state.lastUsedIdx;"],
    says: /takeUsed: /,
  },
  {
    what: "an index that does not wrap",
    patch: [DRIVER, "state.lastUsedIdx = u16(state.lastUsedIdx + 1);", "state.lastUsedIdx += 1;"],
    says: /takeUsed: /,
  },
  {
    what: "only the first descriptor of a chain goes back to the free list (BI-57)",
    patch: [DRIVER, "state.freeCount += count;", "state.freeCount += 1;"],
    says: /free descriptors: \d+, not \d+/,
  },
  {
    what: "the free list is read from the descriptor table (BI-52)",
    patch: [
      DRIVER,
      "tail = table[tail * COLUMNS + NEXT_FREE]!;",
      "tail = this.areas.descMemory.read16(this.areas.desc + tail * DESC_SIZE + DESC_NEXT);",
    ],
    says: /descriptor \d+ (does not exist|is in two places)|a descriptor in use is given out/,
  },
  {
    what: "the device returns the head of the chain it took last",
    patch: [DEVICE, "areas.usedMemory.write32(at, head);", "areas.usedMemory.write32(at, this.chain.head);"],
    says: /takeUsed: /,
  },
  {
    what: "the device asks for the kick after the next one",
    patch: [
      DEVICE,
      "armKicks(areas, this.#features.eventIdx, state.lastAvailIdx);",
      "armKicks(areas, this.#features.eventIdx, state.lastAvailIdx + 1);",
    ],
    says: /publishAvail: a kick is wanted/,
  },
  {
    what: "the driver looks only at the last entry it publishes",
    patch: [
      DRIVER,
      "kickWanted(areas, this.#eventIdx, state.availIdx, oldIdx)",
      "kickWanted(areas, this.#eventIdx, state.availIdx, u16(state.availIdx - 1))",
    ],
    says: /publishAvail: a kick is wanted: false, not true/,
  },
  {
    what: "the device publishes nothing new and calls",
    patch: [DEVICE, "if (oldIdx === state.usedIdx) return false;", ""],
    says: /publishUsed: a call is wanted: true, not false/,
  },
  {
    what: "event words are written without EVENT_IDX",
    patch: [
      DEVICE,
      "armKicks(areas, this.#features.eventIdx, state.lastAvailIdx);",
      "armKicks(areas, true, state.lastAvailIdx);",
    ],
    says: /the device has stored to byte \d+, which is not its own/,
  },
];

/** The first problem that the pairs and seeds above would have, in one of the halves or in both. */
function anyProblem(halves: Halves): string | undefined {
  for (const num of SIZES) {
    for (const startIdx of STARTS) {
      for (let seed = 1; seed <= 6; seed++) {
        const options = { num, startIdx, eventIdx: seed % 2 === 0 };
        const problem = firstProblem(halves, options, someOperations(seed));
        if (problem !== undefined) return problem;
      }
    }
  }
  return undefined;
}

describe("these runs notice", () => {
  for (const { what, patch, says } of FAULTS) {
    it(what, async () => {
      const copy = await patchedCopy<Partial<Halves>>(patch[0], patch);
      expect(anyProblem({ ...SOUND, ...copy })).toMatch(says);
    });
  }

  it("that a wrap is missing, in the long run", async () => {
    const patch: Patch = [
      DEVICE,
      "state.lastAvailIdx = u16(state.lastAvailIdx + 1);\n    return true;",
      "state.lastAvailIdx += 1;\n    return true;",
    ];
    const copy = await patchedCopy<Partial<Halves>>(DEVICE, patch);
    expect(longRun({ ...SOUND, ...copy }, { num: 2, eventIdx: false, startIdx: 0xff00 }, 1000)).toMatch(
      /takeAvail: |has stored/,
    );
  });
});
