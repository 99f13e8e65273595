/** The fuzzer finds nothing in the shipping relay, gets everywhere a queue can end, and says the same each time. */
import { expect, test } from "vitest";
import { type FaultReason, PEER_FAULTS } from "../../src/ring/peer-fault.js";
import { type FuzzReport, runFuzz } from "../../src/validate/fuzz/fuzz.js";
import { FUZZ_MODES, generate } from "../../src/validate/fuzz/generator.js";
import { Bench } from "../../src/validate/rig/ground.js";
import type { Program } from "../../src/validate/rig/program.js";
import { type RunResult, runProgram, SHIPPING } from "../../src/validate/rig/rig.js";

const EACH = 20_000;
const SEED = 20_261;

/** What a queue can have of PEER_FAULTS: not a set-up that is refused, nor what only stop() can notice. */
const REASONS = (Object.keys(PEER_FAULTS) as FaultReason[]).filter(
  (reason) => PEER_FAULTS[reason] !== "refuse" && reason !== "guest-ring-changed",
);
const OF_THE_DEVICE = REASONS.filter((reason) => reason.startsWith("used-"));
const OF_THE_GUEST = REASONS.filter((reason) => !reason.startsWith("used-"));

let clock = 0;
const report = runFuzz({ seed: SEED, executions: EACH * FUZZ_MODES.length, now: () => clock++ });
const [honest, guest, device, both] = report.modes;

function reached(mode: (typeof report.modes)[number] | undefined): string[] {
  return [...Object.keys(mode!.broken), ...Object.keys(mode!.refused)].sort();
}

test("80,000 programs of four modes find nothing (D12)", () => {
  expect(report.examples).toEqual([]);
  expect(report.failures).toBe(0);
  expect(report.executions).toBe(EACH * FUZZ_MODES.length);
  expect(report.modes.map(({ name, executions }) => [name, executions])).toEqual(
    FUZZ_MODES.map((mode) => [mode, EACH]),
  );
});

test("where everybody keeps the rules everything completes", () => {
  expect(reached(honest)).toEqual([]);
  expect(honest).toMatchObject({ completing: EACH, unbroken: EACH, quarantined: 0 });
  expect(honest!.returned).toBe(honest!.forwarded);
  expect(honest!.forwarded).toBeGreaterThan(EACH);
});

test("every reason for which a queue breaks or a chain is refused is reached, by the side it is named for", () => {
  expect(reached(guest)).toEqual([...OF_THE_GUEST].sort());
  expect(reached(device)).toEqual([...OF_THE_DEVICE].sort());
  expect(reached(both)).toEqual([...REASONS].sort());
});

test("hostile programs get far before they end", () => {
  for (const mode of [guest, device, both]) {
    expect(mode!.completing, mode!.name).toBeGreaterThan(EACH / 3);
    expect(mode!.unbroken, mode!.name).toBeGreaterThan(EACH / 5);
  }
});

test("the same seed gives the same report apart from the times, another seed another", () => {
  const again = (seed: number): FuzzReport => runFuzz({ seed, executions: 2000, now: () => 0 });
  expect(again(1)).toEqual(again(1));
  expect(again(2).modes[3]).not.toEqual(again(1).modes[3]);
});

test("modes can be chosen, progress is told, and a report has rates by the clock it was given", () => {
  let time = 0;
  const told: string[] = [];
  const few = runFuzz({
    seed: 1,
    executions: 8192,
    modes: ["honest", "both"],
    onProgress: ({ mode, executions }) => told.push(`${mode} ${executions}`),
    now: () => (time += 1000),
  });
  expect(told).toEqual(["honest 4096", "both 8192"]);
  expect(few.modes.map(({ per_second }) => per_second)).toEqual([4096, 4096]);
  expect(few.per_second).toBe(Math.round(8192 / 5));
});

/** A run with every access of its relay. */
function traced(program: Program, bench?: Bench): [RunResult, number[]] {
  const accesses: number[] = [];
  const result = runProgram(program, SHIPPING, (...access) => accesses.push(...access), bench);
  return [result, accesses];
}

test("a run on bytes that others have used is the run on fresh ones", () => {
  const bench = new Bench();
  for (const mode of FUZZ_MODES) {
    for (let index = 0; index < 400; index++) {
      const program = generate(mode, SEED, index);
      expect(traced(program, bench), `${mode} ${index}`).toEqual(traced(program));
    }
  }
});

test("cleared ground is as if it were new, whatever ran on it", () => {
  const bench = new Bench();
  const zeros = Buffer.alloc(2 ** 16);
  for (let index = 0; index < 500; index++) {
    const program = generate("both", SEED, index);
    runProgram(program, SHIPPING, undefined, bench);
    const { sheets, seen, told, copy, versions, copied, byRelay } = bench.ground(program.setup.shadowNum);
    const bytes = [...sheets, ...seen, ...told, ...copy].map((sheet) => sheet.bytes);
    for (const { buffer, byteLength } of [...bytes, versions, copied, byRelay]) {
      expect(Buffer.from(buffer).equals(zeros.subarray(0, byteLength)), `program ${index}`).toBe(true);
    }
  }
});
