import { describe, expect, test } from "vitest";
import { addressPlan } from "../../src/machine/assemble.js";
import { ConfigError } from "../../src/memory/config-error.js";
import { FIXED_RING_WINDOW, planAddresses } from "../../src/relay/address-plan.js";
import { SMALL, testMachine } from "../helpers/inline-machine.js";

const GIB = 2 ** 30;

/** Runs a machine whose device addresses `base` up; its shadow rings with addresses from the first mapping on. */
function shadowRings(base: number): { words: Int32Array; first: number } {
  const aperture = { apertureFirst: base, apertureLast: base + GIB - 1 };
  const machine = testMachine({ queueSize: 64, mappings: 20, requestBytes: 5000, depth: 4, batch: 4, ...aperture });
  expect(machine.pass()).toMatchObject({ lost: 0, refused: 0, fault: undefined });
  expect(Buffer.compare(machine.received(), machine.sent)).toBe(0);
  const plan = addressPlan(machine.config, "svq");
  const first = [...plan.tree.entries()][0]!.iova;
  const words = new Int32Array(new Int32Array(machine.arena.shadowRings));
  for (let index = 0; index < 64; index++) {
    const address = (words[index * 4]! >>> 0) + (words[index * 4 + 1]! >>> 0) * 2 ** 32;
    if (address === 0) continue;
    expect(plan.tree.findByIova(address as never)).toBeDefined();
    const from = address - first;
    words[index * 4] = from | 0;
    words[index * 4 + 1] = Math.floor(from / 2 ** 32);
  }
  return { words, first };
}

describe("planAddresses()", () => {
  test("gives rings that are the same but for the base, from 0 up to the last address below 2^52", () => {
    const bases = [0, 4096, 2 ** 32 - 4096, 2 ** 45, 2 ** 47 - GIB, 2 ** 52 - GIB];
    const rings = bases.map(shadowRings);
    for (const [i, { words, first }] of rings.entries()) {
      expect(Buffer.compare(Buffer.from(words.buffer), Buffer.from(rings[0]!.words.buffer))).toBe(0);
      // Page 0 is nobody's.
      expect(first).toBe(Math.max(bases[i]!, 4096));
    }
  });

  test("keeps every mapping inside the aperture, and rings apart from guest memory (D18, D19)", () => {
    for (const iovaPolicy of ["tree", "gpa", "fixed", "identity-all"] as const) {
      const plan = addressPlan({ ...SMALL, iovaPolicy, queues: 4, mappings: 5 }, "svq");
      const entries = [...plan.tree.entries()].sort((a, b) => a.iova - b.iova);
      for (const [i, { iova, bytes }] of entries.entries()) {
        expect(iova + bytes - 1).toBeLessThanOrEqual(SMALL.apertureLast);
        if (i > 0) expect(iova).toBeGreaterThanOrEqual(entries[i - 1]!.iova + entries[i - 1]!.bytes);
      }
      expect(entries.filter(({ target }) => target.kind === "host").length).toBe(8);
      expect(plan.rings.length).toBe(4);
    }
  });

  test("lets the device only read descriptors and available rings, but for the unsafe policy (D20, D21)", () => {
    const perms = (iovaPolicy: "tree" | "identity-all") =>
      [...addressPlan({ ...SMALL, iovaPolicy }, "svq").tree.entries()]
        .filter(({ target }) => target.kind === "host")
        .map(({ perm }) => perm)
        .sort((a, b) => a - b);
    expect(perms("tree")).toEqual([1, 3]);
    expect(perms("identity-all")).toEqual([3, 3]);
  });

  test("refuses an aperture that is too small, and guest memory over a fixed window, by name (D13)", () => {
    const plan = (change: object) => () => addressPlan({ ...SMALL, ...change }, "svq");
    expect(plan({ apertureLast: 2 ** 19 })).toThrow(ConfigError);
    expect(plan({ iovaPolicy: "gpa", apertureFirst: 2 ** 20 })).toThrow(ConfigError);
    expect(plan({ iovaPolicy: "fixed", apertureLast: FIXED_RING_WINDOW })).toThrow(ConfigError);
    expect(plan({ iovaPolicy: "identity-all", apertureLast: 2 ** 46 })).toThrow(ConfigError);
    const covering = {
      path: "svq" as const,
      policy: "fixed" as const,
      aperture: { first: 0, last: 2 ** 52 - 1 },
      regions: [{ gpa: FIXED_RING_WINDOW - 4096, bytes: 8192 }],
      mappings: 1,
      rings: [],
    };
    expect(() => planAddresses(covering)).toThrow(/fixed ring window/);
  });
});
