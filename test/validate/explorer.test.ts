import { describe, expect, it } from "vitest";
import type { Party } from "../../src/validate/explorer/automaton.js";
import { castWith } from "../../src/validate/explorer/cast.js";
import { type ExploreOptions, explore } from "../../src/validate/explorer/explore.js";
import { Explorer, type ThreePartyPlay } from "../../src/validate/explorer/explorer.js";
import { threePartyPlay } from "../../src/validate/explorer/play.js";
import type { MemoryModel } from "../../src/validate/explorer/positions.js";
import { PackedState, PairTable, StateSet } from "../../src/validate/explorer/tables.js";
import { TWINS } from "../../src/validate/explorer/twin-list.js";
import { everyOrder, type StoreOrder } from "../helpers/every-order.js";
import { seeded } from "../iova/seeded.js";

const ORDERS: readonly StoreOrder[] = ["sc", "tso", "pso"];
const MODELS: readonly MemoryModel[] = [...ORDERS, "tso-seqcst"];
const SMALL: ExploreOptions = { model: "sc", ring: 1, requests: 2, eventIdx: true, log: true };

describe("driver, relay and device, in every order of accesses and of stores (O1, O3, O4, O5, O6)", () => {
  it.each(MODELS.flatMap((model) => [true, false].map((eventIdx) => ({ model, eventIdx }))))(
    "two requests in a ring of one come through, and nobody is left asleep: $model, EVENT_IDX $eventIdx",
    ({ model, eventIdx }) => {
      const found = explore({ ...SMALL, model, eventIdx });
      expect(found).toMatchObject({ complete: true, violations: [] });
      expect(found.states).toBeGreaterThan(100_000);
      expect(found.bytes_per_state).toBeLessThan(24);
    },
  );

  it("two requests in a ring of two as well", () => {
    expect(explore({ ...SMALL, ring: 2, model: "tso-seqcst" })).toMatchObject({ complete: true, violations: [] });
  });

  it.each(ORDERS)("has as many states as an independent search finds: %s", (order) => {
    for (const eventIdx of [true, false]) {
      const options = { ring: 2, requests: 1, eventIdx, log: true };
      const { parties, bytes } = threePartyPlay(options);
      const other = everyOrder({ order, bytes, parties });
      expect([...other.orders.keys()]).toEqual(["ended"]);
      expect(explore({ ...options, model: order }).states).toBe(other.states);
    }
  });
});

