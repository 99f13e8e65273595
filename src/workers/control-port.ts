import { type MessagePort, parentPort, receiveMessageOnPort, threadId } from "node:worker_threads";
import { osThreadId } from "../telemetry/os-thread.js";
import type { Command, Report } from "./messages.js";

/** A worker's end of its control channel, read by hand since the thread never returns to its event loop. */
export class ControlPort {
  readonly #port: MessagePort;

  constructor() {
    if (parentPort === null) throw new Error(`thread ${threadId} is no worker`);
    this.#port = parentPort;
  }

  /** Takes the next command, if there is one. */
  receive(): Command | undefined {
    return receiveMessageOnPort(this.#port)?.message as Command | undefined;
  }

  /** Posts a report; it leaves at once, also while this thread blocks. */
  send(report: Report): void {
    this.#port.postMessage(report);
  }

  /** Says that the thread is up and which one it is to the kernel. */
  ready(): void {
    this.send({ kind: "ready", tid: osThreadId() });
  }
}
