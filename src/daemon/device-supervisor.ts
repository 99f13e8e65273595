import { RunBroken, UsageError } from "../report/exit-codes.js";
import { BackOff } from "./back-off.js";
import {
  ControlError,
  type ControlEvent,
  type DataProcessOptions,
  type DeviceLogLine,
  parseDeviceLine,
  timestampOf,
} from "./control-messages.js";
import { type DeviceProcess, type ProcessEnd, type StartDevice, unusable } from "./device-process.js";
import { LineLimit } from "./line-limit.js";
import type { DeviceFacts, RoutedDevice } from "./router.js";
import { removeStale, SocketFile } from "./socket-file.js";
import type { Timers } from "./timers.js";

/** Requests that may wait for one data process. */
const PENDING_MAX = 64;
/** Milliseconds a data process has to listen after it was started. */
const START_MS = 20_000;
/** Milliseconds between two looks whether a data process still answers. */
const PROBE_EVERY_MS = 10_000;
/** Milliseconds without an answer after which a data process hangs. */
const HUNG_AFTER_MS = 30_000;
/** How much of its grace a data process hears of; the rest is for its end to be noticed. */
const GRACE_SHARE = 0.9;

/** Who hears of a device. */
export interface DeviceHeard {
  event(event: ControlEvent): void;
  log(line: DeviceLogLine): void;
}

interface Pending {
  readonly resolve: (value: object) => void;
  readonly reject: (error: ControlError) => void;
  readonly forget: () => void;
}

/** One life of a data process. */
interface Life {
  readonly process: DeviceProcess;
  readonly startedMs: number;
  readonly pending: Map<number, Pending>;
  ready: boolean;
  /** Takes back the timer of its start, then of the next probe. */
  untimed: () => void;
}

/**
 * One device: its data process, started, asked, and started again when it crashes.
 *
 * The first start decides: it fails when the process does not come to listen. A process that once listened is started
 * again however it ended, after a wait that doubles.
 */
export class DeviceSupervisor implements RoutedDevice {
  readonly options: DataProcessOptions;
  readonly #start: StartDevice;
  readonly #heard: DeviceHeard;
  readonly #timers: Timers;
  readonly #backOff = new BackOff();
  readonly #limit: LineLimit;
  #state: DeviceFacts["process"] = "starting";
  #life: Life | undefined;
  #restarts = 0;
  #nextId = 1;
  /** The socket of a process that listened. */
  #file: SocketFile | undefined;
  /** Whether the last process ended by itself, and thereby without its socket. */
  #tidy = true;
  #untimed: () => void = () => {};
  #onFirst: { resolve: () => void; reject: (error: Error) => void } | undefined;
  #onStopped: ((clean: boolean) => void) | undefined;
  #stopped: Promise<boolean> | undefined;

  constructor(options: DataProcessOptions, start: StartDevice, heard: DeviceHeard, timers: Timers) {
    this.options = options;
    this.#start = start;
    this.#heard = heard;
    this.#timers = timers;
    this.#limit = new LineLimit(timers, (dropped) => this.#tellDropped(dropped));
  }

