/** The driver's thread. */
import { workerData } from "node:worker_threads";
import { bellNumbers } from "../machine/arena.js";
import type { DriverStart } from "./messages.js";
import { runStations } from "./run-stations.js";
import { driverStation } from "./stations.js";

const start = workerData as DriverStart;
const bell = bellNumbers(start.config.placement).driver;
runStations((control) => [driverStation(start, control)], { bells: start.share.bells, bell, wait: start.wait });
