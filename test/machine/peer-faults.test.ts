import { describe, expect, test } from "vitest";
import { COUNTER_BLOCKS } from "../../src/machine/arena.js";
import { guestLayout } from "../../src/machine/assemble.js";
import { COUNTERS, counterBlock } from "../../src/telemetry/counters.js";
import { type TestMachine, testMachine } from "../helpers/inline-machine.js";

/** Moves the available index of queue `queue` far ahead, as a guest may that has lost its mind. */
function spoil({ arena, config }: TestMachine, queue: number): void {
  const ram = new Uint16Array(arena.regions[0]!.buffer);
  ram[(guestLayout(config)[queue]!.avail + 2) / 2]! += 1000;
}

describe("a queue that its guest breaks", () => {
  for (const path of ["svq", "passthrough", "notify", "used-only"] as const) {
    const change = { path, iovaPolicy: path === "used-only" ? "fixed" : "gpa", batch: 2, depth: 4 } as const;

    test(`is reported to the driver, by name and once, on ${path}`, () => {
      const machine = testMachine(change);
      machine.pass(0, 0, 12);
      machine.settle();
      spoil(machine, 0);
      for (const role of [machine.relay, machine.device]) role.step();
      const result = machine.pass(0, 12, 20);
      expect(result.fault).toMatch(/queue 0 needs a reset: avail-idx-overrun/);
      machine.settle();
      expect(machine.relay.faults.length).toBe(1);
    });

    test(`is noticed by threads that poll and never arm, on ${path}`, () => {
      const machine = testMachine(change);
      machine.pass(0, 0, 12);
      machine.driver.begin({ pass: 0, first: 12, count: 20 });
      spoil(machine, 0);
      for (let i = 0; i < 100; i++) for (const role of [machine.relay, machine.device, machine.driver]) role.step();
      expect(machine.driver.fault).toMatch(/avail-idx-overrun/);
    });

    test(`leaves the other queues alone, on ${path}`, () => {
      const machine = testMachine({ ...change, queues: 3 });
      machine.pass(0, 0, 12);
      machine.settle();
      spoil(machine, 1);
      for (let i = 0; i < 50; i++) for (const role of [machine.relay, machine.device]) role.step();
      const before = [0, 1, 2].map((queue) => machine.usedRing(queue));
      machine.driver.begin({ pass: 0, first: 12, count: 30 });
      // The driver is about to give up: it submits first, and what it submitted to whole queues is served.
      machine.driver.step();
      for (let i = 0; i < 50; i++) for (const role of [machine.relay, machine.device]) role.step();
      expect([0, 1, 2].map((queue) => Buffer.compare(machine.usedRing(queue), before[queue]!) !== 0)).toEqual([
        true,
        false,
        true,
      ]);
      expect(machine.relay.faults.length).toBe(1);
    });
  }

  test("rings its err bell and shows in the counters", () => {
    const machine = testMachine({ batch: 2, depth: 4 });
    machine.pass(0, 0, 12);
    machine.settle();
    const counters = counterBlock(machine.arena.counters, COUNTER_BLOCKS.relay);
    const words = new Int32Array(machine.arena.notifiers);
    const err = (4 * 64) / 4;
    words[err] = 0;
    spoil(machine, 0);
    machine.relay.step();
    expect([words[err], counters[COUNTERS.faults]]).toEqual([1, 1]);
    machine.settle();
    expect(counters[COUNTERS.faults]).toBe(1);
  });
});
