import { describe, expect, it } from "vitest";
import type { SharedMemory } from "../../src/memory/shared-memory.js";
import { RaceError } from "../../src/memory/simulated/owner-map.js";
import { SimulatedMemory } from "../../src/memory/simulated/simulated-memory.js";
import { raceOf, smallMachine } from "./litmus.js";

const DATA = 0;
const INDEX = 8;
const BITS = 16;

describe("bytes that are handed over", () => {
  it("by an index may be read by whoever observed it", () => {
    const handedOver = (a: SharedMemory, b: SharedMemory) => {
      a.write32(DATA, 7);
      a.publish16(INDEX, 1);
      b.observe16(INDEX);
      b.read32(DATA);
      b.write32(DATA, 8);
      b.publish16(INDEX + 2, 1);
      a.observe16(INDEX + 2);
      a.read32(DATA);
    };
    expect(raceOf(handedOver)).toBeUndefined();
  });

  it("by read-modify-writes, in either direction", () => {
    const marked = (a: SharedMemory, b: SharedMemory) => {
      a.write32(DATA, 7);
      a.setBits32(BITS, 1);
      b.takeBits32(BITS);
      b.write32(DATA, 8);
      b.takeBits32(BITS);
      a.setBits32(BITS, 1);
      a.read32(DATA);
    };
    expect(raceOf(marked)).toBeUndefined();
  });

  it.each([BITS, BITS + 2])("by a bit, to whoever observes either half of its word (%i)", (half) => {
    const observed = (a: SharedMemory, b: SharedMemory) => {
      a.write32(DATA, 7);
      a.setBits32(BITS, 1);
      b.observe16(half);
      b.read32(DATA);
    };
    expect(raceOf(observed)).toBeUndefined();
  });

  it("by a bit, still hold what a bit set before told", () => {
    const twoMarks = (a: SharedMemory, b: SharedMemory, c: SharedMemory) => {
      a.write32(DATA, 7);
      a.setBits32(BITS, 1);
      b.setBits32(BITS, 2);
      c.takeBits32(BITS);
      c.read32(DATA);
    };
    expect(raceOf(twoMarks)).toBeUndefined();
  });

  it("by somebody in between, in another region", () => {
    const { machine, memory } = smallMachine("tso");
    const other = new SimulatedMemory(machine, 64);
    memory.port("a").write32(DATA, 7);
    memory.port("a").publish16(INDEX, 1);
    machine.drainAll();
    memory.port("b").observe16(INDEX);
    other.port("b").publish16(INDEX, 1);
    machine.drainAll();
    other.port("c").observe16(INDEX);
    expect(memory.port("c").read32(DATA)).toBe(7);
  });

  it("by a bell or by a message", () => {
    const { machine, memory } = smallMachine("tso");
    memory.port("a").write32(DATA, 7);
    machine.bell("b").ringer("a").ring();
    expect(machine.bell("b").take()).toBe(true);
    expect(memory.port("b").read32(DATA)).toBe(7);
    memory.port("b").write32(DATA, 8);
    machine.handOver("b", "c");
    expect(memory.port("c").read32(DATA)).toBe(8);
    expect(() => memory.port("a").read32(DATA)).toThrow(RaceError);
  });
});

