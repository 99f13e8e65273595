/** What the first proposal of shadow virtqueues claims, on whole machines. */
import { describe, expect, test } from "vitest";
import { VHOST_F_LOG_ALL } from "../../src/layout/vhost.js";
import { VIRTIO_F_VERSION_1 } from "../../src/layout/virtio-config.js";
import { COUNTER_BLOCKS } from "../../src/machine/arena.js";
import { RealMemory } from "../../src/memory/real-memory.js";
import { COUNTERS, type CounterName, counterBlock } from "../../src/telemetry/counters.js";
import { DriverTransport } from "../../src/transport/driver-transport.js";
import { hasFeature } from "../../src/transport/features.js";
import { type TestMachine, testMachine } from "../helpers/inline-machine.js";
import { importsOf, read } from "../house/sources.js";

function relayCounts(machine: TestMachine, ...names: CounterName[]): number[] {
  const block = counterBlock(machine.arena.counters, COUNTER_BLOCKS.relay);
  return names.map((name) => block[COUNTERS[name]]!);
}

function ran(change: Parameters<typeof testMachine>[0]): TestMachine {
  const machine = testMachine({ dirtyLog: true, eventIdx: false, ...change }, { inputBytes: 12_000 });
  expect(machine.pass()).toMatchObject({ lost: 0, duplicated: 0, refused: 0 });
  return machine;
}

describe("on the notify path (D06)", () => {
  test("kicks and calls pass through the relay, no descriptor does, and nothing is known of what was written", () => {
    const [kicks, calls, descriptors, marks] = relayCounts(
      ran({ path: "notify" }),
      "relayKicks",
      "relayCalls",
      "descriptors",
      "dirtyMarks",
    );
    expect(kicks).toBeGreaterThan(0);
    expect(calls).toBeGreaterThan(0);
    expect([descriptors, marks]).toEqual([0, 0]);
  });

  test("the same requests on a shadow virtqueue are descriptors and marks (twin)", () => {
    const [descriptors, marks] = relayCounts(ran({ path: "svq" }), "descriptors", "dirtyMarks");
    expect(descriptors).toBeGreaterThan(0);
    expect(marks).toBeGreaterThan(0);
  });
});

test("a device behind a shadow virtqueue is never asked to log, while all it writes is marked (D26)", () => {
  const machine = ran({ path: "svq" });
  const device = new DriverTransport(new RealMemory(machine.arena.deviceRegisters), 0, { ring() {} });
  expect(hasFeature(device.offered(), VIRTIO_F_VERSION_1), "what the device offers is read").toBe(true);
  expect(hasFeature(device.offered(), VHOST_F_LOG_ALL)).toBe(false);
  expect(relayCounts(machine, "dirtyMarks")[0]).toBeGreaterThan(0);
});

describe("the relay", () => {
  const importers = (folder: string, of: RegExp) =>
    read(new RegExp(`^src/${folder}/.*\\.ts$`)).filter((source) =>
      importsOf(source).some(({ specifier }) => specifier !== undefined && of.test(specifier)),
    );

  test("runs without a line of migration: neither it nor driver and device know of any (D22)", () => {
    for (const folder of ["relay", "driver", "device", "ring", "iova"]) {
      expect(importers(folder, /\/migration\//).map(({ path }) => path)).toEqual([]);
    }
    expect(importers("relay", /\/ring\//).length, "the same look finds imports that are there").toBeGreaterThan(3);
  });

  test("shares the rules of a ring with the guest's driver and the device: notification, areas, faults (D23)", () => {
    const rules = /\/ring\/(notification|vring-areas|peer-fault|chain-rules|driver-ring)\.js$/;
    for (const folder of ["relay", "driver", "device"])
      expect(importers(folder, rules).length, folder).toBeGreaterThan(0);
  });

  test("says why at every fence of a ring or of the relay (D15)", () => {
    expect(silentFences(read(/^src\/(relay|ring)\/.*\.ts$/))).toEqual([]);
  });

  test("a fence without a reason is found (D15, twin)", () => {
    const text = `${"\n".repeat(40)}function f() {\n  memory.fence();\n}\n`;
    expect(silentFences([{ path: "src/relay/a.ts", text }])).toEqual(["src/relay/a.ts:42"]);
  });
});

/** Fences without a comment about order in the 40 lines before them. */
function silentFences(sources: readonly { readonly path: string; readonly text: string }[]): string[] {
  return sources.flatMap(({ path, text }) => {
    const lines = text.split("\n");
    return lines.flatMap((line, i) => {
      if (!/\.fence\(\);/.test(line)) return [];
      const comments = lines.slice(Math.max(0, i - 40), i).filter((before) => /^\s*(\/\/|\*|\/\*\*)/.test(before));
      return comments.some((said) => /\b(before|after|then|again|order|visible|fence)\b/i.test(said))
        ? []
        : [`${path}:${i + 1}`];
    });
  });
}
