/** Is each fence, each release, each mark's place and each second look needed, and does the explorer see it gone? */
import { describe, expect, it } from "vitest";
import { explore } from "../../src/validate/explorer/explore.js";
import type { MemoryModel } from "../../src/validate/explorer/positions.js";
import { castWith, SIGNATURES, TWINS, type Twin } from "./explorer-twins.js";

async function explored(twin: Twin, models: readonly MemoryModel[], eventIdx = true) {
  const make = await castWith(twin);
  const options = { ring: 1, requests: 2, eventIdx, log: twin.log === true, make };
  return models.map((model) => explore({ ...options, model }));
}

describe("a twin that lacks one thing is found where that shows, and only there (SPLIT-11, BI-101, O4, O5, O6)", () => {
  it.each(TWINS)("$what", async (twin) => {
    const found = await explored(twin, ["sc", "tso", "pso"]);
    expect(found.map(({ violations }) => violations.length > 0)).toEqual(SIGNATURES[twin.kind]);
    for (const { complete, violations } of found) expect(complete).toBe(violations.length === 0);
  });
});

const FENCES = TWINS.filter(({ kind }) => kind === "fence");

describe("flags show the lack of a fence as well", () => {
  it.each(FENCES)("$what", async (twin) => {
    const [found] = await explored(twin, ["tso"], false);
    expect(found!.violations[0]?.what).toBe("asleep: driver");
  });
});

describe("where a publish is a full fence, as in JavaScript, no other one is needed", () => {
  it.each(FENCES)("$what", async (twin) => {
    const [found] = await explored(twin, ["tso-seqcst"]);
    expect(found).toMatchObject({ complete: true, violations: [] });
  });
});
