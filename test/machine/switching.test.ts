import { describe, expect, test } from "vitest";
import { type Arena, COUNTER_BLOCKS } from "../../src/machine/arena.js";
import { guestLayout } from "../../src/machine/assemble.js";
import type { MachineConfig } from "../../src/machine/config.js";
import type { DataPathName } from "../../src/relay/data-path.js";
import { COUNTERS, type CounterName, counterBlock } from "../../src/telemetry/counters.js";
import { shadowAccounts } from "../helpers/accounting.js";
import { type TestMachine, testMachine } from "../helpers/inline-machine.js";

const PATHS: readonly DataPathName[] = ["svq", "passthrough", "notify"];

function relayCounter({ arena }: { arena: Arena }, name: CounterName): number {
  return counterBlock(arena.counters, COUNTER_BLOCKS.relay)[COUNTERS[name]]!;
}

/** A source of choices, the same for the same seed. */
function choices(seed: number): (limit: number) => number {
  let state = Math.imul(seed, 0x9e37_79b1) | 1;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 8) % limit;
  };
}

/** Runs two passes while the path changes every `gap` turns or so; says how often it did. */
function underLoad(machine: TestMachine, seed: number, gap: number): number {
  const choose = choices(seed);
  const before = relayCounter(machine, "switches");
  let left = gap;
  for (let pass = 0; pass < 2; pass++) {
    const result = machine.pass(pass, undefined, undefined, () => {
      if (machine.relay.switching || left-- > 0) return;
      left = choose(gap);
      const others = PATHS.filter((path) => path !== machine.relay.path);
      machine.relay.requestPath(others[choose(others.length)]!);
      // A change of path is a command, and commands wake their thread.
      machine.inline.wake();
      expect(machine.bookProblems()).toEqual([]);
    });
    expect(result, `seed ${seed}`).toMatchObject({ lost: 0, duplicated: 0, refused: 0, fault: undefined });
    if (machine.config.device === "net")
      expect(Buffer.compare(machine.received(), machine.sent), `seed ${seed}`).toBe(0);
  }
  machine.settle();
  expect(machine.bookProblems(), `seed ${seed}`).toEqual([]);
  expect(machine.relay.faults).toEqual([]);
  expect(machine.oracle?.strays() ?? [], `seed ${seed}`).toEqual([]);
  return relayCounter(machine, "switches") - before;
}

