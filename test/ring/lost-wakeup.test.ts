import { describe, expect, it } from "vitest";
import { type Patch, patchedCopy } from "../helpers/patched-copy.js";
import { oneNight } from "./seeded-sleepers.js";
import { everyNap, type SleeperOptions } from "./sleepers.js";
import { type Halves, SOUND } from "./two-halves.js";

const DRIVER = "ring/driver-ring.ts";
const DEVICE = "ring/device-ring.ts";
const NOTIFICATION = "ring/notification.ts";

const ASLEEP = "asleep: driver";

function outcomes(halves: Halves, options: Partial<SleeperOptions>): string[] {
  const { orders } = everyNap(halves, { num: 1, requests: 2, eventIdx: true, order: "sc", ...options });
  return [...orders.keys()].sort();
}

/** Both halves, with a fault in one of them. */
async function faulty(file: string, ...patches: readonly Patch[]): Promise<Halves> {
  return { ...SOUND, ...(await patchedCopy<Partial<Halves>>(file, ...patches)) };
}

const CASES = (["sc", "tso", "pso"] as const).flatMap((order) =>
  [1, 2].flatMap((num) => [true, false].map((eventIdx) => ({ order, num, eventIdx }))),
);

describe("in every order of the accesses of two sides that sleep when they may (SPLIT-11, SPLIT-15, BI-101)", () => {
  it.each(CASES)(
    "nobody sleeps through an entry (NOTIF-06, NOTIF-13, NOTIF-20, IMPL-24): $order, $num entries, EVENT_IDX $eventIdx",
    (options) => {
      expect(outcomes(SOUND, options)).toEqual(["ended"]);
    },
  );

  it("nobody does so with three requests either", () => {
    expect(outcomes(SOUND, { requests: 3 })).toEqual(["ended"]);
    expect(outcomes(SOUND, { requests: 3, order: "tso", eventIdx: false })).toEqual(["ended"]);
  });
});

/** The call that arms, and the look that follows it, in each half. */
const ARMS = {
  [DRIVER]: {
    arm: "armCalls(this.areas, this.#eventIdx, this.state.lastUsedIdx);",
    look: "!this.#observeUsedIdx()",
  },
  [DEVICE]: {
    arm: "armKicks(areas, this.#features.eventIdx, state.lastAvailIdx);",
    look: "!this.#observeAvailIdx()",
  },
} as const;
type Half = keyof typeof ARMS;

/** Arms without looking again. */
function armsOnly(half: Half): Patch[] {
  return [[half, `return ${ARMS[half].look};`, "return true;"]];
}

/** Looks first, then arms. */
function looksThenArms(half: Half): Patch[] {
  const { arm, look } = ARMS[half];
  return [
    [half, arm, `const none = ${look}; ${arm}`],
    [half, `return ${look};`, "return none;"],
  ];
}

/** Leaves the event word where the last entry was, not where the next will be. */
function armsBehind(half: Half): Patch[] {
  const { arm } = ARMS[half];
  return [[half, arm, arm.replace("Idx);", "Idx - 1);")]];
}

describe.each([
  { who: "driver", half: DRIVER },
  { who: "device", half: DEVICE },
] as const)("somebody is left asleep by a $who", ({ half }) => {
  it.each([true, false])("that looks, and then arms: EVENT_IDX %s", async (eventIdx) => {
    const halves = await faulty(half, ...looksThenArms(half));
    expect(outcomes(halves, { eventIdx })).toEqual([ASLEEP, "ended"]);
  });

  it.each([true, false])("that arms and does not look again: EVENT_IDX %s", async (eventIdx) => {
    const halves = await faulty(half, ...armsOnly(half));
    expect(outcomes(halves, { eventIdx })).toEqual([ASLEEP, "ended"]);
  });

  it("that leaves its event word one entry behind", async () => {
    const halves = await faulty(half, ...armsBehind(half));
    expect(outcomes(halves, { eventIdx: true })).toEqual([ASLEEP, "ended"]);
    expect(outcomes(halves, { eventIdx: false })).toEqual(["ended"]);
  });
});

