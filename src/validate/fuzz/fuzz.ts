import type { Violation } from "../oracles/violation.js";
import { Bench } from "../rig/ground.js";
import type { Program } from "../rig/program.js";
import { type MakeRelay, type RunResult, runProgram, SHIPPING } from "../rig/rig.js";
import { readCorpus, writeProgram } from "./corpus.js";
import { FUZZ_MODES, type FuzzMode, generate } from "./generator.js";
import { shrink, violationKind } from "./shrink.js";

/** What a fuzzer is asked to do. */
export interface FuzzOptions {
  readonly seed: number;
  /** Programs to run, all modes together; those of a corpus come on top. */
  readonly executions: number;
  readonly modes?: readonly FuzzMode[];
  readonly make?: MakeRelay;
  /** A folder whose programs are run first, and to which shrunk failing ones are written. */
  readonly corpusDir?: string;
  readonly onProgress?: (progress: FuzzProgress) => void;
  /** Ends after so many failures. */
  readonly stopAfterFailures?: number;
  /** A clock, in milliseconds: the times of a report are all that does not follow from the seed. */
  readonly now: () => number;
}

/** How far a fuzzer has come. */
interface FuzzProgress {
  readonly mode: string;
  readonly executions: number;
  readonly failures: number;
}

/** What came of a mode, or of a corpus. */
export interface FuzzModeReport {
  readonly name: FuzzMode | "corpus";
  readonly executions: number;
  readonly per_second: number;
  /** Chains handed to the device; of these came back; and chains returned unused for a fault of their own. */
  readonly forwarded: number;
  readonly returned: number;
  readonly quarantined: number;
  /** Executions in which a chain went all the way, and in which the queue lived to the end. */
  readonly completing: number;
  readonly unbroken: number;
  /** Queues given up, and chains returned unused, by reason. */
  readonly broken: Readonly<Record<string, number>>;
  readonly refused: Readonly<Record<string, number>>;
  readonly failures: number;
}

/** A failing program, reduced: the first of its kind in its mode. */
interface FuzzExample {
  readonly mode: FuzzMode | "corpus";
  readonly seed: number;
  /** With mode and seed it names the program as it was generated; of a corpus its place by name. */
  readonly index: number;
  readonly program: Program;
  readonly violation: Violation;
}

/** What a fuzzer found. */
export interface FuzzReport {
  readonly executions: number;
  readonly per_second: number;
  readonly failures: number;
  readonly modes: readonly FuzzModeReport[];
  readonly examples: readonly FuzzExample[];
}

const EXAMPLES_MAX = 16;
const PROGRESS_EVERY = 4096;

/** Runs generated programs under every oracle; throws CorpusError for a corpus that cannot be read or written. */
export function runFuzz(options: FuzzOptions): FuzzReport {
  // Every broken queue is an Error whose stack nobody reads, and which takes longer than the rest of the run.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return new Fuzzer(options).run();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Tally = Mutable<FuzzModeReport> & { broken: Record<string, number>; refused: Record<string, number> };

class Fuzzer {
  readonly #options: FuzzOptions;
  readonly #make: MakeRelay;
  readonly #bench = new Bench();
  readonly #examples: FuzzExample[] = [];
  readonly #kinds = new Set<string>();
  #executions = 0;
  #failures = 0;

  constructor(options: FuzzOptions) {
    this.#options = options;
    this.#make = options.make ?? SHIPPING;
  }

  run(): FuzzReport {
    const { executions, modes = FUZZ_MODES, corpusDir, seed, now } = this.#options;
    const start = now();
    const reports: FuzzModeReport[] = [];
    if (corpusDir !== undefined) {
      const corpus = readCorpus(corpusDir).map(({ program }) => program);
      if (corpus.length > 0) reports.push(this.#runMode("corpus", corpus.length, (index) => corpus[index]!));
    }
    for (const [i, mode] of modes.entries()) {
      const share = Math.floor(executions / modes.length) + (i < executions % modes.length ? 1 : 0);
      reports.push(this.#runMode(mode, share, (index) => generate(mode, seed, index)));
    }
    return {
      executions: this.#executions,
      per_second: perSecond(this.#executions, now() - start),
      failures: this.#failures,
      modes: reports,
      examples: this.#examples,
    };
  }

  #runMode(name: FuzzMode | "corpus", count: number, programAt: (index: number) => Program): FuzzModeReport {
    const { now, onProgress } = this.#options;
    const tally: Tally = newTally(name);
    const start = now();
    for (let index = 0; index < count && !this.#enough; index++) {
      const program = programAt(index);
      const result = runProgram(program, this.#make, undefined, this.#bench);
      this.#executions += 1;
      add(tally, result);
      if (result.violation !== undefined) this.#failed(tally, index, program, result.violation);
      if (this.#executions % PROGRESS_EVERY === 0) {
        onProgress?.({ mode: name, executions: this.#executions, failures: this.#failures });
      }
    }
    tally.per_second = perSecond(tally.executions, now() - start);
    return tally;
  }

  get #enough(): boolean {
    return this.#failures >= (this.#options.stopAfterFailures ?? Number.POSITIVE_INFINITY);
  }

  #failed(tally: Tally, index: number, program: Program, violation: Violation): void {
    const { seed, corpusDir } = this.#options;
    tally.failures += 1;
    this.#failures += 1;
    const kind = `${tally.name} ${violationKind(violation)}`;
    if (this.#kinds.has(kind) || this.#examples.length === EXAMPLES_MAX) return;
    this.#kinds.add(kind);
    const shrunk = shrink(program, violation, (smaller) => {
      return runProgram(smaller, this.#make, undefined, this.#bench);
    });
    this.#examples.push({ mode: tally.name, seed, index, ...shrunk });
    if (corpusDir !== undefined && tally.name !== "corpus") writeProgram(corpusDir, shrunk.program);
  }
}

function newTally(name: FuzzMode | "corpus"): Tally {
  const counts = { executions: 0, per_second: 0, forwarded: 0, returned: 0, quarantined: 0, failures: 0 };
  return { name, ...counts, completing: 0, unbroken: 0, broken: {}, refused: {} };
}

function add(tally: Tally, { broken, refused, forwarded, returned, quarantined }: RunResult): void {
  tally.executions += 1;
  tally.forwarded += forwarded;
  tally.returned += returned;
  tally.quarantined += quarantined;
  if (returned > 0) tally.completing += 1;
  if (broken === undefined) tally.unbroken += 1;
  else tally.broken[broken] = (tally.broken[broken] ?? 0) + 1;
  for (const reason of refused) tally.refused[reason] = (tally.refused[reason] ?? 0) + 1;
}

function perSecond(count: number, milliseconds: number): number {
  return milliseconds > 0 ? Math.round((count * 1000) / milliseconds) : 0;
}
