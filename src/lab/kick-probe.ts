import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { BELL_BYTES, Doorbell } from "../memory/bell.js";
import { workerUrl } from "../workers/worker-url.js";
import { median } from "./statistics.js";
import { allowedCpus, pinThread } from "./threads.js";

const ROUNDS = 100;

/**
 * Measures what waking a sleeping thread costs here: half of a round trip over two doorbells, in nanoseconds.
 *
 * Blocks the calling thread for some milliseconds. Null when the other thread does not answer.
 */
export async function kickNs(): Promise<number | null> {
  const buffer = new SharedArrayBuffer(2 * BELL_BYTES);
  const worker = new Worker(workerUrl("bell-echo"), { workerData: buffer });
  try {
    const [tid] = (await once(worker, "message")) as [number | null];
    const cpu = allowedCpus()[1];
    if (tid !== null && cpu !== undefined) pinThread(tid, cpu);
    return playRounds(new Doorbell(buffer, 0), new Doorbell(buffer, 1));
  } finally {
    await worker.terminate();
  }
}

function playRounds(theirs: Doorbell, mine: Doorbell): number | null {
  const samples: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const heard = mine.observe();
    const start = performance.now();
    theirs.ring();
    if (!mine.sleep(heard, 500)) return null;
    samples.push(((performance.now() - start) * 1e6) / 2);
  }
  return median(samples);
}
