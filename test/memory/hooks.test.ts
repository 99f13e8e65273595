import { describe, expect, it } from "vitest";
import type { SharedMemory } from "../../src/memory/shared-memory.js";
import type { Access } from "../../src/memory/simulated/access.js";
import { MODELS, smallMachine } from "./litmus.js";

describe("onAccess", () => {
  it("sees each access with all that it is about to do", () => {
    const { machine, memory } = smallMachine("tso");
    const seen: Access[] = [];
    machine.onAccess = (access) => {
      seen.push(access);
      return undefined;
    };
    const a = memory.port("a");
    a.copyIn(8, Uint8Array.of(1, 2));
    a.publish16(2, -1);
    a.fence();
    a.setBits32(4, 5);
    machine.bell("b").ringer("a").ring();
    const common = { party: "a", memory, place: "memory" };
    expect(seen).toEqual([
      { ...common, kind: "copyIn", offset: 8, bytes: 2, value: Uint8Array.of(1, 2) },
      { ...common, kind: "publish16", offset: 2, bytes: 2, value: 0xffff },
      { ...common, kind: "fence", offset: 0, bytes: 0, value: undefined },
      { ...common, kind: "setBits32", offset: 4, bytes: 4, value: 5 },
      { party: "a", memory: undefined, place: "bell of b", kind: "ring", offset: 0, bytes: 0, value: undefined },
    ]);
  });

  it.each(MODELS)("stops an access by throwing: nothing of it happens (%s)", (model) => {
    const { machine, memory } = smallMachine(model, { strictFences: false });
    const a = memory.port("a");
    a.write32(0, 7);
    const pending = machine.pending("a").length;
    const before = memory.bytes.slice();
    machine.onAccess = () => {
      throw new Error("stopped");
    };
    const bell = machine.bell("b");
    const stops: (() => unknown)[] = [
      () => a.write32(4, 1),
      () => a.publish16(4, 1),
      () => a.setBits32(4, 1),
      () => a.takeBits32(0),
      () => a.fence(),
      () => bell.ringer("a").ring(),
    ];
    for (const stop of stops) expect(stop).toThrow("stopped");
    expect(memory.bytes).toEqual(before);
    expect(machine.pending("a")).toHaveLength(pending);
    expect(bell.pending).toBe(false);
  });

  it("replaces what a read gives, and nothing else", () => {
    const { machine, memory } = smallMachine("tso");
    const a = memory.port("a");
    machine.onAccess = ({ kind }) => ({ replace: kind === "copyOut" ? Uint8Array.of(5, 6) : 99 });
    const target = new Uint8Array(2);
    a.copyOut(0, target);
    expect([a.read16(0), a.read32(0), a.observe16(0), ...target]).toEqual([99, 99, 99, 5, 6]);
    a.setBits32(8, 3);
    expect(a.takeBits32(8)).toBe(99);
    machine.onAccess = undefined;
    expect([a.read32(0), a.read32(8)]).toEqual([0, 0]);
  });

  /** Checks a length and then uses it: what it uses may not be what it checked. */
  const fetchesTwice = (memory: SharedMemory) => (memory.read32(0) <= 16 ? memory.read32(0) : 0);
  const fetchesOnce = (memory: SharedMemory) => {
    const length = memory.read32(0);
    return length <= 16 ? length : 0;
  };

  it.each([
    ["pokes", fetchesTwice, 1000],
    ["pokes", fetchesOnce, 16],
    ["replaces", fetchesTwice, 1000],
    ["replaces", fetchesOnce, 16],
  ])("%s what a peer could change between two reads: %o gets %d", (way, reader, length) => {
    const { machine, memory } = smallMachine("sc");
    memory.poke32(0, 16);
    let reads = 0;
    machine.onAccess = () => {
      reads += 1;
      if (reads === 1) return undefined;
      if (way === "replaces") return { replace: 1000 };
      memory.poke32(0, 1000);
      return undefined;
    };
    expect(reader(memory.port("a"))).toBe(length);
  });

  it.each(MODELS)("runs other parties, and drains them, in the middle of an access (%s)", (model) => {
    const { machine, memory } = smallMachine(model);
    const [a, b] = [memory.port("a"), memory.port("b")];
    const script: string[] = [];
    machine.onAccess = ({ party, kind }) => {
      script.push(`${party} ${kind}`);
      if (party === "a" && kind === "observe16") {
        b.write32(0, 7);
        b.publish16(8, 1);
        b.setBits32(16, 1);
        machine.bell("a").ringer("b").ring();
      }
      if (party === "b" && kind === "ring") machine.drainAll("a");
      return undefined;
    };
    a.write32(4, 3);
    expect(a.observe16(8)).toBe(1);
    expect(a.read32(0)).toBe(7);
    expect(memory.peek32(4)).toBe(3);
    expect(machine.bell("a").take()).toBe(true);
    expect(script).toEqual([
      "a write32",
      "a observe16",
      "b write32",
      "b publish16",
      "b setBits32",
      "b ring",
      "a read32",
      "a take",
    ]);
  });

  it("comes before the check of ownership: a hand-over may be what the hook runs", () => {
    const { machine, memory } = smallMachine("sc");
    const [a, b] = [memory.port("a"), memory.port("b")];
    b.write32(0, 7);
    machine.onAccess = ({ party, kind }) => {
      if (party === "a" && kind === "read32") machine.handOver("b", "a");
      return undefined;
    };
    expect(a.read32(0)).toBe(7);
  });
});

describe("onVisible", () => {
  it("is told of each store when it becomes visible, and of read-modify-writes", () => {
    const { machine, memory } = smallMachine("tso");
    const journal: unknown[] = [];
    machine.onVisible = (party, where, offset, bytes) => journal.push([party, where === memory, offset, bytes]);
    const a = memory.port("a");
    a.write16(2, 1);
    a.copyIn(4, Uint8Array.of(1, 2, 3));
    expect(journal).toEqual([]);
    machine.drainOne("a");
    expect(journal).toEqual([["a", true, 2, 2]]);
    a.setBits32(16, 1);
    expect(journal.slice(1)).toEqual([
      ["a", true, 4, 3],
      ["a", true, 16, 4],
    ]);
    expect(memory.peek16(2)).toBe(1);
  });

  it("covers a long copy in pieces, with no byte left out or told twice", () => {
    const { machine, memory } = smallMachine("pso");
    const told = new Uint8Array(64);
    machine.onVisible = (_party, _memory, offset, bytes) => {
      for (let at = offset; at < offset + bytes; at++) told[at]! += 1;
    };
    memory.port("a").copyIn(3, new Uint8Array(60));
    machine.drainAll();
    expect([...told]).toEqual([0, 0, 0, ...Array(60).fill(1), 0]);
  });
});

describe("count()", () => {
  it("counts accesses by kind, for one party and for all", () => {
    const { machine, memory } = smallMachine("tso");
    memory.port("a").read16(0);
    memory.port("a").read16(2);
    memory.port("b").read16(0);
    machine.bell("a").take();
    expect([machine.count("read16"), machine.count("read16", "a"), machine.count("take")]).toEqual([3, 2, 1]);
    expect(machine.count("fence")).toBe(0);
  });
});
