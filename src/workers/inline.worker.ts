/** Driver, relay and device on one thread: no notification crosses anything, so what is left is the work itself. */
import { workerData } from "node:worker_threads";
import { bellNumbers } from "../machine/arena.js";
import type { InlineStart } from "./messages.js";
import { runStations } from "./run-stations.js";
import { deviceStation, driverStation, relayStation } from "./stations.js";

const start = workerData as InlineStart;
runStations(
  (control) => [
    driverStation(start.driver, control),
    relayStation(start.relay, control),
    deviceStation(start.device, control),
  ],
  { bells: start.relay.share.bells, bell: bellNumbers(start.config.placement).driver, wait: start.wait },
);
