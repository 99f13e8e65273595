/** The relay's thread. */
import { workerData } from "node:worker_threads";
import { bellNumbers } from "../machine/arena.js";
import type { RelayStart } from "./messages.js";
import { runStations } from "./run-stations.js";
import { relayStation } from "./stations.js";

const start = workerData as RelayStart;
const bell = bellNumbers(start.config.placement).relay;
runStations((control) => [relayStation(start, control)], { bells: start.share.bells, bell, wait: start.wait });
