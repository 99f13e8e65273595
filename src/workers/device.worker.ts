/** The device's thread. */
import { workerData } from "node:worker_threads";
import { bellNumbers } from "../machine/arena.js";
import type { DeviceStart } from "./messages.js";
import { runStations } from "./run-stations.js";
import { deviceStation } from "./stations.js";

const start = workerData as DeviceStart;
const bell = bellNumbers(start.config.placement).device;
runStations((control) => [deviceStation(start, control)], { bells: start.share.bells, bell, wait: start.wait });
