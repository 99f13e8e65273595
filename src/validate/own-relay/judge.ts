import { CATALOGUE } from "../catalogue/catalogue.js";
import { type CatalogueReport, runCatalogue } from "../catalogue/run-catalogue.js";
import { runDifferential } from "../differential/run-differential.js";
import { runFuzz } from "../fuzz/fuzz.js";
import { FUZZ_MODES, generate } from "../fuzz/generator.js";
import { shrink } from "../fuzz/shrink.js";
import { ORACLES, type OracleId } from "../oracles/violation.js";
import type { Program } from "../rig/program.js";
import { type MakeRelay, runProgram } from "../rig/rig.js";
import { recordRun, traceHash } from "../trace/record.js";
import type { TimelineStep } from "../trace/timeline.js";
import type { Again } from "./again.js";

/** How much a profile does of what follows from a seed; the catalogue is always whole. */
const OWN_PROFILES = {
  quick: { fuzz: 20_000, differential: 300, replays: 200 },
  ci: { fuzz: 400_000, differential: 6_000, replays: 1_000 },
  full: { fuzz: 4_000_000, differential: 60_000, replays: 10_000 },
} as const;
/** The name of such a profile. */
export type OwnProfile = keyof typeof OWN_PROFILES;

/** What broke first of an oracle. */
export interface Broken {
  readonly id: OracleId;
  /** Number of the invariant, of 40; 0 where none says it. */
  readonly invariant: number;
  /** Where it was found, such as "fuzz honest". */
  readonly where: string;
  readonly what: string;
  /** With the seed it can be found again. */
  readonly seed?: number;
  /** The shrunk program that shows it, where a rig ran it. */
  readonly program?: Program;
  /** The way there, where the explorer walked it. */
  readonly steps?: readonly TimelineStep[];
  /** How to look at just that again, where no rig ran it. */
  readonly again?: Again;
}

/** What is run of a relay in a rig, one after the other. */
export const STAGES = ["fuzz", "catalogue", "differential", "replay"] as const;
/** The name of a stage. */
export type Stage = (typeof STAGES)[number];

/** Rows that stop a relay, for which a relay of one's own has no method. */
const NOT_ASKED: ReadonlySet<string> = new Set(["BI-53", "BI-98"]);
/** Programs that fail before the fuzzer stops: enough to see every oracle that breaks often. */
const FAILURES_MAX = 2_000;

/** Runs one stage of a validation; what it finds is the first of each oracle and invariant. */
export function judge(make: MakeRelay, stage: Stage, seed: number, profile: OwnProfile, beat: () => void): Broken[] {
  const found = findings(make, stage, seed, profile, beat);
  return firsts(found);
}

/** The first of each oracle and invariant. */
export function firsts(found: readonly Broken[]): Broken[] {
  const seen = new Set<string>();
  return found.filter(({ id, invariant }) => {
    const kind = `${id} ${invariant}`;
    return !seen.has(kind) && seen.add(kind);
  });
}

function findings(make: MakeRelay, stage: Stage, seed: number, profile: OwnProfile, beat: () => void): Broken[] {
  const units = OWN_PROFILES[profile];
  switch (stage) {
    case "fuzz":
      return fuzzed(make, seed, units.fuzz);
    case "catalogue":
      return catalogued(make, beat);
    case "differential":
      return compared(make, seed, units.differential, beat);
    case "replay":
      return replayed(make, seed, units.replays);
  }
}

function fuzzed(make: MakeRelay, seed: number, executions: number): Broken[] {
  const options = { seed, make, stopAfterFailures: FAILURES_MAX, now: () => performance.now() };
  // A mode at a time, so that a relay that fails in the first is seen in the others.
  return FUZZ_MODES.flatMap((mode) => {
    const share = Math.ceil(executions / FUZZ_MODES.length);
    return runFuzz({ ...options, executions: share, modes: [mode] }).examples.map(({ program, violation }) => {
      const { oracle: id, invariant, message: what } = violation;
      return { id, invariant, where: `fuzz ${mode}`, what, seed, program };
    });
  });
}

function catalogued(make: MakeRelay, beat: () => void): Broken[] {
  const rows = CATALOGUE.map(({ id }) => id).filter((id) => !NOT_ASKED.has(id));
  const { failures } = runCatalogue({ make, rows, onProgress: beat });
  return firsts(failures.map(brokenCase)).map((broken) => smaller(broken, make));
}

function brokenCase({ id: row, name, expected, got, program }: CatalogueReport["failures"][number]): Broken {
  const named = oracleIn(got) ?? unnamed(expected, got);
  const what = `${name}: ${got} instead of ${expected}`;
  return { ...named, where: `catalogue ${row}`, what, ...(program && { program }) };
}

/** What no oracle of a rig said: too many accesses; another outcome than the book's; or whatever a case looked at. */
function unnamed(expected: string, got: string): Pick<Broken, "id" | "invariant"> {
  if (got.startsWith(`${expected}, in `)) return { id: "O7", invariant: 38 };
  return { id: "O8", invariant: /^(forward|(quarantine|break-queue) \S+)$/.test(got) ? 36 : 0 };
}

/** A program of the catalogue says more than it needs to for what it has shown. */
function smaller(broken: Broken, make: MakeRelay): Broken {
  if (broken.program === undefined) return broken;
  const { violation } = runProgram(broken.program, make);
  if (violation === undefined) return broken;
  const { program } = shrink(broken.program, violation, (next) => runProgram(next, make));
  return { ...broken, program };
}

/** The rings that a device and the guest see are those of a machine without a relay; the walkers compare chains. */
function compared(make: MakeRelay, seed: number, programs: number, beat: () => void): Broken[] {
  const only = ["svq", "walkers"] as const;
  const { examples } = runDifferential({ seed, programs, only, make: { svq: make }, onProgress: beat });
  return examples.map(({ index, what }) => {
    const plain = what.includes("it threw") ? "O8" : what.startsWith("walkers") ? "O2" : "O3";
    const named = oracleIn(what) ?? { id: plain, invariant: 0 };
    return { ...named, where: `differential, program ${index}`, what, seed };
  });
}

function replayed(make: MakeRelay, seed: number, programs: number): Broken[] {
  for (let index = 0; index < programs; index++) {
    const program = generate(FUZZ_MODES[index % FUZZ_MODES.length]!, seed, index);
    const [once, again] = [recordRun(program, make), recordRun(program, make)];
    if (traceHash(once) === traceHash(again)) continue;
    return [{ id: "O9", invariant: 0, where: "replay", what: "O9: the same program twice, two traces", seed, program }];
  }
  return [];
}

/** The oracle that a message names. */
function oracleIn(text: string): Pick<Broken, "id" | "invariant"> | undefined {
  const [, id, invariant] = /\b(O\d)(?: \(invariant (\d+)\))?: /.exec(text) ?? [];
  if (id === undefined || !Object.hasOwn(ORACLES, id)) return undefined;
  return { id: id as OracleId, invariant: Number(invariant ?? 0) };
}
