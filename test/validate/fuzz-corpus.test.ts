/** Programs as files: what is written can be read, what is no program is refused by name, and the kept ones pass. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";
import { CorpusError, readCorpus, readProgram, writeProgram } from "../../src/validate/fuzz/corpus.js";
import { runFuzz } from "../../src/validate/fuzz/fuzz.js";
import { FUZZ_MODES, generate } from "../../src/validate/fuzz/generator.js";
import { ProgramError, programFromJson, programToJson } from "../../src/validate/rig/program-json.js";
import { runProgram } from "../../src/validate/rig/rig.js";

const KEPT = fileURLToPath(new URL("corpus/", import.meta.url));
const PROGRAM = generate("both", 1, 0);

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function emptyFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "svq-corpus-"));
  folders.push(folder);
  return folder;
}

test.each(readCorpus(KEPT))("a kept program passes: $name", ({ program }) => {
  expect(runProgram(program).violation).toBeUndefined();
});

test("kept programs are named by what is in them", () => {
  const folder = emptyFolder();
  for (const { name, program } of readCorpus(KEPT)) expect(writeProgram(folder, program)).toBe(name);
});

test("a program that was written is the one that is read", () => {
  for (const mode of FUZZ_MODES) {
    for (let index = 0; index < 500; index++) {
      const program = generate(mode, 5, index);
      expect(programFromJson(JSON.parse(JSON.stringify(programToJson(program))))).toEqual(program);
    }
  }
});

test("a failing program is written once, shrunk, and run first the next time", () => {
  const folder = join(emptyFolder(), "made");
  const silent = () => ({ step: () => false, arm: () => true, abandon: () => {} });
  const options = {
    seed: 1,
    executions: 200,
    make: silent,
    corpusDir: folder,
    modes: ["honest"] as const,
    now: () => 0,
  };
  const first = runFuzz(options);
  const files = readdirSync(folder);
  expect(files).toHaveLength(first.examples.length);
  expect(readProgram(join(folder, files[0]!))).toEqual(first.examples[0]!.program);
  const second = runFuzz(options);
  expect(second.modes[0]).toMatchObject({ name: "corpus", executions: files.length, failures: files.length });
  expect(readdirSync(folder)).toEqual(files);
});

test.each([
  ["no JSON", "{", /one\.json holds no program: /],
  ["no program", "{}", /one\.json holds no program: program\.setup is missing/],
])("a file of a corpus that is %s ends in one named error", (_, text, message) => {
  const folder = emptyFolder();
  writeFileSync(join(folder, "one.json"), text);
  expect(() => runFuzz({ seed: 1, executions: 1, corpusDir: folder, now: () => 0 })).toThrow(CorpusError);
  expect(() => readCorpus(folder)).toThrow(message);
});

test("a folder that cannot be made, or written, ends in one named error", () => {
  const folder = emptyFolder();
  const file = join(folder, "file");
  writeFileSync(file, "");
  expect(() => readCorpus(join(file, "under"))).toThrow(CorpusError);
  expect(() => writeProgram(join(folder, "gone"), PROGRAM)).toThrow(CorpusError);
  expect(() => writeProgram(file, PROGRAM)).toThrow(/file takes no more programs: /);
});

type Change = (program: { setup: Record<string, unknown>; actions: Record<string, unknown>[] }) => void;

const BAD: readonly [what: string, change: Change, path: string][] = [
  ["a size that is no power of two", ({ setup }) => (setup["num"] = 3), "setup.num is 3"],
  ["a size beyond the largest", ({ setup }) => (setup["shadowNum"] = 32), "setup.shadowNum is no integer from 1 to 16"],
  ["a flag that is none", ({ setup }) => (setup["log"] = 1), "setup.log is neither"],
  ["an unknown map", ({ setup }) => (setup["map"] = "round"), "setup.map is none of"],
  ["a log of a wide map", ({ setup }) => Object.assign(setup, { log: true, map: "wide" }), "setup.log is true"],
  ["a missing field", ({ setup }) => delete setup["start"], "setup.start is missing"],
  ["an unknown field", ({ setup }) => (setup["more"] = 0), "setup.more is unknown"],
  ["no action", ({ actions }) => actions.unshift({ op: "rest" }), "actions[0].op is none of"],
  ["an inherited name", ({ actions }) => actions.unshift({ op: "toString" }), "actions[0].op is none of"],
  ["a fraction", ({ actions }) => actions.unshift({ op: "offer-head", head: 0.5 }), "actions[0].head is no integer"],
  [
    "a jump too far",
    ({ actions }) => actions.unshift({ op: "publish", jump: 65_536 }),
    "actions[0].jump is no integer",
  ],
  ["a number for an address", ({ actions }) => actions.unshift(raw({ address: 4096 })), "[0].address is no address"],
  ["2^64", ({ actions }) => actions.unshift(raw({ address: `${2n ** 64n}` })), "[0].address is no address"],
  ["an odd width", ({ actions }) => actions.unshift(poke({ width: 3 })), "actions[0].poke.width is none of 1, 2, 4"],
  ["a third side", ({ actions }) => actions.unshift({ ...poke({}), by: "host" }), "actions[0].by is none of"],
  ["more than a relay", ({ actions }) => actions.unshift({ op: "relay", times: 2 }), "actions[0].times is unknown"],
  ["too many actions", ({ actions }) => actions.push(...Array(10_000).fill({ op: "relay" })), "actions has more than"],
];

function raw(change: object): Record<string, unknown> {
  return { op: "offer-raw", slot: 0, descriptors: [{ address: "0x1000", length: 1, flags: 0, next: 0, ...change }] };
}

function poke(change: object): Record<string, unknown> {
  return { op: "poke", by: "guest", poke: { space: 0, offset: 0, width: 2, value: 1, ...change } };
}

test.each(BAD)("a program with %s is refused by the path of the field", (_, change, path) => {
  const value = programToJson(PROGRAM) as Parameters<Change>[0];
  change(value);
  expect(() => programFromJson(value)).toThrow(ProgramError);
  expect(() => programFromJson(value)).toThrow(path);
});

test.each([[null], [[]], ["text"], [{ setup: null, actions: [] }], [{ setup: PROGRAM.setup, actions: {} }]])(
  "%j is no program",
  (value) => {
    expect(() => programFromJson(value)).toThrow(ProgramError);
  },
);