describe("bytes that are not", () => {
  const message = (first: string, second: string, at = DATA) =>
    `memory at ${at}: ${second} is not ordered after ${first}`;

  it.each<[string, (a: SharedMemory, b: SharedMemory) => void, string, string]>([
    [
      "read after a write",
      (a, b) => {
        a.write32(DATA, 7);
        b.read32(DATA);
      },
      "a's plain write",
      "b's plain read",
    ],
    [
      "written after a read",
      (a, b) => {
        a.copyOut(DATA, new Uint8Array(2));
        b.write32(DATA, 7);
      },
      "a's plain read",
      "b's plain write",
    ],
    [
      "written twice",
      (a, b) => {
        a.write32(DATA, 7);
        b.copyIn(DATA, Uint8Array.of(1));
      },
      "a's plain write",
      "b's plain write",
    ],
    [
      "written after the publish that would have handed them over",
      (a, b) => {
        a.publish16(INDEX, 1);
        a.write32(DATA, 7);
        b.observe16(INDEX);
        b.read32(DATA);
      },
      "a's plain write",
      "b's plain read",
    ],
    [
      "handed over, and written once more",
      (a, b) => {
        a.write32(DATA, 7);
        a.publish16(INDEX, 1);
        b.observe16(INDEX);
        b.read32(DATA);
        a.write32(DATA, 8);
      },
      "b's plain read",
      "a's plain write",
    ],
  ])("%s", (_, run, first, second) => {
    expect(raceOf(run)).toBe(message(first, second));
  });

  it("show beside bytes that were", () => {
    const neighbours = (a: SharedMemory, b: SharedMemory) => {
      a.write16(DATA, 7);
      a.publish16(INDEX, 1);
      a.write16(DATA + 2, 7);
      b.observe16(INDEX);
      b.read16(DATA);
      b.read32(DATA);
    };
    expect(raceOf(neighbours)).toBe(message("a's plain write", "b's plain read", DATA + 2));
  });

  it("show when the index was not observed, or another one was", () => {
    for (const observed of [undefined, INDEX + 2]) {
      const run = (a: SharedMemory, b: SharedMemory) => {
        a.write32(DATA, 7);
        a.publish16(INDEX, 1);
        if (observed !== undefined) b.observe16(observed);
        b.read32(DATA);
      };
      expect(raceOf(run)).toBe(message("a's plain write", "b's plain read"));
    }
  });

  it("show while the publish waits in its buffer", () => {
    const { machine, memory } = smallMachine("tso");
    const look = () => {
      memory.port("b").observe16(INDEX);
      return memory.port("b").read32(DATA);
    };
    memory.port("a").write32(DATA, 7);
    memory.port("a").publish16(INDEX, 1);
    expect(look).toThrow(RaceError);
    machine.drainAll();
    expect(look()).toBe(7);
  });

  it("are not handed over by the own publish of the observer", () => {
    const { memory } = smallMachine("tso");
    memory.port("a").write32(DATA, 7);
    memory.port("a").publish16(INDEX, 1);
    memory.port("a").fence();
    memory.port("b").publish16(INDEX, 2);
    expect(memory.port("b").observe16(INDEX)).toBe(2);
    expect(() => memory.port("b").read32(DATA)).toThrow(RaceError);
  });

  it("may be read by many", () => {
    const readers = (a: SharedMemory, b: SharedMemory, c: SharedMemory) => {
      for (const port of [a, b, c]) port.read32(DATA);
    };
    expect(raceOf(readers)).toBeUndefined();
  });
});

describe("the check", () => {
  const racy = (a: SharedMemory, b: SharedMemory) => {
    a.write32(DATA, 7);
    b.read32(DATA);
  };

  it("can be asked to report instead of ending the run", () => {
    const races: RaceError[] = [];
    const { memory } = smallMachine("sc", { onRace: (race) => races.push(race) });
    racy(memory.port("a"), memory.port("b"));
    expect(races).toHaveLength(4);
    expect(races[0]).toMatchObject({
      place: "memory",
      offset: DATA,
      first: { party: "a", kind: "plain write" },
      second: { party: "b", kind: "plain read" },
    });
  });

  it("can be left out, for all regions or for some bytes", () => {
    const { memory } = smallMachine("sc", { owners: false });
    expect(() => racy(memory.port("a"), memory.port("b"))).not.toThrow();
    const { memory: checked } = smallMachine("sc");
    checked.allowRaces(DATA, 3);
    expect(() => racy(checked.port("a"), checked.port("b"))).toThrow("memory at 3");
    const { memory: allowed } = smallMachine("sc");
    allowed.allowRaces(DATA, 4);
    expect(() => racy(allowed.port("a"), allowed.port("b"))).not.toThrow();
  });

  it("knows nothing of what a test pokes", () => {
    const { memory } = smallMachine("sc");
    memory.port("a").read32(DATA);
    memory.poke32(DATA, 7);
    expect(memory.port("b").read32(DATA)).toBe(7);
  });

  it("takes a region of 1 MiB", () => {
    const { machine } = smallMachine("tso");
    const large = new SimulatedMemory(machine, 2 ** 20);
    large.port("a").copyIn(0, new Uint8Array(2 ** 20).fill(1));
    machine.handOver("a", "b");
    const target = new Uint8Array(2 ** 20);
    large.port("b").copyOut(0, target);
    expect(target.every((byte) => byte === 1)).toBe(true);
    expect(() => large.port("c").read16(2 ** 20 - 2)).toThrow(RaceError);
  });
});
