/** One side of a ring kernel: takes windows as they are posted, the driver by the clock, the device until the end. */
import { parentPort, workerData } from "node:worker_threads";
import { median } from "../../src/lab/statistics.js";
import { RealMemory } from "../../src/memory/real-memory.js";
import { osThreadId } from "../../src/telemetry/os-thread.js";
import { RING_HEADER } from "../inputs/ring-input.js";
import { nowNs } from "./kernel.js";
import { DeviceSide, DriverSide, type RingShare } from "./ring-sides.js";

/** What the main thread posts. */
export interface RingCommand {
  readonly number: number;
  readonly ns: number;
}

/** What a side answers: its thread's id first (0: unknown), then what a window came to. */
export interface RingReport {
  readonly value: number;
}

/** Requests of one slice, by those in flight: short against a scheduler's slice, long against the clock. */
const SLICE_ALONE = 200;
const SLICE_DEEP = 8192;

const { role, share } = workerData as { readonly role: "driver" | "device"; readonly share: RingShare };
const stop = new RealMemory(share.stop);
const run = role === "driver" ? driverWindows() : deviceWindows();
parentPort!.on("message", (command: RingCommand) => report(run(command)));
report(osThreadId() ?? 0);

function report(value: number): void {
  parentPort!.postMessage({ value } satisfies RingReport);
}

function driverWindows(): (command: RingCommand) => number {
  const driver = new DriverSide(share);
  const requests = share.input[RING_HEADER.outstanding] === 1 ? SLICE_ALONE : SLICE_DEEP;
  return ({ number, ns }) => {
    const samples: number[] = [];
    const end = nowNs() + ns;
    while (nowNs() < end) samples.push(slice(driver, requests));
    while (driver.ring.state.outstanding > 0) driver.takeAll();
    stop.publish16(0, number);
    return median(samples);
  };
}

function slice(driver: DriverSide, requests: number): number {
  const start = nowNs();
  let done = 0;
  while (done < requests) {
    driver.offer();
    done += driver.takeAll();
  }
  return (nowNs() - start) / done;
}

function deviceWindows(): (command: RingCommand) => number {
  const device = new DeviceSide(share);
  return ({ number }) => {
    while (stop.observe16(0) !== (number & 0xffff)) for (let turn = 0; turn < 16; turn++) device.step();
    return number;
  };
}
