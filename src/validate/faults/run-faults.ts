import type { MachineConfig } from "../../machine/config.js";
import type { FaultKind, RunCounts } from "./fault-kind.js";
import { FaultRun, type Verdict } from "./fault-run.js";
import { FAULT_KINDS } from "./kinds.js";
import { variation } from "./variations.js";
import type { RoleMakers } from "./whole-machine.js";

/** How many faults to inject, and into what. */
export interface FaultOptions {
  /** Chooses the machines; the same seed gives the same report. */
  readonly seed: number;
  /** Injections at least: a machine is finished, at every position, once it was begun. */
  readonly injections: number;
  /** All of FAULT_KINDS unless given. */
  readonly kinds?: readonly FaultKind[];
  /** Called after each injection with the number done and an estimate of all. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Roles to try instead of the shipping ones. */
  readonly make?: Partial<RoleMakers>;
  /** What every machine has in common, beyond what the kinds need. */
  readonly config?: Partial<MachineConfig>;
}

/** One injection that was not survived; `replayFault` runs it again. */
interface FaultFailure {
  /** Where it struck; −1 for the run without a fault that comes first. */
  readonly position: number;
  readonly seed: number;
  readonly what: string;
}

/** What came of one kind. */
export interface KindReport {
  readonly name: string;
  readonly injections: number;
  /** Injections after which a sleep ended by its time limit: notifications lost, and noticed. */
  readonly timeouts: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly missed_dirty_pages: number;
  readonly hung: number;
  readonly failures: readonly FaultFailure[];
}

/** What came of all of them. */
export interface FaultReport {
  readonly kinds: readonly KindReport[];
  readonly injections: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly missed_dirty_pages: number;
  readonly hung: number;
}

/** Failures of a kind that are kept; beyond them its machines are only counted. */
const FAILURES_KEPT_MAX = 10;
/** Machines of a kind in which its fault can strike nowhere, before it is given up. */
const MACHINES_IN_VAIN_MAX = 100;

/** Injects faults of every kind at every position of one machine after another, and judges each run. */
export function runFaults(options: FaultOptions): FaultReport {
  const { kinds = FAULT_KINDS, injections, onProgress = () => {} } = options;
  const quota = Math.ceil(injections / kinds.length);
  let before = 0;
  const reports = kinds.map((kind) => {
    const report = runKind(kind, quota, options, (done) => onProgress(before + done, quota * kinds.length));
    before += report.injections;
    return report;
  });
  const sum = (of: (report: KindReport) => number) => reports.reduce((total, report) => total + of(report), 0);
  return {
    kinds: reports,
    injections: sum((report) => report.injections),
    lost: sum((report) => report.lost),
    duplicated: sum((report) => report.duplicated),
    missed_dirty_pages: sum((report) => report.missed_dirty_pages),
    hung: sum((report) => report.hung),
  };
}

/** Runs one injection again, by the kind, seed and position of a failure. */
export function replayFault(
  kind: FaultKind,
  seed: number,
  position: number,
  options: Pick<FaultOptions, "make" | "config"> = {},
): Verdict {
  const run = newRun(kind, seed, options);
  run.timeoutsMax = kind.timeouts;
  kind.inject(run, position);
  return run.run();
}

/** Counts what there is in a run without a fault; its verdict is part of the report like every other. */
export function dryRun(
  kind: FaultKind,
  seed: number,
  options: Pick<FaultOptions, "make" | "config"> = {},
): { counts: RunCounts; verdict: Verdict } {
  const run = newRun(kind, seed, options);
  const verdict = run.run();
  return { counts: run.counts, verdict };
}

function runKind(kind: FaultKind, quota: number, options: FaultOptions, onDone: (done: number) => void): KindReport {
  const tally = new Tally(kind.name);
  for (let machine = 0; tally.injections < quota && machine < quota + MACHINES_IN_VAIN_MAX; machine++) {
    const seed = options.seed + machine;
    const { counts, verdict } = dryRun(kind, seed, options);
    tally.add(verdict, -1, seed);
    const positions = kind.positions(counts);
    for (let position = 0; position < positions; position++) {
      tally.add(replayFault(kind, seed, position, options), position, seed);
      onDone(tally.injections);
    }
  }
  return tally.report();
}

function newRun(kind: FaultKind, seed: number, { make, config }: Pick<FaultOptions, "make" | "config">): FaultRun {
  return new FaultRun(variation(seed, { ...config, ...kind.needs }), seed, make);
}

class Tally {
  injections = 0;
  readonly #name: string;
  readonly #sums = { timeouts: 0, lost: 0, duplicated: 0, missed_dirty_pages: 0, hung: 0 };
  readonly #failures: FaultFailure[] = [];

  constructor(name: string) {
    this.#name = name;
  }

  add(verdict: Verdict, position: number, seed: number): void {
    if (position >= 0) this.injections += 1;
    this.#sums.timeouts += verdict.timeouts;
    this.#sums.lost += verdict.lost;
    this.#sums.duplicated += verdict.duplicated;
    this.#sums.missed_dirty_pages += verdict.missedDirtyPages;
    this.#sums.hung += verdict.hung ? 1 : 0;
    if (verdict.what.length === 0 || this.#failures.length === FAILURES_KEPT_MAX) return;
    this.#failures.push({ position, seed, what: verdict.what.join("; ") });
  }

  report(): KindReport {
    return { name: this.#name, injections: this.injections, ...this.#sums, failures: this.#failures };
  }
}
