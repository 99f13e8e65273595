import { describe, expect, test } from "vitest";
import { COUNTER_BLOCKS } from "../../src/machine/arena.js";
import type { DeviceName, MachineConfig } from "../../src/machine/config.js";
import type { IovaPolicy } from "../../src/relay/address-plan.js";
import type { DataPathName } from "../../src/relay/data-path.js";
import { COUNTERS, counterBlock } from "../../src/telemetry/counters.js";
import { isLogged, type TestMachine, type TestOutside, testMachine } from "../helpers/inline-machine.js";

const SIZES = [1, 2, 4, 16, 256, 1024, 32_768];
const PATHS: readonly { path: DataPathName; iovaPolicy: IovaPolicy }[] = [
  { path: "passthrough", iovaPolicy: "gpa" },
  { path: "notify", iovaPolicy: "gpa" },
  { path: "svq", iovaPolicy: "tree" },
  { path: "svq", iovaPolicy: "gpa" },
  { path: "svq", iovaPolicy: "fixed" },
  { path: "svq", iovaPolicy: "identity-all" },
  { path: "used-only", iovaPolicy: "fixed" },
];

/** Runs passes to their end and expects everything that must hold of every machine. */
function runs(change: Partial<MachineConfig>, outside: TestOutside = {}, passes = 2): TestMachine {
  const machine = testMachine(change, { inputBytes: 12_000, judged: true, ...outside });
  const { config, oracle } = machine;
  const what = JSON.stringify({ ...change, seed: config.seed });
  let turns = 0;
  for (let pass = 0; pass < passes; pass++) {
    const result = machine.pass(pass, undefined, undefined, () => {
      if (++turns % 97 !== 0) return;
      expect(machine.bookProblems(), what).toEqual([]);
      if (isLogged(config) && turns % (97 * 5) === 0) oracle?.sync();
    });
    expect(result, what).toMatchObject({ lost: 0, duplicated: 0, refused: 0, fault: undefined });
    if (config.device !== "null") expect(Buffer.compare(machine.received(), machine.sent), what).toBe(0);
  }
  machine.settle();
  expect(machine.bookProblems(), what).toEqual([]);
  expect(machine.relay.faults, what).toEqual([]);
  if (oracle === undefined) return machine;
  oracle.sync();
  if (isLogged(config)) expect([oracle.missing(), oracle.needless()], what).toEqual([[], []]);
  else expect(oracle.marked.size, what).toBe(0);
  expect(oracle.strays(), what).toEqual([]);
  return machine;
}

/** A config for one size of queue: chains as long as the queue allows for null, of two or more segments for net. */
function shape(queueSize: number, device: DeviceName, seed: number): Partial<MachineConfig> {
  const longest = Math.min(queueSize, 1024);
  const segments = device === "null" ? longest : Math.max(1, Math.min(longest / 2, 1 + (seed % 7)));
  const depth = Math.min(queueSize, 8);
  return {
    queueSize,
    device,
    segments,
    seed,
    depth,
    batch: 1 + (seed % depth),
    requestBytes: Math.max(600, segments),
    nullRequests: 40,
    ramBytes: queueSize > 1024 ? 2 ** 22 : 2 ** 20,
  };
}

describe("every byte comes back once, every change is marked, nothing else is touched, the books add up", () => {
  for (const queueSize of SIZES) {
    for (const device of ["net", "null"] as const) {
      // One packet has a readable and a writable descriptor at least.
      if (device === "net" && queueSize === 1) continue;
      test(`queues of ${queueSize}, ${device}: all paths, modes and orders`, () => {
        let seed = queueSize + 1;
        for (const { path, iovaPolicy } of PATHS) {
          for (const indirect of [false, true]) {
            for (const eventIdx of [false, true]) {
              for (const order of ["in-order", "out-of-order"] as const) {
                seed += 1;
                const disturbed = { order, delaySteps: seed % 3 === 0 ? seed % 11 : 0, deviceBatch: 1 + (seed % 5) };
                runs({ ...shape(queueSize, device, seed), path, iovaPolicy, indirect, eventIdx, ...disturbed }, {}, 1);
              }
            }
          }
        }
      });
    }
  }
});

