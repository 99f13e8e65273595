import type { DataProcessOptions } from "../../src/daemon/control-messages.js";
import type { DeviceProcess, ProcessEnd, ProcessHeard, StartDevice } from "../../src/daemon/device-process.js";

/** A data process that a test plays. */
export class ScriptedProcess implements DeviceProcess {
  readonly pid: number;
  readonly options: DataProcessOptions;
  readonly heard: ProcessHeard;
  /** Requests that came, oldest first. */
  readonly requests: { readonly execute: string; readonly arguments: object; readonly id: number }[] = [];
  killed = 0;
  /** Whether it takes lines. */
  reads = true;

  constructor(pid: number, options: DataProcessOptions, heard: ProcessHeard) {
    this.pid = pid;
    this.options = options;
    this.heard = heard;
  }

  send(line: string): boolean {
    if (this.reads) this.requests.push(JSON.parse(line) as ScriptedProcess["requests"][number]);
    return this.reads;
  }

  kill(): void {
    this.killed++;
    this.end({ code: null, signal: "SIGKILL" });
  }

  say(message: object): void {
    this.heard.line(JSON.stringify(message));
  }

  ready(): void {
    this.say({ event: "DEVICE_READY", data: { listen: this.options.listen } });
  }

  end(end: Partial<ProcessEnd>): void {
    this.heard.ended({ code: null, signal: null, lastLine: undefined, ...end });
  }
}

/** Starts scripted processes, and keeps them. */
export function scriptedStart(): { readonly start: StartDevice; readonly processes: ScriptedProcess[] } {
  const processes: ScriptedProcess[] = [];
  const start: StartDevice = (options, heard) => {
    const made = new ScriptedProcess(1000 + processes.length, options, heard);
    processes.push(made);
    return made;
  };
  return { start, processes };
}

/** Options of a device that no test reads. */
export function deviceOptions(listen = "/nowhere/guest.sock"): DataProcessOptions {
  return { index: 0, listen, connect: "/nowhere/ok.sock", datapath: "svq", maskBackendFeatures: "", graceMs: 5000 };
}
