/** Runs in a copy of the build: everything it imports is the mutant's. */
import { parentPort, workerData } from "node:worker_threads";
import { withDecoy } from "./decoy.js";
import { type KillJob, killOf } from "./killers.js";

const { seed, first } = workerData as KillJob;
parentPort!.postMessage(killOf(withDecoy(), seed, first));
