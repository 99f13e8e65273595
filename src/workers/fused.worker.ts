/** Relay and device on one thread: what a shadow virtqueue in the kernel, beside the device, would be. */
import { workerData } from "node:worker_threads";
import { bellNumbers } from "../machine/arena.js";
import type { FusedStart } from "./messages.js";
import { runStations } from "./run-stations.js";
import { deviceStation, relayStation } from "./stations.js";

const start = workerData as FusedStart;
const bell = bellNumbers(start.config.placement).device;
runStations((control) => [relayStation(start.relay, control), deviceStation(start.device, control)], {
  bells: start.relay.share.bells,
  bell,
  wait: start.wait,
});
