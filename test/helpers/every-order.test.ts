import { describe, expect, it } from "vitest";
import { everyOrder, type Party, type PartyMemory, type StoreOrder } from "./every-order.js";

/** A party that runs once from beginning to end. */
function once(name: string, run: (memory: PartyMemory) => void): Party<number> {
  return {
    name,
    start: 0,
    step(_, memory) {
      run(memory);
      return "ended";
    },
  };
}

const words = (bytes: Uint8Array) => [...new Uint16Array(bytes.slice().buffer)].join();

function outcomes(order: StoreOrder, ...parties: Party<number>[]): Record<string, number> {
  const { orders } = everyOrder({ order, bytes: new Uint8Array(16), parties, outcome: words });
  return Object.fromEntries(orders);
}

describe("everyOrder()", () => {
  it("knows all 20 orders of two parties with three accesses each", () => {
    const three = (name: string, at: number) =>
      once(name, (memory) => {
        for (const value of [0, 1, 2]) memory.write16(at, value);
      });
    expect(outcomes("sc", three("a", 0), three("b", 4))).toEqual({ "2,0,2,0,0,0,0,0": 20 });
  });

  it("finds the lost update, and how often it happens", () => {
    const adder = (name: string) => once(name, (memory) => memory.write16(0, memory.read16(0) + 1));
    expect(outcomes("sc", adder("a"), adder("b"))).toEqual({ "2,0,0,0,0,0,0,0": 2, "1,0,0,0,0,0,0,0": 4 });
  });

  it.each([
    ["sc", false],
    ["tso", true],
    ["pso", true],
  ] as const)("lets both parties miss each other's publish: %s %s, and never behind a fence", (order, both) => {
    const party = (name: string, own: number, other: number, fence: boolean) =>
      once(name, (memory) => {
        memory.publish16(own, 1);
        if (fence) memory.fence();
        memory.write16(own + 8, memory.observe16(other) + 5);
      });
    const missed = "1,0,1,0,5,0,5,0";
    expect(missed in outcomes(order, party("a", 0, 4, false), party("b", 4, 0, false))).toBe(both);
    expect(missed in outcomes(order, party("a", 0, 4, true), party("b", 4, 0, true))).toBe(false);
  });

  it.each([
    ["sc", false],
    ["tso", false],
    ["pso", true],
  ] as const)("lets a plain store overtake another: %s %s, and never a publish", (order, overtakes) => {
    const writer = (publish: boolean) =>
      once("writer", (memory) => {
        memory.write32(0, 7);
        if (publish) memory.publish16(4, 1);
        else memory.write16(4, 1);
      });
    const reader = once("reader", (memory) => {
      if (memory.observe16(4) === 1 && memory.read32(0) !== 7) throw new Error("the flag without the data");
    });
    expect("reader: the flag without the data" in outcomes(order, writer(false), reader)).toBe(overtakes);
    expect("reader: the flag without the data" in outcomes(order, writer(true), reader)).toBe(false);
  });

  it("shows a party its own stores before the others see them", () => {
    const party = once("a", (memory) => {
      memory.write32(0, 0x10002);
      memory.publish16(2, 3);
      memory.write16(8, memory.read16(0) * 10 + memory.observe16(2));
      memory.setBits32(12, 4);
      memory.write16(14, memory.takeBits32(12));
    });
    expect(Object.keys(outcomes("pso", party))).toEqual(["2,3,0,0,23,0,0,4"]);
  });

  it("knows who is left asleep, lets servers be, and gives an order that leads there", () => {
    const sleeper: Party<number> = once("sleeper", (memory) => memory.sleep(0));
    const waker = once("waker", (memory) => {
      if (memory.observe16(4) === 1) memory.setBits32(0, 1);
    });
    const setter = once("setter", (memory) => memory.publish16(4, 1));
    const play = { order: "sc", bytes: new Uint8Array(16) } as const;
    const { orders, examples } = everyOrder({ ...play, parties: [sleeper, waker, setter] });
    expect(Object.fromEntries(orders)).toEqual({ ended: 1, "asleep: sleeper": 1 });
    expect(examples.get("asleep: sleeper")).toEqual(["waker: observe 0 at 4", "setter: publish 1 at 4"]);
    const server = { ...sleeper, serves: true };
    expect([...everyOrder({ ...play, parties: [server, setter] }).orders.keys()]).toEqual(["ended"]);
  });

  it("notices a step that remembers what is not in its state", () => {
    let runs = 0;
    const forgetful = once("forgetful", (memory) => {
      runs += 1;
      memory.write16(0, runs);
      memory.write16(2, 1);
    });
    expect(outcomes("sc", forgetful)).toEqual({ "forgetful: a step remembers what is not in its state": 1 });
  });

  it("goes on from what a step remembers, and notices one that comes to nothing", () => {
    const counter: Party<number> = {
      name: "counter",
      start: 0,
      step(state, memory) {
        memory.write16(0, state);
        return state === 5 ? "ended" : state + 1;
      },
    };
    expect(outcomes("tso", counter)).toEqual({ "5,0,0,0,0,0,0,0": 1 });
    const circle: Party<number> = {
      ...counter,
      step(state, memory) {
        memory.observe16(0);
        return state;
      },
    };
    expect(outcomes("sc", circle)).toEqual({ "goes round in circles": 1 });
  });
});
