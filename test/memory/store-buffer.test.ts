import { describe, expect, it } from "vitest";
import { randomDrains } from "../../src/memory/simulated/random-drains.js";
import { POISON, SimulatedMemory } from "../../src/memory/simulated/simulated-memory.js";
import { MODELS, smallMachine } from "./litmus.js";

describe("a store", () => {
  it.each(["tso", "pso"] as const)("waits in the buffer of its party, which alone sees it (%s)", (model) => {
    const { machine, memory } = smallMachine(model, { owners: false });
    memory.port("a").write32(4, 0x01020304);
    expect(memory.port("a").read32(4)).toBe(0x01020304);
    expect(memory.port("b").read32(4)).toBe(0);
    machine.drainAll("a");
    expect(memory.port("b").read32(4)).toBe(0x01020304);
  });

  it("is visible at once without store buffers", () => {
    const { memory } = smallMachine("sc", { owners: false });
    memory.port("a").write32(4, 7);
    expect(memory.port("b").read32(4)).toBe(7);
  });

  it("is forwarded by bytes, the newest of each", () => {
    const { memory } = smallMachine("tso");
    memory.poke32(0, 0x0d0c0b0a);
    const a = memory.port("a");
    a.write16(2, 0x2222);
    a.copyIn(3, Uint8Array.of(0x33, 0x44));
    a.write16(4, 0x5555);
    expect(a.read32(0) >>> 0).toBe(0x33220b0a);
    const target = new Uint8Array(6);
    a.copyOut(1, target);
    expect([...target]).toEqual([0x0b, 0x22, 0x33, 0x55, 0x55, 0]);
    expect(memory.peek32(0)).toBe(0x0d0c0b0a);
  });

  it("copies its source when it is made", () => {
    const { machine, memory } = smallMachine("tso");
    const source = Uint8Array.of(1, 2, 3);
    memory.port("a").copyIn(0, source);
    source.fill(9);
    machine.drainAll();
    expect(memory.peek32(0)).toBe(0x030201);
  });

  it("is little-endian", () => {
    const { memory } = smallMachine("sc");
    memory.port("a").write32(0, 0x04030201);
    memory.port("a").publish16(4, 0x0605);
    expect([...memory.bytes.subarray(0, 6)]).toEqual([1, 2, 3, 4, 5, 6]);
  });
});

describe("drainable()", () => {
  const filled = (model: "tso" | "pso") => {
    const { machine, memory } = smallMachine(model);
    const a = memory.port("a");
    a.write32(0, 1);
    a.write16(2, 2);
    a.write16(4, 3);
    a.publish16(8, 4);
    a.write16(12, 5);
    a.copyIn(7, Uint8Array.of(1, 2));
    return { machine, memory };
  };

  it("is the oldest store under TSO", () => {
    const { machine } = filled("tso");
    expect(machine.drainable("a")).toEqual([0]);
    expect(machine.pending("a")).toHaveLength(6);
  });

  it("is every store behind no other of its words under PSO, but a publish only at the head", () => {
    const { machine } = filled("pso");
    expect(machine.drainable("a")).toEqual([0, 2, 4]);
    machine.drainOne("a", 2);
    expect(machine.drainable("a")).toEqual([0, 3]);
    machine.drainOne("a", 0);
    machine.drainOne("a", 0);
    expect(machine.pending("a").map(({ release }) => release)).toEqual([true, false, false]);
    expect(machine.drainable("a")).toEqual([0, 1]);
  });

  it("is what drainOne() takes, and nothing else", () => {
    const { machine } = filled("pso");
    expect(() => machine.drainOne("a", 3)).toThrow("may drain now");
    expect(() => machine.drainOne("b")).toThrow("may drain now");
  });

  it("keeps a publish behind writes in other regions", () => {
    const { machine, memory } = smallMachine("pso");
    const guest = new SimulatedMemory(machine, 64, { name: "guest" });
    guest.port("a").write32(0, 7);
    memory.port("a").publish16(0, 1);
    expect(machine.drainable("a")).toEqual([0]);
    memory.port("a").fence();
    expect(guest.peek32(0)).toBe(7);
  });

  it("keeps same offsets in different regions apart", () => {
    const { machine, memory } = smallMachine("pso");
    const other = new SimulatedMemory(machine, 64);
    other.port("a").write32(0, 7);
    memory.port("a").write32(0, 1);
    expect(machine.drainable("a")).toEqual([0, 1]);
    expect([memory.port("a").read32(0), other.port("a").read32(0)]).toEqual([1, 7]);
  });
});