  /** Starts the data process; resolves when it listens, rejects with UsageError (exit code 2) or RunBroken. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#stopped !== undefined)
        return reject(new RunBroken(`${this.options.listen}: stopped before it started`));
      this.#onFirst = { resolve, reject };
      this.#launch();
    });
  }

  facts(): DeviceFacts {
    const { index, listen, connect } = this.options;
    const pid = this.#life?.process.pid ?? null;
    return { index, listen, connect, process: this.#state, pid, restarts: this.#restarts };
  }

  request(execute: string, args: Readonly<Record<string, unknown>>, limitMs: number): Promise<object> {
    const life = this.#life;
    const name = this.options.listen;
    if (life === undefined || !life.ready) {
      return Promise.reject(new ControlError("DeviceNotActive", `${name}: its data process is ${this.#state}`));
    }
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      const line = JSON.stringify({ execute, arguments: args, id });
      if (life.pending.size >= PENDING_MAX || !life.process.send(line)) {
        reject(new ControlError("GenericError", `${name}: too many requests wait for an answer`));
        return;
      }
      const forget = this.#timers.after(limitMs, () => {
        life.pending.delete(id);
        reject(new ControlError("GenericError", `${name}: no answer to ${execute} within ${limitMs} ms`));
      });
      life.pending.set(id, { resolve, reject, forget });
    });
  }

  /** Asks the data process to end and waits for it; false when it had to be ended after its grace. */
  stop(): Promise<boolean> {
    this.#stopped ??= this.#stop().then(async (clean) => {
      // One that crashed or was killed has left its socket.
      if (!this.#tidy) await removeStale(this.options.listen);
      return clean;
    });
    return this.#stopped;
  }

  /** Ends the data process at once and removes its socket; for a process that is about to exit. */
  abandon(): void {
    this.#untimed();
    this.#state = "stopping";
    this.#life?.process.kill();
    this.#file?.remove();
  }

  #stop(): Promise<boolean> {
    this.#untimed();
    const life = this.#life;
    this.#state = life === undefined ? "stopped" : "stopping";
    if (life === undefined) return Promise.resolve(true);
    return new Promise((resolve) => {
      let killed = false;
      const untimed = this.#timers.after(this.options.graceMs, () => {
        killed = true;
        life.process.kill();
      });
      this.#onStopped = (clean) => {
        untimed();
        resolve(!life.ready || (clean && !killed));
      };
      life.untimed();
      // One that never listened has nothing to give back.
      if (!life.ready || !life.process.send('{"execute":"stop","arguments":{},"id":0}')) life.process.kill();
    });
  }

  #launch(): void {
    this.#state = "starting";
    const startedMs = this.#timers.now();
    const untimed = this.#timers.after(START_MS, () => this.#end(life, `it did not listen within ${START_MS} ms`));
    const options = { ...this.options, graceMs: Math.floor(GRACE_SHARE * this.options.graceMs) };
    const process = this.#start(options, {
      line: (text) => this.#take(life, text),
      ended: (end) => this.#over(life, end),
    });
    const life: Life = { process, startedMs, pending: new Map(), ready: false, untimed };
    this.#life = life;
  }

  #take(life: Life, text: string | undefined): void {
    const line = text === undefined ? { kind: "bad" as const, why: "a line that is too long" } : parseDeviceLine(text);
    if (line.kind === "bad") this.#end(life, `it sent ${line.why}`);
    else if (line.kind === "log") this.#logged(line.log);
    else if (line.kind === "event") this.#happened(life, line.event);
    else {
      const pending = life.pending.get(line.id);
      life.pending.delete(line.id);
      pending?.forget();
      if (line.kind === "return") pending?.resolve(line.value);
      else pending?.reject(line.error);
    }
  }

  #happened(life: Life, event: ControlEvent): void {
    if (event.event === "DEVICE_READY" && !life.ready && this.#state === "starting") {
      life.ready = true;
      life.untimed();
      this.#state = "ready";
      this.#file = SocketFile.at(this.options.listen);
      this.#probeLater(life);
      this.#onFirst?.resolve();
      this.#onFirst = undefined;
    }
    if (!this.#limit.takes(event.event)) return;
    this.#heard.event({ ...event, data: { ...event.data, device: this.options.listen } });
  }

  #logged(line: DeviceLogLine): void {
    if (this.#limit.takes("log")) this.#heard.log(line);
  }

  #tellDropped(dropped: Readonly<Record<string, number>>): void {
    const words = Object.entries(dropped).map(([kind, count]) => `${count} more of ${kind}`);
    const data = { listen: this.options.listen, device: this.options.listen, dropped, why: words.join(", ") };
    this.#heard.event({ event: "LINES_DROPPED", data, timestamp: timestampOf(Date.now()) });
  }

  /** Looks now and then whether the process still answers; a process that hangs serves nobody. */
  #probeLater(life: Life): void {
    life.untimed = this.#timers.after(PROBE_EVERY_MS, () => {
      this.request("query-status", {}, HUNG_AFTER_MS).then(
        () => this.#life === life && this.#state === "ready" && this.#probeLater(life),
        () => this.#life === life && this.#state === "ready" && this.#end(life, "it does not answer any more"),
      );
    });
  }

  /** Ends a process that went wrong. */
  #end(life: Life, why: string): void {
    if (this.#life !== life) return;
    this.#heard.log({ level: "error", msg: `the data process is ended: ${why}`, fields: {} });
    life.process.kill();
  }

  #over(life: Life, end: ProcessEnd): void {
    life.untimed();
    this.#limit.flush();
    this.#life = undefined;
    this.#tidy = end.code === 0 || unusable(end) !== undefined;
    const gone = new ControlError("DeviceNotActive", `${this.options.listen}: its data process ended`);
    for (const { reject, forget } of life.pending.values()) {
      forget();
      reject(gone);
    }
    life.pending.clear();
    if (this.#state === "stopping") {
      this.#state = "stopped";
      this.#onFirst?.reject(new RunBroken(`${this.options.listen}: stopped before it listened`));
      this.#onStopped?.(end.code === 0);
    } else if (this.#onFirst !== undefined) {
      this.#state = "stopped";
      this.#onFirst.reject(startFailure(this.options.listen, end));
      this.#onFirst = undefined;
    } else {
      this.#lost(life, end);
    }
  }

  #lost(life: Life, { code, signal, lastLine }: ProcessEnd): void {
    this.#state = "lost";
    const waitMs = this.#backOff.afterLifeOf(this.#timers.now() - life.startedMs);
    const how = signal === null ? { code } : { signal };
    const data = { listen: this.options.listen, device: this.options.listen, ...how, restart_in_ms: waitMs };
    const fields = { ...how, restart_in_ms: waitMs, ...(lastLine === undefined ? {} : { stderr: lastLine }) };
    this.#heard.log({ level: "error", msg: "the data process is lost", fields });
    this.#heard.event({ event: "DEVICE_PROCESS_LOST", data, timestamp: timestampOf(Date.now()) });
    this.#untimed = this.#timers.after(waitMs, () => {
      this.#restarts++;
      this.#launch();
    });
  }
}

function startFailure(listen: string, end: ProcessEnd): Error {
  const line = unusable(end);
  if (line !== undefined) return new UsageError(line);
  const how = end.signal === null ? `exit code ${end.code}` : end.signal;
  return new RunBroken(`${listen}: the data process ended before it listened (${how})${last(end)}`);
}

function last({ lastLine }: ProcessEnd): string {
  return lastLine === undefined ? "" : `: ${lastLine}`;
}
