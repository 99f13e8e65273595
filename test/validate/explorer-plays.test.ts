/** Chains, indirect tables, completions in any order, changes of path: all goes well, and which twin shows where. */
import { describe, expect, it } from "vitest";
import { type ExploreOptions, explore, modelName } from "../../src/validate/explorer/explore.js";
import { type Cast, type PlayOptions, threePartyPlay } from "../../src/validate/explorer/play.js";
import { playsOf } from "../../src/validate/explorer/plays.js";
import { everyOrder } from "../helpers/every-order.js";
import { type Patch, patchedCopy } from "../helpers/patched-copy.js";

const RELAY = "relay/shadow-virtqueue.ts";
const ODD = "relay/odd-buffers.ts";
const SMALL: ExploreOptions = { model: "tso-seqcst", ring: 2, requests: 2, eventIdx: true, log: false };

type Change = Partial<ExploreOptions>;
const CHAINS: Change = { chain: 2 };
const MARKED: Change = { ...CHAINS, log: true };
const TABLES: Change = { ...CHAINS, indirect: true };
const ANY: Change = { order: "any" };
const AGAIN: Change = { ring: 1, paths: ["svq", "svq"] };
const OUT: Change = { ring: 1, paths: ["svq", "notify"] };
const IN: Change = { ring: 1, paths: ["notify", "svq"] };
const TABLES_OUT: Change = { ...TABLES, requests: 1, paths: ["svq", "notify"] };
const BACK: Change = { ring: 1, requests: 1, paths: ["svq", "notify", "svq"] };

const named = (change: Change) => ({ what: JSON.stringify(change), change });

describe("every order is right (O1, O2, O3, O4, O5, O6)", () => {
  it.each([CHAINS, MARKED, TABLES, ANY, AGAIN, OUT, IN, TABLES_OUT, BACK].map(named))("$what", ({ change }) => {
    expect(explore({ ...SMALL, ...change })).toMatchObject({ complete: true, violations: [] });
  });

  // In PSO the stores of a table alone are seen in a million orders.
  it.each([
    ["tso", TABLES],
    ["pso", ANY],
    ["tso", AGAIN],
    ["pso", OUT],
    ["pso", IN],
  ] as const)("one request, with flags, in the weakest memory that is affordable: %s %j", (model, change) => {
    const flags = { model, requests: 1, eventIdx: false };
    expect(explore({ ...SMALL, ...change, ...flags })).toMatchObject({ complete: true, violations: [] });
  });

  it.each([
    ["sc", TABLES],
    ["tso", TABLES],
    ["tso", ANY],
    ["sc", OUT],
  ] as const)("has as many states as an independent search finds: %s %j", (order, change) => {
    const options: PlayOptions = { ...SMALL, ...change, requests: 1 };
    const { parties, bytes } = threePartyPlay(options);
    const other = everyOrder({ order, bytes, parties });
    expect([...other.orders.keys()].filter((outcome) => outcome !== "goes round in circles")).toEqual(["ended"]);
    expect(explore({ ...options, model: order }).states).toBe(other.states);
  });
});

describe("what the profiles play", () => {
  it("goes by a name of its own each, and the full one plays all that ci does", () => {
    const names = playsOf("full").map(modelName);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toEqual(expect.arrayContaining(playsOf("ci").map(modelName)));
    expect(names).toContain("tso-seqcst, 3 × 4, event idx, log off, svq to notify");
  });
});

interface Twin {
  readonly what: string;
  /** A play that shows it. */
  readonly seen: Change;
  /** One that does not, because it lacks what the twin gets wrong. */
  readonly unseen: Change;
  readonly complaint: RegExp;
  readonly patch: Patch;
}

const OLDEST = `
      let oldest = id;
      for (let at = 0; at < num; at++) {
        const other = at << ROW_SHIFT;
        const earlier = rows[other + ROW_AVAIL_IDX]! < rows[(oldest << ROW_SHIFT) + ROW_AVAIL_IDX]!;
        if (rows[other + ROW_COUNT] !== 0 && earlier) oldest = at;
      }
      const first = oldest << ROW_SHIFT;`;

