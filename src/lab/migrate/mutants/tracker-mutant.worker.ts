/** Runs in a copy of the build: every tracker that it tries is the mutant's. */
import { parentPort, workerData } from "node:worker_threads";
import type { KillJob } from "../../../validate/mutants/killers.js";
import { trackerKill } from "./tracker-killers.js";

const { seed, first } = workerData as KillJob;
parentPort!.postMessage(await trackerKill(seed, first));
