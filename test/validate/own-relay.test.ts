/** Relays of somebody else's, each on a thread of its own: what it holds is held, what it breaks has a name. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { validateOwnRelay } from "../../src/cli/own-relay.js";
import { readFinding } from "../../src/validate/own-relay/finding.js";
import { repeatOwnRelay, replayOwnRelay, runOwnRelay } from "../../src/validate/own-relay/own-relay.js";
import type { OwnReport } from "../../src/validate/own-relay/own-report.js";
import { readTraceFile } from "../../src/validate/trace/trace-file.js";
import { packageRoot, workerUrl } from "../../src/workers/worker-url.js";

const FOLDER = mkdtempSync(join(tmpdir(), "test-relay-"));
afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));

async function validated(path: string, only?: "rig" | "explore"): Promise<OwnReport> {
  // Refuses a build older than its sources.
  workerUrl("driver");
  return runOwnRelay(path, { seed: 1, profile: "quick", only, folder: FOLDER });
}

function example(name: string): string {
  return join(packageRoot(), "examples", `${name}.js`);
}

/** A module in a file of its own; `MINIMAL` in it is the correct one's URL. */
function written(text: string): string {
  const file = join(FOLDER, `relay-${written.count++}.mjs`);
  writeFileSync(file, text.replaceAll("MINIMAL", JSON.stringify(`file://${example("minimal-relay")}`)));
  return file;
}
written.count = 0;

test("the minimal relay holds everything", { timeout: 300_000 }, async () => {
  const report = await validated(example("minimal-relay"));
  expect(report).toMatchObject({ schema: "shadowvq.validate-relay/1", problem: null, verdict: "ok" });
  expect(report.oracles.map(({ id, held }) => `${id} ${held}`)).toEqual(
    Array.from({ length: 9 }, (_, i) => `O${i + 1} true`),
  );
  expect(report.invariants.every(({ held }) => held === true)).toBe(true);
  const { explorer, crash_points, explorations } = report.coverage!;
  expect(explorer).toBe("every order");
  expect(crash_points).toMatch(/^(\d{5}) of \1$/);
  expect(new Set(explorations.map(({ memory, ring, event_idx }) => `${memory} ${ring} ${event_idx}`)).size).toBe(12);
  expect(explorations.every(({ complete, requests }) => complete && requests === 2)).toBe(true);
});

test.each([
  ["broken-forgets-marks", "O4", 20],
  ["broken-wrong-length", "O3", 39],
  ["broken-reads-twice", "O8", 37],
])("%s breaks %s, and nothing else", { timeout: 120_000 }, async (name, oracle, invariant) => {
  const { oracles, invariants, verdict } = await validated(example(name), "rig");
  expect(verdict).toBe("broken");
  expect(oracles.filter(({ held }) => held !== true).map(({ id }) => id)).toEqual([oracle]);
  expect(invariants.filter(({ held }) => held !== true).map(({ number }) => number)).toEqual([invariant]);
  const { replay, step, trace, seed } = oracles.find(({ id }) => id === oracle)!;
  expect(seed).toBe(1);
  const recorded = readTraceFile(replay!);
  expect(recorded.end.violation).toMatchObject({ oracle, invariant });
  expect(step).toBe(recorded.events.length - 1);
  // The same module fails in the same way, and the correct one does not.
  expect((await replayOwnRelay(example(name), recorded)).again).toMatchObject({ same: true, violation: { oracle } });
  expect((await replayOwnRelay(example("minimal-relay"), recorded)).again.violation).toBeUndefined();
  expect(trace!.at(-1)).toMatchObject({ step, guest: [expect.any(Number), expect.any(Number), expect.any(Number)] });
});

test.each([
  ["broken-reads-ahead", "O2", 6, /^explorer, sc, ring of 1, /],
  ["broken-strikes-out-early", "O3", 7, /^crash point, 1 × direct, .* killed after its store \d+$/],
])("%s breaks %s, and no program shows it", { timeout: 300_000 }, async (name, oracle, invariant, place) => {
  expect((await validated(example(name), "rig")).verdict).toBe("ok");
  const { oracles, verdict } = await validated(example(name), "explore");
  expect(verdict).toBe("broken");
  expect(oracles.filter(({ held }) => held !== true).map(({ id }) => id)).toEqual([oracle]);
  const { where, replay, step, trace, invariant: number } = oracles.find(({ id }) => id === oracle)!;
  expect(number).toBe(invariant);
  expect(where).toMatch(place);
  expect(trace!.at(-1)).toMatchObject({ step, guest: [expect.any(Number), expect.any(Number), expect.any(Number)] });
  // The same module fails in the same way, and the correct one does not.
  const finding = readFinding(replay!)!;
  expect(await repeatOwnRelay(example(name), finding)).toMatchObject({ id: oracle, what: finding.what });
  expect(await repeatOwnRelay(example("minimal-relay"), finding)).toBeUndefined();
});

/** The minimal relay without what it offers beyond the interface, and with a passage of it replaced. */
function without(passage: string, instead: string): string {
  const source = readFileSync(example("minimal-relay"), "utf8");
  expect(source).toContain(passage);
  const bare = source.replaceAll("  save() {", "  doNotSave() {").replaceAll("  recover() {", "  doNotRecover() {");
  return written(bare.replace(passage, instead));
}

