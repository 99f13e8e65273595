import { createHash } from "node:crypto";
import { join } from "node:path";
import { INVARIANTS } from "../oracles/invariants.js";
import { ORACLES, type OracleId } from "../oracles/violation.js";
import { type TimelineStep, timelineJson } from "../trace/timeline.js";
import { oneLine, type Trace } from "../trace/trace.js";
import { writeTraceFile } from "../trace/trace-file.js";
import { readTrace } from "../trace/trace-format.js";
import type { OwnCoverage } from "./coverage.js";
import { writeFinding } from "./finding.js";
import type { BrokenMessage } from "./messages.js";
import type { Outcome, OwnOptions } from "./own-relay.js";

/** What became of an oracle. */
export interface OwnOracle {
  readonly id: OracleId;
  readonly holds: string;
  /** Null when the run ended before all was tried. */
  readonly held: boolean | null;
  /** What broke it first: the invariant, in words, and where it was found. */
  readonly invariant?: number;
  readonly what?: string;
  readonly where?: string;
  readonly seed?: number;
  /** The step of the trace at which it was noticed. */
  readonly step?: number;
  /** File of the whole trace, and its steps around that one. */
  readonly replay?: string;
  readonly trace?: readonly TimelineStep[];
}

/** What became of an invariant that oracles hold. */
interface OwnInvariant {
  readonly number: number;
  readonly statement: string;
  readonly held: boolean | null;
  readonly what?: string;
}

/** What came of somebody's relay; fields are added and never changed. */
export interface OwnReport {
  readonly schema: "shadowvq.validate-relay/1";
  readonly relay: { readonly path: string; readonly sha256: string | null };
  readonly oracles: readonly OwnOracle[];
  readonly invariants: readonly OwnInvariant[];
  /** Which orders of accesses it met and where it was killed; null when the run ended before. */
  readonly coverage: OwnCoverage | null;
  /** Why the module cannot be used. */
  readonly problem: string | null;
  readonly verdict: "ok" | "broken" | "unusable" | "aborted";
}

/** Steps to either side of the one at which something was noticed. */
const AROUND = 12;

/** Puts together what a worker found, and writes a trace for each oracle that was broken by a program. */
export function reportOf(relay: OwnReport["relay"], outcome: Outcome, options: OwnOptions): OwnReport {
  const { folder = "." } = options;
  const { broken, unusable, complete } = outcome;
  const untold = complete ? true : null;
  const oracles = (Object.keys(ORACLES) as OracleId[]).map((id): OwnOracle => {
    const common = { id, holds: ORACLES[id] };
    const all = broken.filter((each) => each.id === id);
    const first =
      all.find(({ trace }) => trace !== undefined) ?? all.find(({ steps }) => steps !== undefined) ?? all[0];
    if (first === undefined) return { ...common, held: untold };
    return { ...common, held: false, ...brokenOf(first, folder, options) };
  });
  const invariants = INVARIANTS.filter(({ heldBy }) => "oracles" in heldBy).map(({ number, statement }) => {
    const first = broken.find(({ invariant }) => invariant === number);
    const held = first === undefined ? untold : false;
    return { number, statement, held, ...(first && { what: oneLine(first.what) }) };
  });
  const found = broken.length > 0 ? "broken" : complete ? "ok" : "aborted";
  return {
    schema: "shadowvq.validate-relay/1",
    relay,
    oracles,
    invariants,
    coverage: outcome.coverage ?? null,
    problem: unusable === undefined ? null : oneLine(unusable),
    verdict: unusable === undefined ? found : "unusable",
  };
}

function brokenOf(message: BrokenMessage, folder: string, options: OwnOptions): Partial<OwnOracle> {
  const { invariant, what, where, seed, trace: bytes } = message;
  const told = { invariant, what: oneLine(what), where, ...(seed === undefined ? {} : { seed }) };
  if (bytes === undefined) return { ...told, ...beyondTheRig(message, folder, options) };
  const trace = readTrace(bytes);
  const step = stepOf(trace);
  const replay = join(folder, `svq-${createHash("sha256").update(bytes).digest("hex").slice(0, 8)}.trace`);
  writeTraceFile(replay, trace);
  return { ...told, step, replay, trace: timelineJson(trace).slice(Math.max(0, step - AROUND), step + AROUND + 1) };
}

/** What explorer and crash points found: no program leads there, so the file says where to look again. */
function beyondTheRig(message: BrokenMessage, folder: string, { seed, profile }: OwnOptions): Partial<OwnOracle> {
  const { id: oracle, invariant, where, what, steps = [], again } = message;
  if (again === undefined) return {};
  const replay = writeFinding(folder, { seed, profile, again, oracle, invariant, where, what, steps });
  if (steps.length === 0) return { replay };
  return { step: steps.length - 1, replay, trace: steps.slice(-AROUND) };
}

/** The last one: a run ends where something is noticed, and an outcome is judged at its end. */
function stepOf({ events }: Trace): number {
  return Math.max(0, events.length - 1);
}
