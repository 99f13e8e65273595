import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { allowedCpus, pinThread } from "../../src/lab/threads.js";
import { RELAY_HEADER } from "../inputs/relay-input.js";
import { RING_HEADER as H, RING_HEADER_WORDS } from "../inputs/ring-input.js";
import { check, type Kernel } from "./kernel.js";
import type { RingCommand, RingReport } from "./ring.worker.js";
import { DeviceSide, DriverSide, type RingShare } from "./ring-sides.js";

/** Driver and device, or driver and relay with device, on two pinned threads that poll; the unit is one request. */
export class RingKernel implements Kernel {
  readonly #share: RingShare;
  readonly #workers: Worker[] = [];
  #window = 0;

  constructor(input: Int32Array) {
    this.#share = newShare(input);
  }

  async outputs(): Promise<Uint8Array> {
    const written = writtenInLockstep(this.#share.input);
    await this.#startThreads();
    return written;
  }

  async window(ns: number): Promise<number> {
    this.#window += 1;
    const [driver, device] = this.#workers as [Worker, Worker];
    const answers = Promise.all([nextReport(driver), nextReport(device)]);
    for (const worker of this.#workers) worker.postMessage({ number: this.#window, ns } satisfies RingCommand);
    const [{ value }] = await answers;
    return value;
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  async #startThreads(): Promise<void> {
    for (const role of ["driver", "device"] as const) {
      const workerData = { role, share: this.#share };
      this.#workers.push(new Worker(new URL("./ring.worker.js", import.meta.url), { workerData }));
    }
    const ids = await Promise.all(this.#workers.map(nextReport));
    const cpus = allowedCpus();
    for (const [index, { value: tid }] of ids.entries()) {
      const cpu = cpus[index];
      if (cpu !== undefined && tid !== 0) pinThread(tid, cpu);
    }
  }
}

/** What the work of an input writes in one thread, in lockstep: only so do two sides write the same bytes. */
export function writtenInLockstep(input: Int32Array): Uint8Array {
  const share = newShare(input);
  const driver = new DriverSide(share);
  const device = new DeviceSide(share);
  for (let round = 0; round < input[H.rounds]!; round++) {
    driver.offer();
    device.step();
    device.step(); // A relay takes back now what the device returned after its first turn.
    check(driver.takeAll() === input[H.outstanding], "every request came back");
  }
  return Buffer.concat([share.guest, share.shadow, share.log].map((buffer) => new Uint8Array(buffer)));
}

async function nextReport(worker: Worker): Promise<RingReport> {
  const [report] = (await once(worker, "message")) as [RingReport];
  return report;
}

function newShare(input: Int32Array): RingShare {
  const relay = input.subarray(RING_HEADER_WORDS);
  return {
    input,
    guest: new SharedArrayBuffer(relay[RELAY_HEADER.stride]!),
    shadow: new SharedArrayBuffer(relay[RELAY_HEADER.stride]!),
    log: new SharedArrayBuffer(relay[RELAY_HEADER.logBytes]!),
    stop: new SharedArrayBuffer(64),
  };
}
