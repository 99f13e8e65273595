import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { allowedCpus, pinThread } from "../../src/lab/threads.js";
import { RunBroken } from "../../src/report/exit-codes.js";
import { packageRoot } from "../../src/workers/worker-url.js";
import type { Form } from "./forms.js";
import type { LitmusReport, LitmusStart } from "./litmus.worker.js";
import { LITMUS_BYTES, SIDES } from "./rounds.js";
import type { FormResult } from "./verdict.js";

/** Rounds between two looks at the clock and at Ctrl-C: some 50 ms where nobody else wants the CPUs. */
const ROUNDS_AT_ONCE = 50_000;
/** Longest time for that many rounds, and for a start, on a busy machine. */
const PATIENCE_MS = 120_000;

/** How a match is played. */
export interface MatchOptions {
  readonly rounds: number;
  readonly signal: AbortSignal;
  /** Told after every so many rounds how many more were played. */
  readonly onRounds: (rounds: number) => void;
  /** How long the threads may say nothing. */
  readonly patienceMs?: number;
}

/** What a match came to, and why its threads were not kept on their CPUs if they were not. */
export interface MatchResult extends FormResult {
  readonly unpinned: string | undefined;
}

/**
 * Plays one form between two pinned threads of their own, which spin and are always ended from here.
 *
 * Throws RunBroken when they fail, say nothing for too long, or when the signal fires.
 */
export async function playMatch(form: Form, options: MatchOptions): Promise<MatchResult> {
  const cpus = allowedCpus();
  if (cpus.length < 2) throw new RunBroken(`a litmus needs two CPUs and may use ${cpus.length}`);
  const buffer = new SharedArrayBuffer(LITMUS_BYTES);
  const workers = SIDES.map((side) => {
    const workerData: LitmusStart = { side, form: form.name, buffer };
    return new Worker(join(packageRoot(), "dist", "bench", "litmus", "litmus.worker.js"), { workerData });
  });
  try {
    const ids = await reportsOf(workers, options);
    const unpinned = ids.map(({ value }, index) => unpinnedBecause(value, cpus[index]!)).find((why) => why);
    const start = performance.now();
    const lost = await playAll(workers, options);
    const seconds = Math.round(performance.now() - start) / 1000;
    return { name: form.name, rounds: options.rounds, lost, seconds, unpinned };
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

async function playAll(workers: readonly Worker[], options: MatchOptions): Promise<number> {
  let lost = 0;
  for (let left = options.rounds; left > 0; ) {
    const rounds = Math.min(left, ROUNDS_AT_ONCE);
    const reports = reportsOf(workers, options);
    for (const worker of workers) worker.postMessage(rounds);
    lost += (await reports)[SIDES.indexOf("harvester")]!.value;
    left -= rounds;
    options.onRounds(rounds);
  }
  return lost;
}

/** The next report of each worker. */
async function reportsOf(workers: readonly Worker[], options: MatchOptions): Promise<LitmusReport[]> {
  const { signal, patienceMs = PATIENCE_MS } = options;
  const over = new AbortController();
  const listening = { once: true, signal: over.signal } as const;
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise((resolve, reject) => {
      const fail = (why: string) => reject(new RunBroken(why));
      if (signal.aborted) fail("interrupted");
      signal.addEventListener("abort", () => fail("interrupted"), listening);
      timer = setTimeout(() => fail(`the threads of a litmus said nothing for ${patienceMs / 1000} s`), patienceMs);
      Promise.all(workers.map((worker) => nextReport(worker, over.signal))).then(resolve, reject);
    });
  } finally {
    clearTimeout(timer);
    over.abort();
  }
}

function nextReport(worker: Worker, over: AbortSignal): Promise<LitmusReport> {
  return new Promise((resolve, reject) => {
    const ended = () => reject(new RunBroken("a thread of a litmus ended without a word"));
    worker.once("message", resolve).once("error", reject).once("exit", ended);
    over.addEventListener("abort", () => {
      worker.off("message", resolve).off("error", reject).off("exit", ended);
    });
  });
}

function unpinnedBecause(tid: number, cpu: number): string | undefined {
  if (tid === 0) return "the thread has no id to pin it by";
  const result = pinThread(tid, cpu);
  return result.pinned ? undefined : result.reason;
}
