import { BlkWorkload } from "../driver/blk-workload.js";
import type { MachineConfig } from "../machine/config.js";
import type { FaultKind, FaultPlan } from "../machine/faults.js";
import { UsageError } from "../report/exit-codes.js";
import { FlightRecorder } from "../report/flight-recorder.js";
import type { BenchResult, PathResult } from "./bench-result.js";
import { planFault } from "./fault-plan.js";
import { ImageFolder, type Input, loadInput, prefixOf } from "./files.js";
import { balanced, type GateOutcome, gateFailures, runGates } from "./gates.js";
import { machineFacts } from "./machine-facts.js";
import { overheadsOf } from "./overhead.js";
import { configsOf, type PathChoice, pathName } from "./paths.js";
import { pingPong } from "./ping-pong.js";
import { settingsOf } from "./settings.js";
import { switchUnderLoad } from "./switching.js";
import { ThreadedMachine } from "./threaded-machine.js";
import { threadCount } from "./wait-policy.js";
import { restPollers, WindowSeries } from "./windows.js";

/** What a bench is asked to do. */
export interface BenchOptions {
  readonly paths: readonly PathChoice[];
  /** What the user chose of a machine's config; the rest is each path's own. */
  readonly asked: Partial<MachineConfig>;
  readonly inputPath: string;
  readonly inputBytesMax: number;
  /** Timed windows of each path, and how long each is at least. */
  readonly rounds: number;
  readonly windowNs: number;
  readonly fault: { readonly kind: FaultKind; readonly path: PathChoice } | undefined;
  /** Go to and fro between the relay and passthrough this often, at least 50 times. */
  readonly switchEveryMs: number | undefined;
  /** Folder for disk images. */
  readonly imageFolder: string | undefined;
  /** Image to use instead: a file or a device of the user's. */
  readonly imagePath: string | undefined;
  readonly signal: AbortSignal;
  /** Told how far it is, in [0, 1], and what it does. */
  readonly progress: (done: number, what: string) => void;
}

/** The gate phase uses at most this much of the input: rounds are checked page by page. */
const GATE_BYTES_MAX = 2 ** 20;
/** The same for a device that has no input. */
const GATE_NULL_REQUESTS_MAX = 4096;
const RECORDED_EVENTS = 64;

/** Runs gates, then timed windows of every path in turn; never throws for what the run itself brings. */
export class Bench {
  readonly result: BenchResult;
  /** The last control events, for when something fails. */
  readonly recorder = new FlightRecorder(RECORDED_EVENTS);
  readonly #options: BenchOptions;
  readonly #configs: MachineConfig[];
  readonly #input: Input;
  readonly #machines: ThreadedMachine[] = [];
  /** By row, as far as the run has come. */
  readonly #outcomes: GateOutcome[] = [];
  readonly #series: WindowSeries[] = [];
  #folder: ImageFolder | undefined;

