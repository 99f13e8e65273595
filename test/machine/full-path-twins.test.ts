import { describe, expect, test } from "vitest";
import { usedRingBytes, VRING_USED, VRING_USED_ELEM } from "../../src/layout/virtio-ring.js";
import { guestLayout } from "../../src/machine/assemble.js";
import type { MachineConfig } from "../../src/machine/config.js";
import { DoubledUsed, flipByte } from "../../src/machine/faults.js";
import { AllAsleep } from "../../src/machine/inline.js";
import type { Notifier } from "../../src/memory/bell.js";
import { ForwardingMemory } from "../../src/memory/forwarding-memory.js";
import type { SharedMemory } from "../../src/memory/shared-memory.js";
import { SMALL, type TestOutside, testMachine } from "../helpers/inline-machine.js";

/** A notifier whose `nth` signal, counted over all of its kind, goes nowhere. */
function losing(nth: number): { wrap: (inner: Notifier) => Notifier; struck: () => boolean } {
  let seen = 0;
  const wrap = (inner: Notifier): Notifier => ({
    signal: () => {
      if (seen++ !== nth) inner.signal();
    },
    take: () => inner.take(),
    attach: (waiter) => inner.attach(waiter),
    detach: () => inner.detach(),
  });
  return { wrap, struck: () => seen > nth };
}

/** How a pass with the `nth` notification of one kind lost ends. */
function without(kind: "kick" | "relay call" | "device call", nth: number, change: Partial<MachineConfig>) {
  const { wrap, struck } = losing(nth);
  const outside: Record<typeof kind, TestOutside> = {
    kick: { driver: { wrapKick: wrap } },
    "relay call": { relay: { wrapCall: wrap } },
    "device call": { device: { wrapCall: wrap } },
  };
  const machine = testMachine({ batch: 1, depth: 1, queueSize: 4, ...change }, { inputBytes: 3000, ...outside[kind] });
  try {
    const { lost, duplicated } = machine.pass();
    return struck() ? { lost, duplicated, end: "done" } : undefined;
  } catch (error) {
    if (!(error instanceof AllAsleep)) throw error;
    const { lost, duplicated } = machine.driver.end();
    return { lost, duplicated, end: "asleep" };
  }
}

describe("a lost notification", () => {
  for (const eventIdx of [true, false]) {
    for (const [kind, path] of [
      ["kick", "svq"],
      ["kick", "passthrough"],
      ["relay call", "svq"],
      ["relay call", "used-only"],
      ["device call", "passthrough"],
    ] as const) {
      test(`${kind} on ${path}, ${eventIdx ? "event index" : "flags"}: not needed, or all sleep`, () => {
        const iovaPolicy = path === "used-only" ? "fixed" : "gpa";
        let asleep = 0;
        for (let nth = 0; ; nth++) {
          const result = without(kind, nth, { path, eventIdx, iovaPolicy });
          if (result === undefined) break;
          expect(result.duplicated).toBe(0);
          expect(result.lost > 0).toBe(result.end === "asleep");
          if (result.end === "asleep") asleep += 1;
        }
        expect(asleep).toBeGreaterThan(0);
      });
    }
  }

  test("is never needed when none is lost", () => {
    expect(without("kick", 1_000_000, {})).toBeUndefined();
  });
});

test("a byte that the device spoils does not come back as it was sent", () => {
  for (const at of [0, 5, 17]) {
    const machine = testMachine({}, { inputBytes: 12_000, device: { witness: flipByte(at) } });
    machine.pass();
    expect(Buffer.compare(machine.received(), machine.sent)).not.toBe(0);
  }
});

test("a used entry that comes twice is counted", () => {
  for (const at of [0, 3, 10]) {
    const { used, avail } = guestLayout(SMALL)[0]!;
    const wrapGuest = (memory: SharedMemory, region: number) =>
      region === 0 ? new DoubledUsed(memory, used, avail, SMALL.queueSize, at) : memory;
    const machine = testMachine({ deviceBatch: 1, delaySteps: 2, eventIdx: false }, { relay: { wrapGuest } });
    try {
      machine.pass();
    } catch (error) {
      // What follows the doubled entry is late by one for ever.
      expect(error).toBeInstanceOf(AllAsleep);
    }
    expect(machine.driver.end().duplicated).toBeGreaterThan(0);
  }
});