const TWINS: readonly Twin[] = [
  {
    what: "a used entry is taken for the oldest chain, whatever it names",
    seen: ANY,
    unseen: {},
    complaint: /request|head|entry/,
    patch: [RELAY, "      const first = id << ROW_SHIFT;", OLDEST],
  },
  {
    what: "the second descriptor is not translated",
    seen: CHAINS,
    unseen: {},
    complaint: /request 0 is 2 × 768 bytes at /,
    patch: [
      RELAY,
      "(page + mappings[mapping + MAP_DELTA]!) | 0",
      "(page + (count === 0 ? mappings[mapping + MAP_DELTA]! : 0)) | 0",
    ],
  },
  {
    what: "only the first descriptor of a chain comes free",
    seen: CHAINS,
    unseen: {},
    complaint: /free and 0 in flight of 2/,
    patch: [RELAY, "      freeCount += count;", "      freeCount += 1;"],
  },
  {
    what: "only the first page of what is written is marked",
    seen: MARKED,
    unseen: { log: true },
    complaint: /request 0 is used and not yet marked/,
    patch: [RELAY, "const last = page + ((rows[row + ROW_OFFSET]! + extent - 1) >>> 12);", "const last = page;"],
  },
  {
    what: "only what is read of a chain is marked",
    seen: MARKED,
    unseen: { ...MARKED, log: false },
    complaint: /request 0 is used and not yet marked/,
    patch: [
      RELAY,
      "if (log !== undefined) {\n            let page",
      "if (log !== undefined && row === first) {\n            let page",
    ],
  },
  {
    what: "an indirect table is read twice",
    seen: TABLES,
    unseen: CHAINS,
    complaint: /the guest's word at \d+ is read twice/,
    patch: [
      ODD,
      "    return guestMemory.copyOut(",
      "    guestMemory.copyOut(joinHalves(low, high), this.#table);\n    return guestMemory.copyOut(",
    ],
  },
  {
    what: "the entries of a table are looked for in the ring",
    seen: TABLES,
    unseen: CHAINS,
    complaint: /read twice|is read|request/,
    patch: [RELAY, "          source = this.#odd.tableMemory;\n          table = 0;", ""],
  },
  {
    what: "a chain that did not fit is not tried again",
    seen: TABLES,
    unseen: CHAINS,
    complaint: /asleep: driver/,
    patch: [
      RELAY,
      "    state.guestUsedIdx = guestUsedIdx;\n    state.holding = 0;",
      "    state.guestUsedIdx = guestUsedIdx;",
    ],
  },
  {
    what: "a stop forgets the chains that it takes back",
    seen: AGAIN,
    unseen: { ring: 1 },
    complaint: /asleep: driver/,
    patch: [
      RELAY,
      "return { lastAvailIdx: state.lastAvailIdx, usedIdx",
      "return { lastAvailIdx: u16(state.lastAvailIdx + unfetched), usedIdx",
    ],
  },
  {
    what: "a stop takes back one that was fetched",
    seen: OUT,
    unseen: { ring: 1 },
    complaint: /request|entries|head/,
    patch: [
      RELAY,
      "return { lastAvailIdx: state.lastAvailIdx, usedIdx",
      "return { lastAvailIdx: u16(state.lastAvailIdx - Math.min(1, state.guestUsedIdx)), usedIdx",
    ],
  },
  {
    what: "the next path begins at used entry 0",
    seen: AGAIN,
    unseen: { ring: 1 },
    complaint: /./,
    patch: [RELAY, "    this.state.guestUsedIdx = parts.start.usedIdx;\n", ""],
  },
  {
    what: "a stop comes before what was used",
    seen: AGAIN,
    unseen: { ring: 1 },
    complaint: /chains in flight, of which 0 were never fetched/,
    patch: [RELAY, "  drain(): boolean {\n    return this.forwardUsed();", "  drain(): boolean {\n    return false;"],
  },
];

describe("a twin is found in a play that has what it gets wrong, and in no other", () => {
  it.each(TWINS)("$what", async ({ seen, unseen, complaint, patch }) => {
    const make = await patchedCopy<Partial<Cast>>(RELAY, patch);
    const [found] = explore({ ...SMALL, ...seen, make }).violations;
    expect(found?.what).toMatch(complaint);
    expect(explore({ ...SMALL, ...unseen, make })).toMatchObject({ complete: true, violations: [] });
  });
});