describe("a full fence", () => {
  it.each(["setBits32", "takeBits32", "fence", "ring"] as const)("%s drains the own buffer and no other", (kind) => {
    const { machine, memory } = smallMachine("pso");
    const a = memory.port("a");
    memory.port("b").write32(20, 3);
    a.write32(0, 7);
    a.publish16(8, 1);
    if (kind === "setBits32") a.setBits32(16, 1);
    if (kind === "takeBits32") a.takeBits32(16);
    if (kind === "fence") a.fence();
    if (kind === "ring") machine.bell("b").ringer("a").ring();
    expect(machine.pending("a")).toEqual([]);
    expect([memory.peek32(0), memory.peek16(8)]).toEqual([7, 1]);
    expect(machine.pending("b")).toHaveLength(1);
  });

  it("is also what a read-modify-write sees: its own earlier stores", () => {
    const { memory } = smallMachine("tso");
    const a = memory.port("a");
    a.setBits32(0, 4);
    a.publish16(0, 1);
    a.setBits32(0, 2);
    expect(a.takeBits32(0)).toBe(3);
  });

  it("is a publish as JavaScript promises it", () => {
    const { machine, memory } = smallMachine("pso", { publish: "seq_cst" });
    memory.port("a").write32(0, 7);
    expect(machine.pending("a")).toHaveLength(1);
    memory.port("a").publish16(8, 1);
    expect(machine.pending("a")).toEqual([]);
  });
});

describe("randomDrains()", () => {
  const visible = (seed: number) => {
    const { machine, memory } = smallMachine("pso", { drainPolicy: randomDrains(seed) });
    const journal: number[] = [];
    machine.onVisible = (_party, _memory, offset) => journal.push(offset);
    for (let round = 0; round < 20; round++) memory.port("a").write32((round % 16) * 4, round);
    const rest = machine.pending("a").length;
    machine.drainAll();
    return { journal, rest };
  };

  it("gives the same order for the same seed, and others for others", () => {
    expect(visible(1)).toEqual(visible(1));
    const orders = new Set(Array.from({ length: 20 }, (_, seed) => visible(seed).journal.join()));
    expect(orders.size).toBeGreaterThan(15);
  });

  it("leaves some stores waiting and lets some pass others", () => {
    const runs = Array.from({ length: 20 }, (_, seed) => visible(seed));
    expect(runs.some(({ rest }) => rest > 0 && rest < 15)).toBe(true);
    expect(runs.some(({ journal }) => journal.indexOf(8) < journal.indexOf(4))).toBe(true);
    for (const { journal } of runs) expect(journal).toHaveLength(20);
  });
});

describe("fresh memory", () => {
  it("is poisoned, unless its protocol starts from zero", () => {
    const { machine, memory } = smallMachine("sc");
    expect(new SimulatedMemory(machine, 8).port("a").read16(2)).toBe(POISON * 0x101);
    expect(memory.port("a").read16(2)).toBe(0);
  });

  it.each(MODELS)("refuses what is out of range or not aligned (%s)", (model) => {
    const { machine, memory } = smallMachine(model);
    const a = memory.port("a");
    expect(() => a.read16(64)).toThrow(RangeError);
    expect(() => a.read32(-4)).toThrow(RangeError);
    expect(() => a.write16(3, 0)).toThrow("not aligned");
    expect(() => a.write32(2, 0)).toThrow("not aligned");
    expect(() => a.publish16(1, 0)).toThrow("not aligned");
    expect(() => a.observe16(0.5)).toThrow(RangeError);
    expect(() => a.setBits32(64, 0)).toThrow(RangeError);
    expect(() => a.copyIn(60, new Uint8Array(5))).toThrow(RangeError);
    expect(() => a.copyOut(Number.NaN, new Uint8Array(1))).toThrow(RangeError);
    expect(machine.count("read16")).toBe(0);
    expect(machine.pending("a")).toEqual([]);
  });
});
