import { createHash } from "node:crypto";
import type { Driver } from "../driver/driver.js";
import type { Workload } from "../driver/workload.js";
import type { ControlPort } from "./control-port.js";
import type { Command, WindowResult } from "./messages.js";

/** A window in progress. */
interface Window {
  readonly minNs: number;
  pass: number;
  passStart: number;
  result: Omit<WindowResult, "sha256" | "fault">;
}

/** Takes a driver through jobs and timed windows, and reports how each ended. */
export class DriverTask {
  readonly #driver: Driver;
  readonly #workload: Workload;
  readonly #control: ControlPort;
  readonly #now: () => number;
  #live = false;
  #jobEnd: number | undefined;
  #window: Window | undefined;

  constructor(driver: Driver, workload: Workload, control: ControlPort, now: () => number) {
    this.#driver = driver;
    this.#workload = workload;
    this.#control = control;
    this.#now = now;
  }

  /** Begins what a command asks for. */
  obey(command: Command): void {
    if (command.kind === "job") {
      const { first, count } = command.job;
      this.#jobEnd = first + Math.min(count, this.#workload.requestCount - first);
      this.#driver.begin({ ...command.job, count: this.#jobEnd - first });
    }
    if (command.kind === "window") this.#beginWindow(command.minNs, command.firstPass);
  }

  /** Ends what is done. */
  notice(): void {
    if (!this.#live && (this.#driver.live || this.#driver.failed)) {
      this.#live = true;
      this.#control.send({ kind: "live" });
    }
    if (this.#driver.state.working === 0 || !(this.#driver.done || this.#driver.failed)) return;
    if (this.#window === undefined) this.#endJob();
    else this.#endPass(this.#window);
  }

  #endJob(): void {
    const result = this.#driver.end();
    const whole = this.#jobEnd === this.#workload.requestCount;
    this.#jobEnd = undefined;
    this.#control.send({ kind: "job", result, received: whole ? this.#judge() : undefined });
  }

  #beginWindow(minNs: number, firstPass: number): void {
    const result = { passes: 0, requests: 0, ns: 0, lost: 0, duplicated: 0, refused: 0, equal: true };
    this.#window = { minNs, pass: firstPass, passStart: 0, result };
    this.#beginPass(this.#window);
  }

  #beginPass(window: Window): void {
    this.#driver.begin({ pass: window.pass, first: 0, count: this.#workload.requestCount });
    window.passStart = this.#now();
  }

  #endPass(window: Window): void {
    const { result } = window;
    const ns = this.#now() - window.passStart;
    const ended = this.#driver.end();
    const equal = Buffer.compare(this.#workload.received, this.#workload.expected) === 0;
    window.result = {
      passes: result.passes + 1,
      requests: result.requests + ended.requests,
      ns: result.ns + ns,
      lost: result.lost + ended.lost,
      duplicated: result.duplicated + ended.duplicated,
      refused: result.refused + ended.refused,
      equal: result.equal && equal,
    };
    window.pass += 1;
    if (window.result.ns < window.minNs && ended.fault === undefined) {
      this.#beginPass(window);
      return;
    }
    this.#window = undefined;
    this.#control.send({
      kind: "window",
      result: { ...window.result, ...this.#judge(), equal: window.result.equal, fault: ended.fault },
    });
  }

  #judge(): { equal: boolean; sha256: string } {
    const { received, expected } = this.#workload;
    return {
      equal: Buffer.compare(received, expected) === 0,
      sha256: createHash("sha256").update(received).digest("hex"),
    };
  }
}
