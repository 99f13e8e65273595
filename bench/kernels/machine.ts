import { ThreadedMachine } from "../../src/lab/threaded-machine.js";
import { restPollers } from "../../src/lab/windows.js";
import { COMBINATIONS, DEFAULT_CONFIG } from "../../src/machine/config.js";
import { MACHINE_PATHS, MACHINE_PLACEMENTS, MACHINE_WAITINGS } from "../inputs/record.js";
import { check, type Kernel } from "./kernel.js";

/** A whole machine with a null device, as `svq bench` runs it; the unit is one request. */
export class MachineKernel implements Kernel {
  readonly #machine: ThreadedMachine;
  #pass = 0;

  constructor(input: Int32Array) {
    const placement = MACHINE_PLACEMENTS[input[0]!]!;
    const waiting = MACHINE_WAITINGS[input[1]!]!;
    const path = MACHINE_PATHS[input[2]!]!;
    const work = { device: "null", nullRequests: 8192, depth: 256 } as const;
    const iovaPolicy = COMBINATIONS[path].policies[0]!;
    const config = { ...DEFAULT_CONFIG, path, iovaPolicy, placement, waiting, ...work };
    const bytes = 4096;
    this.#machine = new ThreadedMachine(config, { input: { buffer: new SharedArrayBuffer(bytes), bytes } });
  }

  async outputs(): Promise<Uint8Array> {
    await this.#machine.start();
    restPollers(this.#machine);
    return new Uint8Array(0);
  }

  async window(ns: number): Promise<number> {
    await this.#machine.sync();
    const command = { kind: "window", minNs: ns, firstPass: this.#pass } as const;
    const { result } = await this.#machine.ask("driver", command, "window");
    restPollers(this.#machine);
    this.#pass += result.passes;
    check(result.equal && result.lost + result.duplicated + result.refused === 0, "every request came back once");
    return result.ns / result.requests;
  }

  async close(): Promise<void> {
    await this.#machine.stop();
  }
}
