import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LocalMemory } from "../../src/memory/local-memory.js";
import { RealMemory } from "../../src/memory/real-memory.js";
import type { SharedMemory } from "../../src/memory/shared-memory.js";
import { randomDrains } from "../../src/memory/simulated/random-drains.js";
import { SimulatedMachine } from "../../src/memory/simulated/simulated-machine.js";
import { POISON, SimulatedMemory } from "../../src/memory/simulated/simulated-memory.js";
import { MODELS } from "./litmus.js";

const BYTES = 64;

/** One verb to call, on either memory; returns what it answered. */
type Call = (memory: SharedMemory) => unknown;

/** A call whose failing example says what it does. */
function call(text: string, run: Call): Call {
  return Object.assign(run, { [fc.toStringMethod]: () => text });
}

const half = fc.nat(BYTES / 2 - 1).map((n) => n * 2);
const word = fc.nat(BYTES / 4 - 1).map((n) => n * 4);
const int32 = fc.integer();
const piece = fc
  .tuple(fc.nat(BYTES), fc.uint8Array({ maxLength: BYTES }))
  .map(([at, bytes]) => ({ at, bytes: bytes.subarray(0, BYTES - at) }));

const calls: fc.Arbitrary<Call> = fc.oneof(
  half.map((at) => call(`read16(${at})`, (m) => m.read16(at))),
  word.map((at) => call(`read32(${at})`, (m) => m.read32(at))),
  half.map((at) => call(`observe16(${at})`, (m) => m.observe16(at))),
  fc.tuple(half, int32).map(([at, v]) => call(`write16(${at}, ${v})`, (m) => m.write16(at, v))),
  fc.tuple(word, int32).map(([at, v]) => call(`write32(${at}, ${v})`, (m) => m.write32(at, v))),
  fc.tuple(half, int32).map(([at, v]) => call(`publish16(${at}, ${v})`, (m) => m.publish16(at, v))),
  fc.tuple(word, int32).map(([at, v]) => call(`setBits32(${at}, ${v})`, (m) => m.setBits32(at, v))),
  word.map((at) => call(`takeBits32(${at})`, (m) => m.takeBits32(at))),
  fc
    .tuple(word, word)
    .map(([a, b]) => call(`listNonZero32(${a}, ${b})`, (m) => listed(m, Math.min(a, b), Math.max(a, b)))),
  fc.constant(call("fence()", (m) => m.fence())),
  piece.map(({ at, bytes }) => call(`copyIn(${at}, ${bytes.join()})`, (m) => m.copyIn(at, bytes))),
  piece.map(({ at, bytes }) => call(`copyOut(${at}, ${bytes.length})`, (m) => copiedOut(m, at, bytes.length))),
);

function listed(memory: SharedMemory, from: number, end: number): number[] {
  const found = new Int32Array(BYTES / 4);
  return [...found.subarray(0, memory.listNonZero32(from, end, found))];
}

function copiedOut(memory: SharedMemory, at: number, length: number): number[] {
  const target = new Uint8Array(length);
  memory.copyOut(at, target);
  return [...target];
}

/** Makes the same calls on both memories; says which answers or final bytes differ. */
function differences(sequence: readonly Call[], real: SharedMemory, simulated: SharedMemory): string[] {
  const texts: string[] = [];
  for (const each of [...sequence, call("copyOut of all", (m) => copiedOut(m, 0, BYTES))]) {
    const [due, seen] = [JSON.stringify(each(real)), JSON.stringify(each(simulated))];
    if (due !== seen) texts.push(`${fc.stringify(each)}: ${seen} instead of ${due}`);
  }
  return texts;
}

function realMemory(): RealMemory {
  return poisoned(RealMemory);
}

function poisoned(Kind: typeof RealMemory): RealMemory {
  const buffer = new SharedArrayBuffer(BYTES);
  new Uint8Array(buffer).fill(POISON);
  return new Kind(buffer);
}

describe("a thread alone with its memory", () => {
  it("gets from local memory the answers that real memory gives", () => {
    fc.assert(
      fc.property(fc.array(calls, { maxLength: 60 }), (sequence) => {
        expect(differences(sequence, realMemory(), poisoned(LocalMemory))).toEqual([]);
      }),
    );
  });

  it("shows a local memory that forgets what was set", () => {
    class Forgetful extends LocalMemory {
      override setBits32(offset: number, bits: number): void {
        this.write32(offset, bits);
      }
    }
    const calls = [call("setBits32(0, 1)", (m) => m.setBits32(0, 1))];
    expect(differences(calls, realMemory(), poisoned(Forgetful))).not.toEqual([]);
  });
});

describe.each(MODELS)("a party alone in a simulated memory (%s)", (model) => {
  const property = (simulated: (seed: number) => SharedMemory) =>
    fc.property(fc.array(calls, { maxLength: 60 }), fc.integer(), (sequence, seed) => {
      expect(differences(sequence, realMemory(), simulated(seed))).toEqual([]);
    });

  it("gets the answers that real memory gives", () => {
    const simulated = (seed: number) => {
      const drainPolicy = randomDrains(seed, 0.3);
      const machine = new SimulatedMachine({ parties: ["only"], model, strictFences: false, drainPolicy });
      return new SimulatedMemory(machine, BYTES).port("only");
    };
    fc.assert(property(simulated), { numRuns: 500 });
  });

  it("is seen to differ when it stores one byte to the wrong place", () => {
    const simulated = () => {
      const machine = new SimulatedMachine({ parties: ["only"], model, strictFences: false });
      const memory = new SimulatedMemory(machine, BYTES);
      const port = memory.port("only");
      const write16 = port.write16.bind(port);
      port.write16 = (offset, value) => write16(offset ^ 2, value);
      return port;
    };
    expect(fc.check(property(simulated), { numRuns: 500 }).failed).toBe(true);
  });
});