describe("more of the same, larger in one direction", () => {
  test("hundreds of seeds on small queues with everything at random", () => {
    for (let seed = 1; seed <= 120; seed++) {
      const pick = <T>(salt: number, of: readonly T[]) =>
        of[((Math.imul(seed, 2_654_435_761) >>> 0) >>> salt) % of.length]!;
      const queueSize = pick(3, [2, 4, 8, 16]);
      runs({
        ...shape(queueSize, "net", seed),
        ...pick(5, PATHS),
        queues: pick(7, [1, 2, 4]),
        eventIdx: pick(9, [true, false]),
        indirect: pick(10, [true, false]),
        order: pick(11, ["in-order", "out-of-order"]),
        delaySteps: pick(12, [0, 0, 1, 5, 40]),
        deviceBatch: pick(15, [1, 2, 7, 100]),
        hole: pick(17, [true, false]),
        markPolicy: pick(19, ["all-writable", "used-len"]),
        mappings: pick(21, [1, 3, 50]),
      });
    }
  });

  test("4 and 8 queues over one relay, on every path", () => {
    for (const { path, iovaPolicy } of PATHS) {
      for (const queues of [4, 8])
        runs({ ...shape(16, "net", queues), path, iovaPolicy, queues, order: "out-of-order" });
    }
  });

  test("a shadow ring smaller or larger than the guest's", () => {
    for (const shadowQueueSize of [2, 4, 8, 16, 64, 256]) {
      for (const eventIdx of [true, false]) {
        for (const seed of [1, 2, 3]) {
          const change = { ...shape(32, "net", seed), segments: 1, shadowQueueSize, eventIdx, delaySteps: seed };
          const machine = runs({ ...change, depth: 16, batch: seed });
          const relay = counterBlock(machine.arena.counters, COUNTER_BLOCKS.relay);
          if (shadowQueueSize < 16) expect(relay[COUNTERS.held]).toBeGreaterThan(0);
          else if (shadowQueueSize >= 32) expect(relay[COUNTERS.held]).toBe(0);
        }
      }
    }
  });

  test("buffers over the borders of many mappings, on both sides of a hole", () => {
    for (const mappings of [2, 16, 64, 192]) {
      for (const seed of [1, 2]) {
        // Packets of 10,000 bytes fall into four pieces of a page each way: eight of sixteen descriptors.
        runs(
          { ...shape(16, "net", seed), segments: 1, mappings, requestBytes: 10_000, depth: 4, batch: 1 },
          { inputBytes: 60_000 },
        );
      }
    }
  });

  test("more mappings than the device remembers", () => {
    const many = { queueSize: 2048, depth: 700, batch: 9, requestBytes: 4000, segments: 1, ramBytes: 2 ** 24 };
    runs({ ...many, mappings: 4096, seed: 5 }, { inputBytes: 3_000_000 }, 1);
  });

  test("a chain of 32,768 descriptors, direct and indirect", () => {
    for (const indirect of [false, true]) {
      for (const path of ["passthrough", "svq"] as const) {
        const long = { segments: 32_768, requestBytes: 32_768, depth: 1, batch: 1, nullRequests: 3, ramBytes: 2 ** 22 };
        runs({ queueSize: 32_768, device: "null", path, iovaPolicy: "gpa", indirect, ...long });
      }
    }
  });

  test("beyond 65,536 requests, where every index wraps", () => {
    const many = {
      device: "null",
      nullRequests: 70_000,
      segments: 1,
      depth: 64,
      requestBytes: 64,
      queueSize: 64,
    } as const;
    for (const { path, iovaPolicy } of PATHS.filter(({ iovaPolicy }) => iovaPolicy !== "identity-all")) {
      for (const eventIdx of [true, false]) {
        runs({ ...many, path, iovaPolicy, eventIdx, batch: 7, order: "out-of-order", deviceBatch: 3 }, {}, 1);
      }
    }
  });
});

describe("the guest's used ring", () => {
  test("ends up the same on every path where the order is the same", () => {
    for (const eventIdx of [true, false]) {
      for (const segments of [1, 3]) {
        for (const seed of [0, 1, 2, 3]) {
          // All slots at once: which heads come next then depends on nobody's turn.
          const change = { queueSize: 64, eventIdx, segments, seed, depth: 8, batch: 8 };
          const rings = PATHS.map((path) => runs({ ...change, ...path }).usedRing());
          for (const ring of rings) expect(ring).toEqual(rings[0]);
        }
      }
    }
  });

  test("differs when the order does (twin)", () => {
    const ring = (order: "in-order" | "out-of-order") =>
      runs({ queueSize: 64, depth: 8, batch: 8, order, deviceBatch: 8 }).usedRing();
    expect(ring("out-of-order")).not.toEqual(ring("in-order"));
  });
});