test("a relay that offers neither is run in random orders: a missing fence is found", {
  timeout: 300_000,
}, async () => {
  const file = without("    shadow.availMemory.fence();\n    const wish", "    const wish");
  const { oracles, coverage, verdict } = await validated(file, "explore");
  expect(verdict).toBe("broken");
  expect(oracles.filter(({ held }) => held !== true)).toMatchObject([
    { id: "O5", where: expect.stringMatching(/^explorer, tso/), seed: 1 },
  ]);
  expect(coverage).toMatchObject({
    explorer: expect.stringMatching(/^\d+ random orders: the relay has no save\(\)$/),
    crash_points: "not offered: the relay has no recover()",
  });
  // Where no store waits, nothing shows.
  const { explorations } = coverage!;
  expect(explorations.every(({ complete, states }) => !complete && states === null)).toBe(true);
  expect(explorations.every(({ memory, orders }) => memory !== "sc" || orders === 500)).toBe(true);
});

test("a save() that leaves something out is named", { timeout: 120_000 }, async () => {
  const file = written(`import { MinimalRelay } from MINIMAL;
    class Forgets extends MinimalRelay { save() { const { lastUsed, ...rest } = super.save(); return rest; } }
    export const createRelay = (parts) => new Forgets(parts);`);
  const { oracles } = await validated(file, "explore");
  expect(oracles.filter(({ held }) => held === false).length).toBeGreaterThan(0);
});

test.concurrent.each([
  ["throws as it loads", 'throw new Error("not today");', /^it does not load: Error: not today$/],
  ["does not parse", "export const = 1;", /^it does not load: SyntaxError: /],
  ["exports something else", "export const makeRelay = 1;", /^it does not export a function createRelay$/],
  ["makes a relay that cannot sleep", "export const createRelay = () => ({ step() {}, abandon() {} });", /no arm\(\)/],
  ["throws as it makes one", "export function createRelay() { throw new Error('later'); }", /threw Error: later/],
  ["ends its thread", "process.exit(3);", /ended before it was done/],
  ["waits for what never comes", "await new Promise(() => {});", /ended before it was done/],
  ["loops as it loads", "for (;;);", /makes no access for 5 s/],
])("a module that %s is unusable", { timeout: 30_000 }, async (_, text, problem) => {
  const report = await validated(written(text));
  expect(report.problem).toMatch(problem);
  expect(report.verdict).toBe("unusable");
  expect(report.oracles.every(({ held }) => held === null)).toBe(true);
});

test("a file that is not there is unusable", async () => {
  const report = await validated(join(FOLDER, "nowhere.js"));
  expect(report).toMatchObject({ relay: { sha256: null }, problem: expect.stringMatching(/there is no file/) });
});

test.concurrent("a relay that never yields is ended, and says at which step", { timeout: 30_000 }, async () => {
  const file = written(`import { MinimalRelay } from MINIMAL;
    let runs = 0;
    class Stuck extends MinimalRelay { step() { if (runs > 30) for (;;); return super.step(); } }
    export const createRelay = (parts) => { runs += 1; return new Stuck(parts); };`);
  const start = performance.now();
  const { oracles, verdict } = await validated(file);
  expect(performance.now() - start).toBeLessThan(12_000);
  expect(verdict).toBe("broken");
  expect(oracles.find(({ id }) => id === "O7")).toMatchObject({
    held: false,
    what: expect.stringMatching(/^it makes no access for 5 s at step \d+ of run \d+, in stage fuzz$/),
  });
  expect(oracles.find(({ id }) => id === "O1")!.held).toBeNull();
});

test.concurrent.each([
  ["never ends its first turn", "for (;;);", /^it makes no access for 5 s at step \d+ of run 1, in stage first run$/],
  ["eats memory in its first turn", "for (;;) all.push(new Array(1e6).fill(1));", /, in stage first run$/],
])("a relay that %s has broken O7, and is no module that does not load", { timeout: 60_000 }, async (_, loop, what) => {
  const file = written(`import { MinimalRelay } from MINIMAL;
    const all = [];
    class Stuck extends MinimalRelay { step() { ${loop} } }
    export const createRelay = (parts) => new Stuck(parts);`);
  const { oracles, verdict } = await validated(file);
  expect(verdict).toBe("broken");
  expect(oracles.filter(({ held }) => held === false)).toMatchObject([{ id: "O7", what: expect.stringMatching(what) }]);
});

test("a relay that keeps something of each request leaks", { timeout: 120_000 }, async () => {
  const file = written(`import { MinimalRelay } from MINIMAL;
    class Keeps extends MinimalRelay {
      kept = [];
      use(head, length) { this.kept.push(new Array(64).fill(length)); super.use(head, length); }
    }
    export const createRelay = (parts) => new Keeps(parts);`);
  const { oracles } = await validated(file, "rig");
  expect(oracles.filter(({ held }) => held !== true)).toMatchObject([
    { id: "O7", what: expect.stringMatching(/^it leaks: /) },
  ]);
});

test("the command line says in one line, or in a document, why a module is unusable: exit 2", async () => {
  const file = written("export const makeRelay = 1;");
  const json = join(FOLDER, "report.json");
  await expect(validateOwnRelay(file, { seed: 1, profile: "quick", json: undefined })).rejects.toThrow(
    /^relay .*: it does not export a function createRelay$/,
  );
  expect(await validateOwnRelay(file, { seed: 1, profile: "quick", json })).toBe(2);
  expect(JSON.parse(readFileSync(json, "utf8"))).toMatchObject({
    schema: "shadowvq.validate-relay/1",
    relay: { path: file, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
    verdict: "unusable",
  });
});
