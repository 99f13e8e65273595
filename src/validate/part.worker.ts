/** One job of a validation, on a thread of its own. */
import { parentPort, workerData } from "node:worker_threads";
import { type PartJob, runPart } from "./parts.js";

runPart(workerData as PartJob, (reports, units) => parentPort!.postMessage({ reports, units }));
