import { Worker } from "node:worker_threads";
import type { PingPongGo, PingPongReport, PingPongStart } from "../workers/ping-pong.worker.js";
import { workerUrl } from "../workers/worker-url.js";
import { median } from "./statistics.js";
import { allowedCpus, pinThread } from "./threads.js";

/** How the probe is run. */
export interface PingPongOptions {
  /** Where the two threads go; the first two CPUs the process may use unless told. */
  readonly cpus?: readonly number[];
  /** Longest time the threads spin, in milliseconds; the first quarter warms up. */
  readonly spinMs?: number;
}

/** What it costs to hand a cache line to another thread and get one back, now, on this machine. */
export interface PingPong {
  /** Over the windows; null when not one window was completed. */
  readonly round_trip_ns: { readonly min: number; readonly "50": number; readonly max: number } | null;
  /** Why there is no result, or why the result is not to be trusted; null when all went well. */
  readonly reason: string | null;
  readonly cpus: readonly number[];
  readonly rounds_per_window: number;
  /** Mean round trip of each window, in order. */
  readonly windows_ns: readonly number[];
}

const ROUNDS_PER_WINDOW = 1000;
const SPIN_MS = 80;
/** Two cache lines each, since some CPUs fetch lines in pairs. */
const BUFFER_BYTES = 256;
/** Time to start a worker on a busy machine, in milliseconds. */
const START_MS = 10_000;
/** Time from the deadline to the report on a busy machine, in milliseconds. */
const REPORT_MS = 5_000;

/**
 * Measures the round trip of a cache line between two pinned threads; some 150 ms, of which the threads spin 80.
 *
 * A probe of the machine, to stand beside a number that crosses threads. Ends by its deadlines, whatever the threads
 * do; says why when there is no result. Throws Error only when the workers are not built.
 */
export async function pingPong(options: PingPongOptions = {}): Promise<PingPong> {
  const cpus = options.cpus ?? allowedCpus().slice(0, 2);
  if (cpus.length !== 2) return resultOf(cpus, [], `needs two CPUs and may use ${cpus.length}`);
  const workers = startWorkers();
  try {
    const unpinned = await pinAll(workers, cpus);
    const windowsNs = await play(workers, options.spinMs ?? SPIN_MS);
    const unfinished = windowsNs.length === 0 ? `no ${ROUNDS_PER_WINDOW} round trips within the deadline` : null;
    return resultOf(cpus, windowsNs, [unpinned, unfinished].filter((reason) => reason !== null).join("; ") || null);
  } catch (error) {
    return resultOf(cpus, [], (error as Error).message);
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

function startWorkers(): Worker[] {
  const url = workerUrl("ping-pong");
  const buffer = new SharedArrayBuffer(BUFFER_BYTES);
  return (["ping", "pong"] as const).map((role) => {
    const workerData: PingPongStart = { role, buffer, roundsPerWindow: ROUNDS_PER_WINDOW };
    return new Worker(url, { workerData });
  });
}

/** Pins each worker to its CPU; says why when one could not be. */
async function pinAll(workers: readonly Worker[], cpus: readonly number[]): Promise<string | null> {
  const reports = await Promise.all(workers.map((worker) => nextReport(worker, START_MS)));
  const reasons = reports.map((report, index) => {
    if (report.type !== "ready" || report.tid === null) return "the thread has no id to pin it by";
    const result = pinThread(report.tid, cpus[index]!);
    return result.pinned ? null : result.reason;
  });
  return reasons.find((reason) => reason !== null) ?? null;
}

async function play(workers: readonly Worker[], spinMs: number): Promise<readonly number[]> {
  const reports = workers.map((worker) => nextReport(worker, spinMs + REPORT_MS));
  const nowNs = Number(process.hrtime.bigint());
  const go: PingPongGo = { warmUntilNs: nowNs + spinMs * 0.25e6, deadlineNs: nowNs + spinMs * 1e6 };
  for (const worker of workers) worker.postMessage(go);
  const [fromPing] = await Promise.all(reports);
  return fromPing?.type === "done" ? fromPing.windowsNs : [];
}

function nextReport(worker: Worker, timeoutMs: number): Promise<PingPongReport> {
  let timer: NodeJS.Timeout;
  const report = new Promise<PingPongReport>((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`a worker said nothing for ${timeoutMs} ms`)), timeoutMs);
    worker.once("message", resolve);
    worker.once("error", reject);
    worker.once("exit", () => reject(new Error("a worker ended without a report")));
  });
  return report.finally(() => clearTimeout(timer));
}

function resultOf(cpus: readonly number[], windowsNs: readonly number[], reason: string | null): PingPong {
  const measured = windowsNs.length > 0;
  return {
    round_trip_ns: measured
      ? { min: Math.min(...windowsNs), "50": median(windowsNs), max: Math.max(...windowsNs) }
      : null,
    reason,
    cpus,
    rounds_per_window: ROUNDS_PER_WINDOW,
    windows_ns: windowsNs,
  };
}
