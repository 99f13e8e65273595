import { setTimeout as sleep } from "node:timers/promises";
import { BlkWorkload } from "../driver/blk-workload.js";
import type { MachineConfig } from "../machine/config.js";
import type { CounterSnapshot } from "../telemetry/counters.js";
import { ImageFolder, type Input } from "./files.js";
import { ThreadedMachine } from "./threaded-machine.js";
import { WindowSeries } from "./windows.js";

/** The counters of all roles at one moment of a run. */
export interface RunTick {
  readonly elapsed_ns: number;
  readonly driver: CounterSnapshot;
  readonly relay: CounterSnapshot;
  readonly device: CounterSnapshot;
}

/** What `svq run` is asked to do. */
export interface RunOptions {
  readonly config: MachineConfig;
  readonly input: Input;
  /** How long to run at least; undefined: until the signal. */
  readonly durationNs: number | undefined;
  readonly signal: AbortSignal;
  /** Called about once a second. */
  readonly tick: (tick: RunTick) => void;
}

/** Length of one of the windows a run consists of: how soon it ends when it is told to. */
const WINDOW_NS = 200e6;
const TICK_MS = 1000;

/** Runs one machine on one workload until it is done or told to stop; the result says what broke it, if anything. */
export async function runMachine(options: RunOptions) {
  const { config, input, durationNs, signal } = options;
  const folder = new ImageFolder();
  const bytes = BlkWorkload.diskBytes(input.bytes, config.requestBytes);
  const image = config.device === "blk" ? folder.create(bytes) : undefined;
  const machine = new ThreadedMachine(config, { input, image });
  const series = new WindowSeries(machine);
  let started = performance.now();
  const elapsedNs = () => (performance.now() - started) * 1e6;
  const over = new AbortController();
  let broken: Error | undefined;
  try {
    await machine.start();
    started = performance.now();
    const ticking = tickUntil(over.signal, () => options.tick(tickOf(machine, elapsedNs())));
    while (!signal.aborted && (durationNs === undefined || elapsedNs() < durationNs))
      await series.take(WINDOW_NS, true);
    over.abort();
    await ticking;
  } catch (error) {
    broken = error as Error;
  } finally {
    over.abort();
    await machine.stop();
    folder.remove();
  }
  const failures = series.failures(config.device === "null" ? null : input.sha256);
  return { ...tickOf(machine, elapsedNs()), failures, series, refused_features: machine.refusals, broken };
}

function tickOf(machine: ThreadedMachine, elapsed_ns: number): RunTick {
  return {
    elapsed_ns,
    driver: machine.counters("driver"),
    relay: machine.counters("relay"),
    device: machine.counters("device"),
  };
}

async function tickUntil(signal: AbortSignal, tick: () => void): Promise<void> {
  while (!signal.aborted) {
    await sleep(TICK_MS, undefined, { signal }).then(tick, () => {});
  }
}
