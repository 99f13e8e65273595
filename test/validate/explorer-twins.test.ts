/** Is each fence, each release, each mark's place and each second look needed, and does the explorer see it gone? */
import { beforeAll, describe, expect, it } from "vitest";
import { castWith } from "../../src/validate/explorer/cast.js";
import { explore } from "../../src/validate/explorer/explore.js";
import { judgeTwin, optionsFor, twinReport } from "../../src/validate/explorer/judge-twins.js";
import { SIGNATURES, TWINS, type Twin, type TwinKind } from "../../src/validate/explorer/twin-list.js";
import { patchedText } from "../../src/validate/mutants/patched-build.js";
import { workerUrl } from "../../src/workers/worker-url.js";

// Twins are patched copies of the build: one that is older than the sources is refused.
beforeAll(() => void workerUrl("relay"));

describe("a twin that lacks one thing is found where that shows, and only there (SPLIT-11, BI-101, O4, O5, O6)", () => {
  it.each(TWINS)("$name: $what", async (twin) => {
    const { sc, tso, pso } = await judgeTwin(twin);
    expect({ sc, tso, pso }).toEqual(SIGNATURES[twin.kind]);
  });
});

const FENCES = TWINS.filter(({ kind }) => kind === "fence");

describe("flags show the lack of a fence as well", () => {
  it.each(FENCES)("$name", async (twin) => {
    const found = explore({ ...optionsFor(twin, "tso"), eventIdx: false, make: await castWith(twin) });
    expect(found.violations[0]).toMatchObject({ oracle: "O5", what: "asleep: driver" });
  });
});

describe("where a publish is a full fence, as in JavaScript, no other one is needed", () => {
  it.each(FENCES)("$name", async (twin) => {
    const found = explore({ ...optionsFor(twin, "tso"), model: "tso-seqcst", make: await castWith(twin) });
    expect(found).toMatchObject({ complete: true, violations: [] });
  });
});

describe("the list", () => {
  const count = (kind: TwinKind) => TWINS.filter((twin) => twin.kind === kind).length;

  it("has names of its own, and as many of each kind as the relay and its peers have places", () => {
    expect(new Set(TWINS.map(({ name }) => name)).size).toBe(TWINS.length);
    expect(count("fence")).toBeGreaterThanOrEqual(7);
    expect(count("recheck")).toBeGreaterThanOrEqual(4);
    expect(TWINS.length).toBeGreaterThanOrEqual(15);
  });

  it("has the log on for marks only: elsewhere a mark would hide what is gone", () => {
    for (const { kind, log } of TWINS) expect(log).toBe(kind === "mark-order");
  });

  it.each(TWINS)("$name fits the build, and changes it", ({ patches }) => {
    for (const { file } of patches) expect(patchedText(file, patches)).not.toBe(patchedText(file, []));
  });
});

describe("twinReport()", () => {
  const wrongly = (kind: TwinKind): Twin => ({ ...TWINS.find(({ name }) => name === "marks-late")!, kind });

  it("counts a twin whose signature is that of its kind as killed", () => {
    const row = { name: "marks-late", kind: "mark-order", sc: true, tso: true, pso: true } as const;
    expect(twinReport(TWINS, [row])).toEqual({ total: 1, killed: 1, survivors: [], list: [row] });
  });

  it("says of any other what was expected, what was seen, and how to see it again (twin)", async () => {
    const twin = wrongly("fence");
    const { total, killed, survivors } = twinReport([twin], [await judgeTwin(twin)]);
    expect({ total, killed }).toEqual({ total: 1, killed: 0 });
    expect(survivors).toEqual([
      {
        name: "marks-late",
        kind: "fence",
        what: "buffers marked behind the used idx",
        expected: { sc: false, tso: true, pso: true },
        seen: { sc: true, tso: true, pso: true },
        replay: ['svq validate --explore --only "sc, 2 × 1, event idx, log on" --twin marks-late'],
      },
    ]);
  });

  it("does not take a search that reached neither a fault nor the end for an answer (twin)", () => {
    const row = { name: "marks-late", kind: "mark-order", sc: true, tso: true, pso: null } as const;
    expect(twinReport(TWINS, [row]).survivors).toMatchObject([{ seen: { pso: null } }]);
  });
});
