/** Sleeps on one doorbell and rings the other, until a second passes without a ring: what a kick costs. */
import { parentPort, workerData } from "node:worker_threads";
import { Doorbell } from "../memory/bell.js";
import { osThreadId } from "../telemetry/os-thread.js";

const buffer = workerData as SharedArrayBuffer;
const mine = new Doorbell(buffer, 0);
const theirs = new Doorbell(buffer, 1);
let heard = mine.observe();
parentPort!.postMessage(osThreadId());
while (mine.sleep(heard, 1000)) {
  heard = mine.observe();
  theirs.ring();
}
