import type { ControlEvent, DataProcessOptions, DeviceLogLine } from "./control-messages.js";
import type { StartDevice } from "./device-process.js";
import { DeviceSupervisor } from "./device-supervisor.js";
import type { Timers } from "./timers.js";

/** Who hears of the devices. */
export interface SupervisorHeard {
  event(event: ControlEvent): void;
  log(device: DataProcessOptions, line: DeviceLogLine): void;
}

/** All devices of a daemon, one data process each. */
export class Supervisor {
  readonly devices: readonly DeviceSupervisor[];

  constructor(devices: readonly DataProcessOptions[], start: StartDevice, heard: SupervisorHeard, timers: Timers) {
    this.devices = devices.map((options) => {
      const log = (line: DeviceLogLine) => heard.log(options, line);
      return new DeviceSupervisor(options, start, { event: (event) => heard.event(event), log }, timers);
    });
  }

  /** Starts every device; rejects with the first failure, when all others have ended. */
  async start(): Promise<void> {
    const started = await Promise.allSettled(this.devices.map((device) => device.start()));
    const failed = started.find((result) => result.status === "rejected");
    if (failed === undefined) return;
    await this.stop();
    throw failed.reason;
  }

  /** Ends every device within its grace; the listen paths of those that had to be killed. */
  async stop(): Promise<string[]> {
    const clean = await Promise.all(this.devices.map((device) => device.stop()));
    return this.devices.filter((_, i) => !clean[i]).map(({ options }) => options.listen);
  }

  /** Ends every device at once; for a process that is about to exit. */
  abandon(): void {
    for (const device of this.devices) device.abandon();
  }
}
