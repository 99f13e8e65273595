import { describe, expect, test } from "vitest";
import * as assemble from "../../src/machine/assemble.js";
import { ForwardingMemory } from "../../src/memory/forwarding-memory.js";
import type { SharedMemory } from "../../src/memory/shared-memory.js";
import type * as relay from "../../src/relay/shadow-virtqueue.js";
import type * as usedOnly from "../../src/relay/used-relay.js";
import type * as ring from "../../src/ring/device-ring.js";
import {
  type DifferentialName,
  type DifferentialOptions,
  type DifferentialReport,
  runDifferential,
} from "../../src/validate/differential/run-differential.js";
import { type Patch, patchedCopy } from "../helpers/patched-copy.js";

const SVQ = "relay/shadow-virtqueue.ts";
const USED = "relay/used-relay.ts";
const CHAIN = "ring/chain.ts";

function differences(only: readonly DifferentialName[], make: DifferentialOptions["make"]): DifferentialReport {
  return runDifferential({ seed: 5, programs: 600, machines: 12, only, make: make! });
}

/** Expects each of the differentials to find the fault, and to name the program that shows it. */
function expectFound(report: DifferentialReport, names: readonly DifferentialName[]): void {
  for (const name of names) {
    const found = report.wirings.find((wiring) => wiring.name === name);
    expect(found?.differences, name).toBeGreaterThan(0);
    const example = report.examples.find(({ what }) => what.startsWith(`${name}: `));
    expect(example, name).toMatchObject({ seed: 5, index: expect.any(Number), program: expect.anything() });
  }
}

const FAULTY_RELAYS: readonly { fault: string; patch: Patch; by: readonly DifferentialName[] }[] = [
  {
    fault: "drops the last byte of a length",
    patch: [SVQ, "shadowDesc.write32(to + 8, length);", "shadowDesc.write32(to + 8, length - 1);"],
    by: ["svq", "walkers"],
  },
  {
    fault: "swaps the lengths of two chains",
    patch: [
      SVQ,
      "let length = shadowUsed.read32(from + 4);",
      "let length = shadowUsed.read32(shadowRing + (((lastUsedIdx ^ 1) & (num - 1)) << USED_ELEM_SHIFT) + 4);",
    ],
    by: ["svq"],
  },
  {
    fault: "returns the shadow head instead of the guest's",
    patch: [SVQ, "const head = rows[first + ROW_HEAD]!;", "const head = id;"],
    by: ["svq"],
  },
  {
    fault: "leaves the link to an empty last element",
    patch: [SVQ, "if (pieces === 0) pages = CHAIN_PAGES_EASY;", ""],
    by: ["svq", "walkers"],
  },
  {
    fault: "takes an empty element for the end of the chain",
    patch: [SVQ, "if ((word & NEXT) === 0) break;", "if ((word & NEXT) === 0 || length === 0) break;"],
    by: ["svq", "walkers"],
  },
  {
    fault: "follows next past the end of an indirect table",
    patch: [SVQ, "if (index >= limit) {", "if (index >= num) {"],
    by: ["walkers"],
  },
  {
    fault: "never calls",
    patch: [SVQ, "if (!callWanted(guest, eventIdx, guestUsedIdx, oldIdx)) return;", "if (oldIdx >= 0) return;"],
    by: ["svq"],
  },
  {
    fault: "lets a device write where it may only read",
    patch: [SVQ, "(writable ? DEVICE_WRITES : DEVICE_READS)", "DEVICE_READS"],
    by: ["svq", "walkers"],
  },
];

describe("a faulty relay is found, and the program that shows it named", () => {
  for (const { fault, patch, by } of FAULTY_RELAYS) {
    test(`svq that ${fault} (twin)`, async () => {
      const { ShadowVirtqueue } = await patchedCopy<typeof relay>(SVQ, patch);
      expectFound(differences(by, { svq: (parts) => new ShadowVirtqueue(parts) }), by);
    });
  }

  test.each<[string, string, string]>([
    ["returns another length", "offsets.len, length);", "offsets.len, length >>> 1);"],
    [
      "returns another head",
      "guest.usedMemory.write32(guest.used + entry, id);",
      "guest.usedMemory.write32(guest.used + entry, 0);",
    ],
    ["never calls", "if (callWanted(guest, false, state.usedIdx, oldIdx)) {", "if (oldIdx < 0) {"],
    ["breaks the queue over a table that nobody could reach", '"ok" : "miss"', '"ok" : "unmapped"'],
    ["skips the entry at the end of the ring", "state.usedIdx & (guest.num - 1)", "state.usedIdx % (guest.num + 1)"],
  ])("used-only that %s (twin)", async (_, passage, instead) => {
    const { UsedRelay } = await patchedCopy<typeof usedOnly>(USED, [USED, passage, instead]);
    expectFound(differences(["used-only"], { usedOnly: (parts) => new UsedRelay(parts) }), ["used-only"]);
  });
});

describe("a faulty device half is found", () => {
  test.each<[string, string, string, DifferentialName[]]>([
    ["follows next past the end of an indirect table", "if (index >= limit)", "if (index >= ring.num)", ["walkers"]],
    ["goes on with the ring's table inside an indirect one", "table = 0;", "table = 16;", ["walkers", "device-half"]],
    [
      "counts an empty element as readable",
      "if ((flags & WRITE) !== 0) {",
      "if (length > 0 && (flags & WRITE) !== 0) {",
      ["walkers"],
    ],
    ["allows one element too many", "if (this.count === ring.num)", "if (this.count === ring.num + 1)", ["walkers"]],
  ])("that %s (twin)", async (_, passage, instead, by) => {
    const { DeviceRing } = await patchedCopy<typeof ring>("ring/device-ring.ts", [CHAIN, passage, instead]);
    expectFound(differences(by, { deviceRing: (...parts) => new DeviceRing(...parts) }), by);
  });
});

/** Takes a byte off every eighth word that a relay writes into guest memory. */
class ShortWords extends ForwardingMemory {
  #words = 0;

  override write32(offset: number, value: number): void {
    super.write32(offset, ++this.#words % 8 === 0 ? value - 1 : value);
  }
}

test("a machine whose relay tells wrong lengths is told from one without a relay (twin)", () => {
  const wrapGuest = (memory: SharedMemory) => new ShortWords(memory);
  const report = differences(["paths"], {
    makeRelay: (config, views, outside) => assemble.makeRelay(config, views, { ...outside, wrapGuest }),
  });
  expectFound(report, ["paths"]);
});

test("the same seed gives the same report, another seed another (twin)", async () => {
  const { ShadowVirtqueue } = await patchedCopy<typeof relay>(SVQ, [
    SVQ,
    "const head = rows[first + ROW_HEAD]!;",
    "const head = id;",
  ]);
  const run = (seed: number) =>
    runDifferential({ seed, programs: 200, only: ["svq"], make: { svq: (parts) => new ShadowVirtqueue(parts) } });
  expect(run(1)).toEqual(run(1));
  expect(run(2)).not.toEqual(run(1));
});
