import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { RunBroken } from "../../report/exit-codes.js";
import { type Exploration, type ExploreOptions, modelName } from "./explore.js";

/** When to end early, and whom to tell. */
export interface ThreadsOptions {
  /** Ends what is under way. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each exploration. */
  readonly onDone: (name: string) => void;
}

/**
 * Explores as many plays at a time as there are processors; the reports of those that came to an end, in order.
 *
 * A play with a cast of its own cannot cross threads. Throws RunBroken when a thread dies.
 */
export async function exploreInThreads(
  plays: readonly ExploreOptions[],
  { signal, onDone }: ThreadsOptions,
): Promise<Exploration[]> {
  const reports: (Exploration | undefined)[] = plays.map(() => undefined);
  const left = [...plays.entries()];
  const lane = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const [number, play] = next;
      reports[number] = await explored(play, signal);
      if (signal?.aborted) return;
      onDone(modelName(play));
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, lane));
  return reports.filter((report) => report !== undefined);
}

/** Undefined when the signal came first. */
function explored(play: ExploreOptions, signal: AbortSignal | undefined): Promise<Exploration | undefined> {
  if (signal?.aborted) return Promise.resolve(undefined);
  const worker = new Worker(new URL("./explore.worker.js", import.meta.url), { workerData: play });
  const stop = () => void worker.terminate();
  signal?.addEventListener("abort", stop);
  return new Promise((resolve, reject) => {
    worker.on("message", resolve);
    worker.on("error", (error) => reject(new RunBroken(`${modelName(play)}: ${error.message}`, { cause: error })));
    worker.on("exit", () => {
      signal?.removeEventListener("abort", stop);
      resolve(undefined);
    });
  });
}
