import { Worker } from "node:worker_threads";
import type { Kill, KillJob } from "./killers.js";
import type { Mutant } from "./mutant.js";
import { MUTANTS } from "./mutant-list.js";
import { NOT_MUTANTS } from "./not-mutants.js";
import { PatchedBuild } from "./patched-build.js";

/** Which mutants are to be judged. */
export interface MutantOptions {
  readonly seed: number;
  /** Names or rows; all unless given. */
  readonly only?: readonly string[];
  /** Others than those of the list. */
  readonly mutants?: readonly Mutant[];
  /** Who judges them, in a thread that imports the mutant: a built file below the sources; the relay's unless given. */
  readonly judge?: string;
  /** Ends the run, which then throws the reason; what it has written is removed. */
  readonly signal?: AbortSignal;
  /** Called after each with the number done, all, and what came of it. */
  readonly onProgress?: (done: number, total: number, result: MutantResult) => void;
}

/** What came of one mutant. */
interface MutantResult {
  readonly name: string;
  readonly row: string;
  readonly also?: string;
  readonly what: string;
  /** The check that noticed it first, as in "catalogue BI-44"; null for a survivor. */
  readonly killed_by: string | null;
  /** Cases, programs and injections that were run up to then. */
  readonly executions: number;
}

/** What came of all of them; plain data. */
export interface MutantReport {
  readonly schema: "shadowvq.mutants/1";
  readonly total: number;
  readonly killed: number;
  /** Names of those that nobody noticed: each is a check that is missing. */
  readonly survivors: readonly string[];
  readonly list: readonly MutantResult[];
  /** All checks on a copy without a patch: what kills it is a mistake of theirs. Null where `only` was given. */
  readonly control: Kill | null;
  /** Rows that have no mutant, and why. */
  readonly not_mutants: readonly { readonly row: string; readonly why: string }[];
}

/**
 * Judges each mutant by all checks, up to the first that notices it; the same seed gives the same report.
 *
 * Throws PatchError when a mutant does not fit the build, RangeError when `only` names what is none.
 */
export async function runMutants(options: MutantOptions): Promise<MutantReport> {
  const { seed, only, mutants = MUTANTS, judge = RELAY_JUDGE, signal, onProgress } = options;
  const unknown = only?.find((wanted) => !mutants.some(({ name, row }) => name === wanted || row === wanted));
  if (unknown !== undefined) throw new RangeError(`no mutant is called ${unknown}`);
  const chosen = mutants.filter(({ name, row }) => only === undefined || only.includes(name) || only.includes(row));
  const build = new PatchedBuild();
  const judged = (patches: Mutant["patches"], first: readonly string[]) =>
    build.with(patches, () => killIn(build.path(judge), { seed, first }, signal));
  try {
    const list: MutantResult[] = [];
    for (const { name, row, also, what, patches, tries = [] } of chosen) {
      const result = { name, row, ...(also && { also }), what, ...(await judged(patches, [row, ...tries])) };
      list.push(result);
      onProgress?.(list.length, chosen.length, result);
    }
    return reportOf(list, only === undefined ? await judged([], []) : null);
  } finally {
    build.remove();
  }
}

function reportOf(list: readonly MutantResult[], control: Kill | null): MutantReport {
  const survivors = list.filter(({ killed_by }) => killed_by === null).map(({ name }) => name);
  return {
    schema: "shadowvq.mutants/1",
    total: list.length,
    killed: list.length - survivors.length,
    survivors,
    list,
    control,
    not_mutants: Object.entries(NOT_MUTANTS).map(([row, why]) => ({ row, why })),
  };
}

/** On a thread of its own: only there are all modules loaded anew. One that dies of the mutant has noticed it. */
async function killIn(judge: string, workerData: KillJob, signal?: AbortSignal): Promise<Kill> {
  signal?.throwIfAborted();
  const worker = new Worker(judge, { workerData });
  const stop = () => void worker.terminate();
  signal?.addEventListener("abort", stop);
  try {
    return await new Promise((resolve, reject) => {
      worker.on("message", resolve);
      worker.on("error", ({ message }) => resolve({ killed_by: `loading it: ${message}`, executions: 1 }));
      worker.on("exit", () => reject(signal?.reason ?? new Error("a thread ended without a word")));
    });
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

/** Holds a mutant of the relay against catalogue, fuzzer, machines and faults. */
const RELAY_JUDGE = "validate/mutants/mutant.worker.js";