describe("a mark that is dropped", () => {
  class Dropping extends ForwardingMemory {
    #left: number;

    constructor(inner: SharedMemory, left: number) {
      super(inner);
      this.#left = left;
    }

    override setBits32(offset: number, bits: number): void {
      if (this.#left-- !== 0) super.setBits32(offset, bits);
    }
  }

  test("is found, whichever of a run's it is, unless a later one covers the page", () => {
    let found = 0;
    for (let nth = 0; nth < 60; nth++) {
      const change = { batch: 1, depth: 8, queueSize: 16 };
      const outside = { relay: { wrapLog: (log: SharedMemory) => new Dropping(log, nth) } };
      const machine = testMachine(change, { inputBytes: 5000, judged: true, ...outside });
      machine.pass(0, undefined, undefined, () => machine.oracle?.sync());
      machine.settle();
      machine.oracle?.sync();
      if (machine.oracle!.missing().length + machine.bookProblems().length > 0) found += 1;
    }
    expect(found).toBeGreaterThan(10);
  });

  test("is found when it is the last that a page gets", () => {
    let count = 0;
    const counting = (log: SharedMemory) => {
      const memory = new (class extends ForwardingMemory {
        override setBits32(offset: number, bits: number): void {
          count += 1;
          super.setBits32(offset, bits);
        }
      })(log);
      return memory;
    };
    testMachine({ batch: 8 }, { inputBytes: 660, relay: { wrapLog: counting } }).pass();
    // The very last cover pages that have a mark already: which of those before is the last of its page is looked up.
    const missing = Array.from({ length: 16 }, (_, back) => {
      const wrapLog = (log: SharedMemory) => new Dropping(log, count - 1 - back);
      const machine = testMachine({ batch: 8 }, { inputBytes: 660, judged: true, relay: { wrapLog } });
      machine.pass();
      machine.settle();
      machine.oracle?.sync();
      return machine.oracle!.missing().length + machine.bookProblems().length;
    });
    expect(Math.max(...missing)).toBeGreaterThan(0);
  });
});

describe("a slot that is not masked", () => {
  /** A used ring whose entries go on behind its end instead of from its beginning again. */
  class Unmasked extends ForwardingMemory {
    readonly #ring: number;
    readonly #bytes: number;
    #words = 0;

    constructor(inner: SharedMemory, used: number, num: number) {
      super(inner);
      this.#ring = used + VRING_USED.offsets.ring;
      this.#bytes = num * VRING_USED_ELEM.size;
    }

    override write32(offset: number, value: number): void {
      const inside = offset >= this.#ring && offset < this.#ring + this.#bytes;
      // Twice round without a mask, then as it should be.
      const astray = inside && this.#words++ >= this.#bytes / 4 && this.#words <= this.#bytes / 2;
      super.write32(astray ? offset + this.#bytes : offset, value);
    }
  }

  test("is found by the canaries behind the ring, in the guest's ring and in the shadow ring", () => {
    const { used } = guestLayout(SMALL)[0]!;
    const num = SMALL.queueSize;
    for (const side of ["guest", "shadow"] as const) {
      const outside: TestOutside =
        side === "guest"
          ? { relay: { wrapGuest: (memory, i) => (i === 0 ? new Unmasked(memory, used, num) : memory) } }
          : { device: { wrapUsed: (memory, at) => new Unmasked(memory, at, num) } };
      const machine = testMachine({ batch: 1, depth: 1 }, { judged: true, inputBytes: 12_000, ...outside });
      try {
        machine.pass(0, 0, 20);
      } catch (error) {
        expect(error).toBeInstanceOf(AllAsleep);
      }
      expect(machine.oracle!.strays()).not.toEqual([]);
      expect(usedRingBytes(num)).toBeGreaterThan(num * 8);
    }
  });
});