describe("somebody is left asleep where stores wait in a buffer, and nowhere else, without the fence", () => {
  it.each([
    ["between the avail idx and the wish for kicks (NOTIF-20)", DRIVER, DRIVER, "areas.avail"],
    ["between the used idx and the wish for calls", DEVICE, DEVICE, "areas.used"],
    ["between asking for a call and looking", DRIVER, NOTIFICATION, "ring.avail"],
    ["between asking for a kick and looking", DEVICE, NOTIFICATION, "ring.used"],
  ])("%s", async (_, file, at, memory) => {
    const halves = await faulty(file, [at, `${memory}Memory.fence();`, ""]);
    expect(outcomes(halves, { order: "sc" })).toEqual(["ended"]);
    expect(outcomes(halves, { order: "tso" })).toEqual([ASLEEP, "ended"]);
    expect(outcomes(halves, { order: "tso", eventIdx: false })).toEqual([ASLEEP, "ended"]);
  });
});

describe("an entry is seen before it is whole", () => {
  it.each([
    ["avail", DRIVER, "const slot = state.availIdx & (areas.num - 1);", "availIdx", /device: head-out-of-range/],
    ["used", DEVICE, "const at = areas.used + RING_ENTRIES", "usedIdx", /driver: used-id-unknown/],
  ])("when the %s idx is published before its entry", async (area, half, passage, idx, says) => {
    const publish = `areas.${area}Memory.publish16(areas.${area} + 2, state.${idx} + 1);`;
    const halves = await faulty(half, [half, passage, `${publish} ${passage}`]);
    for (const num of [1, 2]) expect(outcomes(halves, { num }).join()).toMatch(says);
  });

  it.each([
    ["avail", DRIVER, /device: address/],
    ["used", DEVICE, /driver: length/],
  ])("when the %s idx is a plain write, where stores overtake each other", async (area, half, says) => {
    const publish = `areas.${area}Memory.publish16(areas.${area} + RING_IDX`;
    const halves = await faulty(half, [half, publish, publish.replace("publish16", "write16")]);
    expect(outcomes(halves, { order: "tso" })).toEqual(["ended"]);
    expect(outcomes(halves, { order: "pso" }).join()).toMatch(says);
  });
});

describe("a ring of a bell that goes nowhere leaves somebody asleep (BI-104)", () => {
  it.each([1, 2].flatMap((k) => [{ lostKick: k }, { lostCall: k }]))("%o", (lost) => {
    for (const eventIdx of [true, false]) expect(outcomes(SOUND, { eventIdx, ...lost })).toEqual([ASLEEP, "ended"]);
  });

  it("whichever it is, for some seed, in a ring of 16", () => {
    const problems = (lostRing: number) =>
      [1, 2, 3, 4, 5, 6, 7, 8].map((seed) => oneNight(SOUND, { num: 16, eventIdx: true, chains: 200, seed, lostRing }));
    for (let k = 1; k <= 20; k++) {
      const found = problems(k).filter(({ problem }) => problem?.startsWith("both sleep"));
      expect(found.length, `ring ${k}`).toBeGreaterThan(0);
    }
  });
});

const SIZES = [1, 2, 4, 16, 256];
const SEEDS = Array.from({ length: 30 }, (_, i) => i + 1);

describe("over many entries, batches, any order of completion, and a wrap", () => {
  it.each(SIZES.flatMap((num) => [true, false].map((eventIdx) => ({ num, eventIdx }))))(
    "nobody sleeps through an entry: $num entries, EVENT_IDX $eventIdx, 30 seeds",
    ({ num, eventIdx }) => {
      let naps = 0;
      for (const seed of SEEDS) {
        const night = oneNight(SOUND, { num, eventIdx, chains: 300, seed });
        expect(night.problem, `seed ${seed}`).toBeUndefined();
        naps += night.naps;
      }
      expect(naps).toBeGreaterThan(30 * 20);
    },
  );

  it.each([
    ["a driver that looks, and then arms", DRIVER, looksThenArms(DRIVER)],
    ["a device that looks, and then arms", DEVICE, looksThenArms(DEVICE)],
    ["a driver that does not look again", DRIVER, armsOnly(DRIVER)],
    ["a device that does not look again", DEVICE, armsOnly(DEVICE)],
  ])("somebody is left asleep by %s, in every size and mode", async (_, half, patches) => {
    const halves = await faulty(half, ...patches);
    for (const num of SIZES) {
      for (const eventIdx of [true, false]) {
        const sleepsThrough = (seed: number) =>
          oneNight(halves, { num, eventIdx, chains: 300, seed }).problem?.startsWith("both sleep") === true;
        expect(SEEDS.some(sleepsThrough), `${num} entries, EVENT_IDX ${eventIdx}`).toBe(true);
      }
    }
  });
});
