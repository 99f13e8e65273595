import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { RunBroken } from "../report/exit-codes.js";
import type { FaultyRelay } from "./faulty-relays.js";
import { mergeReports } from "./merge.js";
import { PARTS, type PartJob, type PartName, type PartReports } from "./parts.js";

/** How much of each part a profile does: executions, programs, injections. */
export const PROFILES = {
  quick: { fuzz: 200_000, differential: 2_000, faults: 300 },
  // Of the fuzzer's four modes one is honest: a million executions are hostile.
  ci: { fuzz: 1_400_000, differential: 20_000, faults: 1_200 },
  full: { fuzz: 1_000_000_000, differential: 1_000_000, faults: 1_000_000 },
} as const;
/** The name of a profile. */
export type ProfileName = keyof typeof PROFILES;

/** What a validation is to do. */
export interface ValidationOptions {
  readonly profile: ProfileName;
  readonly seed: number;
  /** All unless given. */
  readonly parts?: readonly PartName[];
  /** Rows of the catalogue; all unless given. */
  readonly rows?: readonly string[] | undefined;
  readonly faulty?: FaultyRelay | undefined;
  readonly corpus?: string | undefined;
  /** Begins no new piece of work after so many milliseconds. */
  readonly limitMs?: number | undefined;
  readonly signal: AbortSignal;
  /** Called a few times a second with the share that is done, 0 to 1, and a few words. */
  readonly onProgress?: (share: number, what: string) => void;
}

/** What a part's thread says. */
export interface PartMessage {
  readonly reports: PartReports;
  readonly units: number;
}

/** Runs every part of a validation on threads of their own, as many as there are cores. */
export class Validation {
  readonly options: ValidationOptions;
  readonly #jobs: PartJob[];
  readonly #done = new Map<PartJob, PartMessage>();
  readonly #running = new Set<Worker>();
  readonly #next: PartJob[];

  constructor(options: ValidationOptions) {
    this.options = options;
    const { parts = PARTS } = options;
    this.#jobs = PARTS.filter((part) => parts.includes(part)).flatMap((part) => this.#jobsOf(part));
    this.#next = [...this.#jobs];
  }

  /** Everything that came of it so far; complete once run() has returned true. */
  get reports(): PartReports {
    return [...this.#done.values()].map(({ reports }) => reports).reduce(mergeReports, {});
  }

  /** Does all of it; false when it was ended early. Throws RunBroken when a thread dies. */
  async run(): Promise<boolean> {
    const { signal } = this.options;
    const stop = () => void this.#stop();
    signal.addEventListener("abort", stop);
    try {
      await Promise.all(Array.from({ length: availableParallelism() }, () => this.#work()));
    } finally {
      signal.removeEventListener("abort", stop);
      await this.#stop();
    }
    return !signal.aborted;
  }

  async #work(): Promise<void> {
    for (let job = this.#next.shift(); job !== undefined; job = this.#next.shift()) {
      if (this.options.signal.aborted) return;
      await this.#do(job);
    }
  }

  #do(job: PartJob): Promise<void> {
    const worker = new Worker(new URL("./part.worker.js", import.meta.url), { workerData: job });
    this.#running.add(worker);
    return new Promise((resolve, reject) => {
      worker.on("message", (message: PartMessage) => {
        this.#done.set(job, message);
        this.#say(job);
      });
      worker.on("error", (error) => reject(new RunBroken(`${job.part}: ${error.message}`, { cause: error })));
      worker.on("exit", () => {
        this.#running.delete(worker);
        resolve();
      });
    });
  }

  #say(job: PartJob): void {
    const total = this.#jobs.reduce((sum, { part }) => sum + WEIGHT[part], 0);
    let done = 0;
    for (const [{ part, units }, message] of this.#done) done += (WEIGHT[part] * message.units) / units;
    this.options.onProgress?.(done / total, job.part);
  }

  async #stop(): Promise<void> {
    await Promise.all([...this.#running].map((worker) => worker.terminate()));
  }

  /** The catalogue is one job; the others are shared out, each with seeds of its own. */
  #jobsOf(part: PartName): PartJob[] {
    const { seed, faulty, rows, corpus, profile, limitMs = Number.POSITIVE_INFINITY } = this.options;
    const common = { part, faulty, rows, limitMs, corpus: undefined };
    if (part === "catalogue") return [{ ...common, seed, units: 1 }];
    const shares = availableParallelism();
    const units = Math.ceil(PROFILES[profile][part] / shares);
    return Array.from({ length: shares }, (_, share) => {
      const job = { ...common, seed: (seed * 1_000_003 + share * 0x4000_0000) >>> 0, units };
      return share === 0 && part === "fuzz" ? { ...job, corpus } : job;
    });
  }
}

/** About how long a part takes in the ci profile, for the progress bar. */
const WEIGHT: Readonly<Record<PartName, number>> = { fuzz: 5, differential: 5, faults: 5, catalogue: 1 };
