import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { Heartbeat } from "../../memory/heartbeat.js";
import { UsageError } from "../../report/exit-codes.js";
import { packageRoot } from "../../workers/worker-url.js";
import type { Replay } from "../trace/replay.js";
import type { Trace } from "../trace/trace.js";
import { readTrace, writeTrace } from "../trace/trace-format.js";
import type { OwnCoverage } from "./coverage.js";
import type { OwnFinding } from "./finding.js";
import type { OwnProfile } from "./judge.js";
import type { BrokenMessage, OwnJob, OwnMessage, OwnPart } from "./messages.js";
import { type OwnReport, reportOf } from "./own-report.js";

/** What a validation of somebody's relay is to do. */
export interface OwnOptions {
  readonly seed: number;
  readonly profile: OwnProfile;
  /** Half of it; all unless given. */
  readonly only?: OwnPart | undefined;
  /** Where traces are written. */
  readonly folder?: string;
  /** Called as a stage begins. */
  readonly onStage?: (stage: string) => void;
  /** Ends it early. */
  readonly signal?: AbortSignal;
}

/** What came of a worker: what it found, and what ended it before it was done. */
export interface Outcome {
  readonly broken: readonly BrokenMessage[];
  /** Why the module cannot be used at all. */
  readonly unusable: string | undefined;
  /** All stages were run. */
  readonly complete: boolean;
  /** How much was examined beyond the rig. */
  readonly coverage?: OwnCoverage | undefined;
  readonly replayed?: OwnReplay | undefined;
}

/** So long may a relay go on without an access. */
const SILENCE_MS = 5_000;
const LOOK_MS = 250;
const HEAP_MIB = 512;

/** Validates a relay module on a thread of its own; a module that cannot be used is an outcome, not an error. */
export async function runOwnRelay(path: string, options: OwnOptions): Promise<OwnReport> {
  const file = resolve(path);
  const sha256 = hashOf(file);
  const outcome =
    sha256 === undefined
      ? { broken: [], unusable: `it does not load: there is no file ${path}`, complete: false }
      : await new Watched(pathToFileURL(file).href, options).run();
  return reportOf({ path, sha256: sha256 ?? null }, outcome, options);
}

/** Looks at one finding of explorer or crash points again; what it finds is undefined when it is gone. */
export async function repeatOwnRelay(
  path: string,
  { again, seed, profile }: OwnFinding,
  signal?: AbortSignal,
): Promise<BrokenMessage | undefined> {
  const file = resolve(path);
  if (hashOf(file) === undefined) throw new UsageError(`relay ${path}: there is no such file`);
  const options = { seed, profile, ...(signal && { signal }) };
  const { unusable, broken, complete } = await new Watched(pathToFileURL(file).href, options, { again }).run();
  if (complete || broken.length > 0) return broken[0];
  throw new UsageError(`relay ${path}: ${unusable ?? "it was ended"}`);
}

/** What came of running the program of a trace on somebody's relay. */
export interface OwnReplay {
  readonly again: Replay;
  /** The trace of the new run. */
  readonly now: Trace;
}

/** Runs the program of a trace on a relay module, on a thread of its own; throws UsageError when it comes to no end. */
export async function replayOwnRelay(path: string, trace: Trace, signal?: AbortSignal): Promise<OwnReplay> {
  const options = { seed: 0, profile: "quick" as const, ...(signal && { signal }) };
  const file = resolve(path);
  if (hashOf(file) === undefined) throw new UsageError(`relay ${path}: there is no such file`);
  const { replayed, unusable, broken } = await new Watched(pathToFileURL(file).href, options, {
    trace: writeTrace(trace),
  }).run();
  if (replayed !== undefined) return replayed;
  throw new UsageError(`relay ${path}: ${unusable ?? broken[0]?.what ?? "it was ended"}`);
}

/** A worker, and what is known of it from outside. */
class Watched {
  readonly #options: OwnOptions;
  readonly #heart = new Heartbeat();
  readonly #worker: Worker;
  readonly #broken: BrokenMessage[] = [];
  #stage: string | undefined;
  #unusable: string | undefined;
  #complete = false;
  #replayed: OwnReplay | undefined;
  #coverage: OwnCoverage | undefined;