describe("a change of path under load", () => {
  test("loses nothing, doubles nothing, leaves nobody asleep: 120 seeds, thousands of changes", () => {
    let switches = 0;
    for (let seed = 1; seed <= 120; seed++) {
      const choose = choices(seed + 1000);
      const queueSize = [2, 4, 8, 16, 64][choose(5)]!;
      const change: Partial<MachineConfig> = {
        seed,
        queueSize,
        path: PATHS[choose(3)]!,
        iovaPolicy: "gpa",
        depth: Math.min(queueSize, 8),
        batch: 1 + choose(Math.min(queueSize, 8)),
        queues: [1, 1, 2, 4][choose(4)]!,
        eventIdx: choose(2) === 0,
        indirect: choose(2) === 0,
        segments: queueSize > 8 ? 1 + choose(3) : 1,
        order: choose(2) === 0 ? "in-order" : "out-of-order",
        delaySteps: [0, 1, 7, 30][choose(4)]!,
        deviceBatch: 1 + choose(9),
        shadowQueueSize: [0, 0, queueSize > 8 ? 16 : 4, 32][choose(4)]!,
        mappings: [1, 7][choose(2)]!,
      };
      switches += underLoad(
        testMachine(change, { inputBytes: 60_000, judged: seed % 4 === 0 ? "strays" : false }),
        seed,
        1 + choose(40),
      );
    }
    expect(switches).toBeGreaterThan(1500);
  });

  test("hundreds of times in one machine, beyond the wrap of every index", () => {
    for (const eventIdx of [true, false]) {
      const machine = testMachine({
        device: "null",
        nullRequests: 40_000,
        requestBytes: 64,
        queueSize: 64,
        depth: 32,
        batch: 5,
        eventIdx,
        order: "out-of-order",
        seed: 3,
      });
      expect(underLoad(machine, 3, 40)).toBeGreaterThan(300);
    }
  });

  test("carries the guest's indices over: they go on where they were, on every path", () => {
    const machine = testMachine({ queueSize: 16, batch: 8, iovaPolicy: "gpa" });
    const { avail, used } = guestLayout(machine.config)[0]!;
    const ram = new Uint16Array(machine.arena.regions[0]!.buffer);
    let total = 0;
    for (const path of [
      "passthrough",
      "svq",
      "notify",
      "svq",
      "passthrough",
      "notify",
      "passthrough",
      "svq",
    ] as const) {
      machine.relay.requestPath(path);
      machine.settle();
      expect(machine.relay.path).toBe(path);
      total += machine.pass().requests;
      machine.settle();
      expect([ram[(avail + 2) / 2], ram[(used + 2) / 2]]).toEqual([total & 0xffff, total & 0xffff]);
      const account = shadowAccounts(machine.relay.parts());
      expect(account.map(({ free, problems }) => [free, problems])).toEqual(path === "svq" ? [[16, []]] : []);
    }
  });

  test("comes back to the same state: the same books, the same mappings, the same memory of the device's", () => {
    const machine = testMachine({ seed: 1, batch: 8 });
    machine.pass();
    machine.settle();
    const state = () => {
      machine.settle();
      machine.pass();
      machine.settle();
      const { free, chains, num } = shadowAccounts(machine.relay.parts())[0]!;
      const entries = new Set(new Float64Array(machine.arena.iotlb.slice(2 * 2176, 2 * 2176 + 64)));
      return { free, chains, num, entries, parties: machine.relay.parts().length + machine.device.parts().length };
    };
    const first = state();
    for (let round = 0; round < 50; round++) {
      machine.relay.requestPath("passthrough");
      machine.settle();
      machine.relay.requestPath("svq");
      machine.settle();
      if (round % 10 === 9) expect(state()).toEqual(first);
    }
    expect(relayCounter(machine, "switches")).toBe(100);
  });

  test("asked for in the midst of another change is carried out after it", () => {
    const machine = testMachine({ delaySteps: 20, order: "out-of-order" });
    machine.pass(0, undefined, undefined, () => {
      machine.relay.requestPath(machine.inline.ticks % 3 === 0 ? "notify" : "passthrough");
      if (machine.inline.ticks % 50 === 0) machine.inline.wake();
    });
    machine.settle();
    expect(machine.relay.switching).toBe(false);
    expect(machine.bookProblems()).toEqual([]);
  });

  test("is finished with nobody using the queue at all", () => {
    const machine = testMachine({});
    machine.relay.requestPath("passthrough");
    machine.settle();
    expect([machine.relay.path, machine.relay.switching]).toEqual(["passthrough", false]);
  });
});

describe("a broken queue", () => {
  test("stays broken when the path changes: nothing it offered before is forwarded again", () => {
    const machine = testMachine({ queues: 2, queueSize: 16, batch: 2, depth: 4 });
    machine.pass(0, 0, 12);
    machine.settle();
    const { avail } = guestLayout(machine.config)[1]!;
    const ram = new Uint16Array(machine.arena.regions[0]!.buffer);
    ram[(avail + 2) / 2]! += 1000;
    machine.relay.step();
    expect(machine.relay.faults.map(({ reason }) => reason)).toEqual(["avail-idx-overrun"]);
    ram[(avail + 2) / 2]! -= 1000;
    const before = machine.usedRing(1);
    for (const path of ["passthrough", "svq", "notify"] as const) {
      machine.relay.requestPath(path);
      for (let i = 0; i < 200; i++) [machine.relay, machine.device].forEach((role) => void role.step());
      expect(machine.relay.path).toBe(path);
      expect(machine.usedRing(1)).toEqual(before);
    }
    expect(machine.relay.faults.length).toBe(1);
  });
});