  /** Checks configs, loads the input; throws UsageError and ConfigError. */
  constructor(options: BenchOptions) {
    this.#options = options;
    this.#configs = configsOf(options.paths, options.asked);
    this.#input = loadInput(options.inputPath, options.inputBytesMax);
    for (const config of this.#configs) {
      new ThreadedMachine(config, { input: this.#input });
      this.#fault(config, this.#input.bytes);
    }
    const { path, bytes, sha256 } = this.#input;
    this.result = {
      schema: "shadowvq.bench/1",
      ...machineFacts(),
      seed: options.asked.seed ?? 1,
      config: {
        ...settingsOf(this.#configs[0]!),
        paths: options.paths.map(pathName),
        rounds: options.rounds,
        window_ns: options.windowNs,
      },
      input: { path, bytes, sha256 },
      noise: { pingpong_ns: null, pingpong_why: "not run", pinned: false, pinned_why: undefined, cpu_tick_ns: null },
      paths: [],
      overhead: [],
      failures: [],
      verdict: "aborted",
    };
  }

  /** Runs it all; the result holds what was reached, whatever happened. Rethrows what broke the run. */
  async run(): Promise<BenchResult> {
    const { signal } = this.#options;
    const stop = () => void this.#stopAll();
    signal.addEventListener("abort", stop, { once: true });
    try {
      this.#folder = new ImageFolder(this.#options.imageFolder);
      await this.#measureNoise();
      await this.#runAll();
      this.result.verdict = this.result.failures.length === 0 ? "ok" : "failed";
    } catch (error) {
      this.result.verdict = "aborted";
      this.result.why = signal.aborted ? "interrupted" : (error as Error).message;
      if (this.result.paths.length === 0) this.#fillReached();
      if (!signal.aborted) throw error;
    } finally {
      signal.removeEventListener("abort", stop);
      await this.#stopAll();
      this.#folder?.remove();
    }
    return this.result;
  }

  async #measureNoise(): Promise<void> {
    this.#options.progress(0, "ping-pong probe");
    const quick = await pingPong();
    // Where others hold the cores, the two threads meet more rarely.
    const { round_trip_ns, reason } = quick.round_trip_ns === null ? await pingPong({ spinMs: 1000 }) : quick;
    Object.assign(this.result.noise, {
      pingpong_ns: round_trip_ns && { p50: round_trip_ns["50"], min: round_trip_ns.min, max: round_trip_ns.max },
      pingpong_why: reason,
      cpu_tick_ns: this.result.cpu_tick_ns,
    });
  }

  async #runAll(): Promise<void> {
    const { fault, switchEveryMs } = this.#options;
    const outcomes = await this.#gatePhase();
    if (fault !== undefined && this.result.failures.length === 0)
      throw new UsageError(`fault ${fault.kind}: ${pathName(fault.path)} offered nothing to break (try another seed)`);
    if (this.result.failures.length > 0) {
      this.#fillReached();
      return;
    }
    const series = await this.#startMachines();
    if (switchEveryMs !== undefined) await this.#switchPhase(series, outcomes, switchEveryMs);
    else await this.#timedPhase(series, outcomes);
  }

  /** Gates first, on machines of their own with the same seed and code. */
  async #gatePhase(): Promise<GateOutcome[]> {
    const { progress, signal } = this.#options;
    const outcomes = this.#outcomes;
    for (const [i, config] of this.#configs.entries()) {
      signal.throwIfAborted();
      progress((0.3 * i) / this.#configs.length, `gates of ${pathName(config)}`);
      const input = prefixOf(this.#input, Math.max(GATE_BYTES_MAX, config.requestBytes));
      const gated = { ...config, nullRequests: Math.min(config.nullRequests, GATE_NULL_REQUESTS_MAX) };
      const outcome = await runGates(gated, {
        input,
        image: this.#image(config, input.bytes),
        fault: this.#fault(gated, input.bytes),
        recorder: this.recorder,
      });
      const sha256 = config.device === "null" || outcome.sha256 === null || outcome.sha256 === input.sha256;
      if (!sha256) outcome.gates.payload = false;
      outcomes.push(outcome);
      this.result.failures.push(...gateFailures(outcome.gates).map((failure) => `${pathName(config)}: ${failure}`));
    }
    return outcomes;
  }

  async #startMachines(): Promise<WindowSeries[]> {
    const series = this.#series;
    for (const config of this.#configs) {
      this.#options.signal.throwIfAborted();
      const image = this.#image(config, this.#input.bytes);
      const machine = new ThreadedMachine(config, { input: this.#input, image, recorder: this.recorder });
      this.#machines.push(machine);
      await machine.start();
      restPollers(machine);
      series.push(new WindowSeries(machine));
    }
    const unpinned = this.#machines.find(({ pinning }) => !pinning.pinned);
    Object.assign(this.result.noise, { pinned: unpinned === undefined, pinned_why: unpinned?.pinning.reason });
    return series;
  }

  /** Windows of all paths in turn, round after round, so that what drifts meets them all alike. */
  async #timedPhase(series: WindowSeries[], outcomes: GateOutcome[]): Promise<void> {
    const { rounds, windowNs, progress, signal } = this.#options;
    const steps = (rounds + 1) * series.length;
    for (let step = 0; step < steps; step++) {
      signal.throwIfAborted();
      const one = series[step % series.length]!;
      progress(0.3 + (0.7 * step) / steps, pathName(one.machine.config));
      await one.machine.sync();
      await one.take(windowNs, step >= series.length);
      restPollers(one.machine);
    }
    await this.#fillRows(series, outcomes);
    this.result.overhead.push(...overheadsOf(series));
  }

  async #switchPhase(series: WindowSeries[], outcomes: GateOutcome[], everyMs: number): Promise<void> {
    const { windowNs, progress } = this.#options;
    const counts: number[] = [];
    for (const [i, one] of series.entries()) {
      progress(0.3 + (0.7 * i) / series.length, `switching ${pathName(one.machine.config)}`);
      await one.machine.sync();
      counts.push(await switchUnderLoad(one, everyMs, windowNs, this.#options.signal));
      restPollers(one.machine);
    }
    await this.#fillRows(series, outcomes, counts);
    Object.assign(this.result, { switches: counts.reduce((sum, count) => sum + count, 0) });
  }

  async #fillRows(series: WindowSeries[], outcomes: GateOutcome[], switches?: number[]): Promise<void> {
    for (const [i, one] of series.entries()) {
      const { config, lost } = one.machine;
      const whole = (await one.machine.sync()).every(balanced);
      if (!whole) this.result.failures.push(`${pathName(config)}: descriptors: some are missing after timed windows`);
      const expected = config.device === "null" ? null : this.#input.sha256;
      this.result.failures.push(...one.failures(expected).map((failure) => `${pathName(config)}: ${failure}`));
      const { gates } = outcomes[i]!;
      gates.payload &&= !one.failures(expected).some((failure) => failure.startsWith("payload"));
      gates.lost += one.total("lost");
      gates.duplicated += one.total("duplicated");
      gates.lost_notifications += lost.length;
      gates.descriptors_balanced &&= whole;
      this.result.paths.push(this.#row(config, outcomes[i]!, one, switches?.[i]));
    }
  }

  /** Rows of a run that ended before its time: gates, and windows where there are any. */
  #fillReached(): void {
    for (const [i, outcome] of this.#outcomes.entries()) {
      const series = this.#series[i];
      const timed = series !== undefined && series.samples.length > 0;
      this.result.paths.push(this.#row(this.#configs[i]!, outcome, timed ? series : undefined));
    }
  }

  #row(config: MachineConfig, outcome: GateOutcome, series: WindowSeries | undefined, switches?: number): PathResult {
    return {
      name: config.path,
      placement: config.placement,
      waiting: series?.machine.plan.device.waiting ?? config.waiting,
      iova_policy: config.iovaPolicy,
      unsafe: config.iovaPolicy === "identity-all",
      refused_features: outcome.refusals,
      threads: threadCount(config),
      requests: series?.requests ?? outcome.requests,
      sha256: series === undefined ? outcome.sha256 : series.sha256,
      ns_per_request: series?.nsPerRequest() ?? null,
      latency_ns: series?.latencyNs() ?? null,
      cpu_ns_per_request: series?.cpuPerRequest(config) ?? null,
      per_request: series?.perRequest() ?? null,
      samples: series?.samples ?? [],
      gates: outcome.gates,
      ...(switches === undefined ? {} : { switches }),
    };
  }

  /** The fault of a row, if it is the one to break; throws UsageError when it cannot be broken so. */
  #fault(config: MachineConfig, inputBytes: number): FaultPlan | undefined {
    const { fault } = this.#options;
    if (fault === undefined || pathName(fault.path) !== pathName(config)) return undefined;
    return planFault(fault.kind, config, inputBytes);
  }

  #image(config: MachineConfig, inputBytes: number): { path: string; bytes: number } | undefined {
    if (config.device !== "blk") return undefined;
    const bytes = BlkWorkload.diskBytes(inputBytes, config.requestBytes);
    const { imagePath } = this.#options;
    return imagePath === undefined ? this.#folder!.create(bytes) : { path: imagePath, bytes };
  }

  async #stopAll(): Promise<void> {
    await Promise.all(this.#machines.map((machine) => machine.stop()));
  }
}