  constructor(url: string, options: OwnOptions, instead: Pick<OwnJob, "trace" | "again"> = {}) {
    const { seed, profile, only } = options;
    this.#options = options;
    const workerData: OwnJob = { url, seed, profile, only, ...instead, heart: this.#heart.buffer };
    const resourceLimits = { maxOldGenerationSizeMb: HEAP_MIB };
    this.#worker = new Worker(workerFile(), { workerData, resourceLimits, stdout: true, stderr: true });
    // What a relay prints belongs to nobody's document.
    for (const stream of [this.#worker.stdout, this.#worker.stderr]) {
      stream.on("data", (chunk: Buffer) => process.stderr.write(chunk));
    }
  }

  async run(): Promise<Outcome> {
    const { signal } = this.#options;
    const stop = () => void this.#worker.terminate();
    signal?.addEventListener("abort", stop);
    const watch = this.#watchSilence();
    await new Promise<void>((ended) => {
      this.#worker.on("message", (message: OwnMessage) => this.#hear(message));
      this.#worker.on("error", (error: NodeJS.ErrnoException) => this.#died(error));
      this.#worker.on("exit", () => ended());
    });
    clearInterval(watch);
    signal?.removeEventListener("abort", stop);
    if (!this.#over && signal?.aborted !== true) this.#wrong("O8", 36, "its thread ended before it was done");
    return {
      broken: this.#broken,
      unusable: this.#unusable,
      complete: this.#complete,
      coverage: this.#coverage,
      replayed: this.#replayed,
    };
  }

  get #over(): boolean {
    return this.#complete || this.#unusable !== undefined || this.#broken.some(({ where }) => where === ENDED);
  }

  #hear(message: OwnMessage): void {
    if (message.kind === "stage") {
      this.#stage = message.stage;
      this.#options.onStage?.(message.stage);
    } else if (message.kind === "found") this.#broken.push(...message.broken);
    else if (message.kind === "covered") this.#coverage = message.coverage;
    else if (message.kind === "replayed") this.#replayed = { again: message.again, now: readTrace(message.now) };
    else {
      if (message.kind === "unusable") this.#unusable = message.why;
      else this.#complete = true;
      // Timers and sockets of the module would keep its thread.
      void this.#worker.terminate();
    }
  }

  #watchSilence(): NodeJS.Timeout {
    let last = this.#heart.read();
    let since = performance.now();
    return setInterval(() => {
      const now = this.#heart.read();
      if (now.run !== last.run || now.beats !== last.beats) {
        last = now;
        since = performance.now();
      } else if (performance.now() - since >= SILENCE_MS && !this.#over) {
        this.#wrong("O7", 38, `it makes no access for 5 s at step ${now.beats} of run ${now.run}`);
        void this.#worker.terminate();
      }
    }, LOOK_MS);
  }

  #died(error: NodeJS.ErrnoException): void {
    if (error.code === "ERR_WORKER_OUT_OF_MEMORY") {
      this.#wrong("O7", 0, `it leaks: its heap grew beyond ${HEAP_MIB} MiB`);
    } else this.#wrong("O8", 36, `it threw ${error.message ?? String(error)}`);
  }

  /** Its end: no module at all before it has made a relay, a broken oracle from then on. */
  #wrong(id: "O7" | "O8", invariant: number, what: string): void {
    if (this.#over) return;
    if (this.#stage === undefined) this.#unusable = `it does not load: ${what.replace("step 0 of run 0", "its start")}`;
    else this.#broken.push({ id, invariant, where: ENDED, what: `${what}, in stage ${this.#stage}` });
  }
}

const ENDED = "its thread";

/** Workers start from dist/, also when a test runs from src/. */
function workerFile(): URL {
  const beside = new URL("./own-relay.worker.js", import.meta.url);
  if (!import.meta.url.endsWith(".ts")) return beside;
  return pathToFileURL(join(packageRoot(), "dist/src/validate/own-relay/own-relay.worker.js"));
}

/** The hash of a module; undefined when there is none, UsageError when it cannot be read. */
function hashOf(file: string): string | undefined {
  try {
    return createHash("sha256").update(readFileSync(file)).digest("hex");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new UsageError(`cannot read relay ${file}: ${code}`, { cause: error });
  }
}
