import { spawn } from "node:child_process";
import { Socket } from "node:net";
import { type Duplex, Writable } from "node:stream";
import { Worker } from "node:worker_threads";
import {
  type DataProcessOptions,
  type DataWorkerData,
  DEVICE_LINE_BYTES_MAX,
  UNUSABLE_EXIT_CODE,
} from "./control-messages.js";
import { LineSplitter } from "./line-splitter.js";

/** Bytes of its stderr that are kept of a data process. */
const STDERR_BYTES_MAX = 4096;
/** Bytes of requests that a data process may leave unread. */
const UNREAD_BYTES_MAX = 2 ** 20;

/** How a data process ended. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: string | null;
  /** The last line it wrote to stderr that is not empty, if any. */
  readonly lastLine: string | undefined;
}

/** What is heard of a data process. */
export interface ProcessHeard {
  /** A line on the control line; undefined for one that was too long. */
  line(text: string | undefined): void;
  /** It is over: called once, after its last line. */
  ended(end: ProcessEnd): void;
}

/** A data process that runs. */
export interface DeviceProcess {
  /** Undefined when there is none: a worker, or a process that could not be started. */
  readonly pid: number | undefined;
  /** Sends a line; false when the process has left too much unread. */
  send(line: string): boolean;
  /** Ends it without its help. */
  kill(): void;
}

/** Starts the data process of a device. */
export type StartDevice = (options: DataProcessOptions, heard: ProcessHeard) => DeviceProcess;

/** Starts data processes from a built file: options in the first argument, fd 3 is the control line. */
export function processesOf(file: string): StartDevice {
  return (options, heard) => {
    const { NOTIFY_SOCKET: _, ...env } = process.env;
    const child = spawn(process.execPath, [file, JSON.stringify(options)], {
      env,
      stdio: ["ignore", "ignore", "pipe", "pipe"],
    });
    const tail = new Tail();
    child.stderr?.pipe(tail);
    const control = child.stdio[3] as Duplex & { writableLength: number };
    listen(control, heard);
    let failed: string | undefined;
    child.on("error", (error) => {
      failed = error.message;
      if (child.pid === undefined) heard.ended({ code: null, signal: null, lastLine: failed });
    });
    child.on("close", (code, signal) => {
      if (child.pid !== undefined) heard.ended({ code, signal, lastLine: tail.lastLine() ?? failed });
    });
    return { pid: child.pid, send: (line) => send(control, line), kill: () => void child.kill("SIGKILL") };
  };
}

/**
 * Runs data processes as workers of this process instead, each with one end of a pair of sockets.
 *
 * `makePair` returns two connected Unix stream sockets: [ours, the worker's].
 */
export function workersOf(file: string, makePair: () => readonly [number, number]): StartDevice {
  return (options, heard) => {
    const [ours, controlFd] = makePair();
    const control = new Socket({ fd: ours, readable: true, writable: true });
    const tail = new Tail();
    listen(control, heard);
    const workerData: DataWorkerData = { options, controlFd };
    const worker = new Worker(file, { workerData, stderr: true, stdout: true });
    worker.stderr.pipe(tail);
    worker.stdout.resume();
    let failed: string | undefined;
    worker.on("error", (error) => {
      failed = (error as Error).message;
    });
    worker.on("exit", (code) => {
      // The worker may end without closing its end: what it said last is here all the same.
      setImmediate(() => {
        control.destroy();
        heard.ended({ code, signal: null, lastLine: failed ?? tail.lastLine() });
      });
    });
    return { pid: undefined, send: (line) => send(control, line), kill: () => void worker.terminate() };
  };
}

/** One clear line when the process could not use what it was given; undefined when it ended otherwise. */
export function unusable({ code, lastLine }: ProcessEnd): string | undefined {
  return code === UNUSABLE_EXIT_CODE
    ? (lastLine?.replace(/^svq: /, "") ?? "the data process gave no reason")
    : undefined;
}

function listen(control: Duplex, heard: ProcessHeard): void {
  const lines = new LineSplitter(DEVICE_LINE_BYTES_MAX);
  control.on("data", (piece: Buffer) => {
    for (const line of lines.push(piece)) heard.line(line);
  });
  // A process that dies while it is written to: its end is told by "close".
  control.on("error", () => {});
}

function send(control: Duplex, line: string): boolean {
  if (control.destroyed || control.writableLength > UNREAD_BYTES_MAX) return false;
  control.write(`${line}\n`);
  return true;
}

/** Keeps the end of what is written to it. */
class Tail extends Writable {
  #text = "";

  override _write(piece: Buffer, _encoding: string, done: () => void): void {
    this.#text = (this.#text + piece.toString("utf8")).slice(-STDERR_BYTES_MAX);
    done();
  }

  lastLine(): string | undefined {
    const lines = this.#text.split("\n").map((line) => line.replaceAll(/\p{Cc}+/gu, " ").trim());
    return lines.findLast((line) => line !== "" && !line.startsWith("at ") && !line.startsWith("Node.js v"));
  }
}
