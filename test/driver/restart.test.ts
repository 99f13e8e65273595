import { describe, expect, test } from "vitest";
import type { Driver } from "../../src/driver/driver.js";
import { NetWorkload } from "../../src/driver/net-workload.js";
import { bellNumbers } from "../../src/machine/arena.js";
import { guestLayout, makeDriver } from "../../src/machine/assemble.js";
import type { MachineConfig } from "../../src/machine/config.js";
import { InlineMachine } from "../../src/machine/inline.js";
import { doorbells, driverShare, driverViews } from "../../src/machine/views.js";
import { shadowAccounts } from "../helpers/accounting.js";
import { type TestMachine, testMachine } from "../helpers/inline-machine.js";

/** A guest that boots anew on a machine that runs: a driver that knows nothing of the one before. */
function reboot(machine: TestMachine): { driver: Driver; run(): Uint8Array } {
  const { config, arena, sent, relay, device } = machine;
  let workload!: NetWorkload;
  const driver = makeDriver(config, driverViews(driverShare(arena)), {
    workload: (layouts, guest) => {
      const slots = layouts.flatMap((layout) => layout.slots);
      workload = new NetWorkload({
        guest,
        slots,
        requestBytes: config.requestBytes,
        segments: config.segments,
        input: sent,
      });
      return workload;
    },
    now: () => 0,
    recordLatency: () => {},
  });
  const bells = doorbells(arena.bells);
  const numbers = bellNumbers(config.placement);
  const party = (role: Driver | typeof relay | typeof device, number: number) => ({
    role,
    rung: () => bells[number]!.observe(),
  });
  const inline = new InlineMachine(
    [party(driver, numbers.driver), party(relay, numbers.relay), party(device, numbers.device)],
    config.seed,
  );
  return {
    driver,
    run() {
      driver.begin({ pass: 0, first: 0, count: workload.requestCount });
      inline.run(() => driver.done || driver.failed, 200_000);
      expect(driver.end()).toMatchObject({ lost: 0, duplicated: 0, fault: undefined });
      return workload.received;
    },
  };
}

/** Stops a pass after `turns` turns, with requests out. */
function interrupted(machine: TestMachine, turns: number): void {
  class Enough extends Error {}
  let left = turns;
  try {
    machine.pass(0, undefined, undefined, () => {
      if (left-- === 0) throw new Enough();
    });
  } catch (error) {
    if (!(error instanceof Enough)) throw error;
  }
}

describe("a guest that boots anew", () => {
  for (const path of ["svq", "passthrough", "notify", "used-only"] as const) {
    test(`finds a clean device whatever was in flight, on ${path} (RESET-02)`, () => {
      for (let turns = 0; turns < 120; turns += 3) {
        const iovaPolicy = path === "used-only" ? "fixed" : "gpa";
        const change: Partial<MachineConfig> = {
          path,
          iovaPolicy,
          seed: turns + 1,
          delaySteps: 4,
          order: "out-of-order",
        };
        const machine = testMachine(change, { inputBytes: 6000 });
        interrupted(machine, turns);
        for (let boot = 0; boot < 2; boot++) {
          expect(Buffer.compare(reboot(machine).run(), machine.sent), `${turns} turns`).toBe(0);
        }
        expect(shadowAccounts(machine.relay.parts()).flatMap(({ problems }) => problems)).toEqual([]);
      }
    });
  }

  test("in the midst of a change of path finds the other path in the end", () => {
    for (let turns = 1; turns < 40; turns++) {
      const machine = testMachine({ path: "svq", iovaPolicy: "gpa", seed: 7, delaySteps: 4 }, { inputBytes: 6000 });
      interrupted(machine, 80);
      machine.relay.requestPath("passthrough");
      for (let i = 0; i < turns; i++) [machine.relay, machine.device, machine.driver][i % 3]!.step();
      expect(Buffer.compare(reboot(machine).run(), machine.sent), `${turns} turns`).toBe(0);
      machine.relay.step();
      for (let i = 0; i < 100; i++) for (const role of [machine.relay, machine.device]) role.step();
      expect([machine.relay.path, machine.relay.switching], `${turns} turns`).toEqual(["passthrough", false]);
      expect(Buffer.compare(reboot(machine).run(), machine.sent), `${turns} turns`).toBe(0);
    }
  });

  test("after having broken its queue finds it whole", () => {
    const machine = testMachine({ batch: 2, depth: 4 });
    interrupted(machine, 100);
    const { avail } = guestLayout(machine.config)[0]!;
    new Uint16Array(machine.arena.regions[0]!.buffer)[(avail + 2) / 2]! += 1000;
    machine.relay.step();
    expect(machine.relay.faults.length).toBe(1);
    expect(Buffer.compare(reboot(machine).run(), machine.sent)).toBe(0);
    expect(machine.relay.faults.length).toBe(1);
  });
});