describe("what a report says", () => {
  it("is not complete beyond the limit, and calls from time to time", () => {
    const calls: number[] = [];
    const found = explore({ ...SMALL, statesMax: 300_000, onProgress: (states) => calls.push(states) });
    expect(found).toMatchObject({ complete: false, violations: [] });
    expect(found.states).toBeLessThan(300_256);
    expect(calls.length).toBeGreaterThan(7);
  });

  it("has a shortest way to what went wrong, access by access", async () => {
    const make = await castWith(TWINS.find(({ kind }) => kind === "mark-order")!);
    const { violations, depth } = explore({ ...SMALL, model: "tso", make, now: () => 5 });
    const [{ what, trace }] = violations as [(typeof violations)[0]];
    expect(what).toBe("request 0 is used and not yet marked");
    expect(trace.length).toBe(depth);
    expect(trace.slice(-3)).toEqual([
      "relay's 0 in guest used ring is seen",
      "relay's 768 in guest used ring + 4 is seen",
      "relay's 1 in guest used idx is seen",
    ]);
    for (const line of trace) expect(line).toMatch(/^(driver|relay|device)('s \d+ in .* is seen|: .+)$/);
  });
});

/** A party that runs once from beginning to end. */
function once(name: string, run: Party<number>["step"]): Party<number> {
  const step: Party<number>["step"] = (state, memory) => {
    run(state, memory);
    return "ended";
  };
  return { name, start: 0, step };
}

const IDLE = once("idle", () => 0);
const everywhere = () => true;

function play(one: Party<number>, other: Party<number>, change: Partial<ThreePartyPlay> = {}): ThreePartyPlay {
  const permits = [everywhere, everywhere, everywhere];
  const nobody = { judge: () => undefined, judgeEnd: () => undefined, permits, nameAt: String };
  return { parties: [one, other, IDLE], bytes: new Uint8Array(16), ...nobody, ...change };
}

function faultOf(of: ThreePartyPlay, model: MemoryModel): string | undefined {
  return new Explorer(of, model).search({ statesMax: 1e6 }).violation?.what;
}

const judgeEnd = (bytes: Uint8Array) => (bytes[8] === 5 && bytes[12] === 5 ? "both missed it" : undefined);

describe("orders of stores, in plays of two", () => {
  it.each([
    ["sc", false, undefined],
    ["tso", false, "both missed it"],
    ["pso", false, "both missed it"],
    ["tso-seqcst", false, undefined],
    ["tso", true, undefined],
    ["pso", true, undefined],
  ] as const)("both parties miss each other's publish: %s, fence %s: %s", (model, fence, expected) => {
    const party = (own: number, other: number) =>
      once(`${own}`, (state, memory) => {
        memory.publish16(own, 1);
        if (fence) memory.fence();
        memory.write16(own + 8, memory.observe16(other) + 5);
        return state;
      });
    expect(faultOf(play(party(0, 4), party(4, 0), { judgeEnd }), model)).toBe(expected);
  });

  it.each([
    ["a publish", "publish16", ["sc", "tso", "pso", "tso-seqcst"]],
    ["a plain store", "write16", ["sc", "tso", "tso-seqcst"]],
  ] as const)("%s as an index keeps what it leads to", (_, verb, sound) => {
    const writer = once("writer", (state, memory) => {
      memory.publish16(4, 7);
      memory[verb](0, 1);
      return state;
    });
    const reader = once("reader", (state, memory) => {
      if (memory.observe16(0) === 1 && memory.observe16(4) !== 7) throw new Error("too early");
      return state;
    });
    // The first publish keeps its own place only; what follows may overtake it unless it is a publish too.
    for (const model of MODELS) {
      expect(faultOf(play(writer, reader), model)).toBe(
        (sound as readonly string[]).includes(model) ? undefined : "reader: too early",
      );
    }
  });
});

describe("what else is noticed", () => {
  const writer = once("writer", (state, memory) => {
    memory.write32(4, 1);
    return state;
  });

  it.each(MODELS)("two who have the same bytes at once: %s", (model) => {
    const reader = once("reader", (_, memory) => memory.read16(6));
    expect(faultOf(play(writer, reader), model)).toBe("writer and reader have 6 at once");
    const beside = once("reader", (_, memory) => memory.read16(2));
    expect(faultOf(play(writer, beside), model)).toBeUndefined();
  });

  it.each(MODELS)("a store where its party may not write: %s", (model) => {
    const permits = [(offset: number) => offset !== 4, everywhere, everywhere];
    expect(faultOf(play(writer, IDLE, { permits }), model)).toMatch(/^writer: a store of 4 bytes at 4/);
  });

  it("a step that remembers what is not in its state", () => {
    let runs = 0;
    const hidden = once("hidden", (_, memory) => memory.read16(runs++ * 2) + memory.read16(0));
    expect(faultOf(play(hidden, IDLE), "sc")).toBe("hidden: a step remembers what is not in its state");
  });

  it("one who sleeps for ever", () => {
    const sleeper = once("sleeper", (state, memory) => {
      memory.sleep(0);
      return state;
    });
    expect(faultOf(play(sleeper, IDLE), "sc")).toBe("asleep: sleeper");
    expect(faultOf(play({ ...sleeper, serves: true }, IDLE), "sc")).toBeUndefined();
  });
});

describe("the tables of a search", () => {
  it("hold each state once, in order, whatever its ids", () => {
    const next = seeded(7);
    const set = new StateSet();
    const known = new Map<string, number>();
    const state = new PackedState();
    for (let i = 0; i < 100_000; i++) {
      const ids = [0, 1, 2, 3].map((k) => next((i + k) % 2 === 0 ? 12 : 2 ** 24)) as [number, number, number, number];
      const isNew = !known.has(ids.join());
      expect(set.add(...ids)).toBe(isNew);
      if (isNew) known.set(ids.join(), known.size);
    }
    expect(set.size).toBe(known.size);
    for (const [ids, number] of known) {
      set.get(number, state);
      expect(`${state.image},${state.at.join()}`).toBe(ids);
    }
  });

  it("lead from a pair to its id", () => {
    const table = new PairTable();
    for (let a = 0; a < 100; a++) for (let b = 0; b < 100; b++) table.set(a, b, a * 100 + b);
    for (let a = 0; a < 100; a++) for (let b = 0; b < 100; b++) expect(table.get(a, b)).toBe(a * 100 + b);
    expect(table.get(100, 0)).toBe(-1);
  });
});
