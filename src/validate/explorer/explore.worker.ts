/** One exploration, on a thread of its own. */
import { parentPort, workerData } from "node:worker_threads";
import { type ExploreOptions, explore } from "./explore.js";

parentPort!.postMessage(explore(workerData as ExploreOptions));
