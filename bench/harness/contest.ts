import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { median, type Pair } from "../../src/lab/statistics.js";
import { allowedCpus } from "../../src/lab/threads.js";
import { packageRoot } from "../../src/workers/worker-url.js";
import { record, type Work } from "../inputs/record.js";
import type { Row, Side } from "../row.js";
import { TimedProcess } from "./timed-process.js";
import { compileTwin, type TwinName } from "./twin.js";
import { judgePairs, outOfTheRunning, type RowResult } from "./verdict.js";

/** How long and how often rows are measured. */
export interface Extent {
  readonly processPairs: number;
  /** Windows of each process that count. */
  readonly windows: number;
  readonly windowNs: number;
  /** One before those that count: on a busy machine optimised code is late. */
  readonly warmNs: number;
  /** Within so long after the start noisy rows are repeated, as many as fit. */
  readonly totalMs: number;
}

/** Two implementations that should have done the same wrote different bytes. */
export class TwinMismatch extends Error {
  override readonly name = "TwinMismatch";
}

/** Throws TwinMismatch unless all hashes are equal. */
export function requireEqualOutputs(name: string, hashes: readonly string[]): void {
  if (new Set(hashes).size <= 1) return;
  throw new TwinMismatch(
    `${name}: the outputs of the two sides differ (SHA-256 ${hashes.join(", ")}); nothing was timed`,
  );
}

/** Measures rows: records inputs, compiles twins, alternates windows of processes that never meet. */
export class Contest {
  /** Whether the outputs that were compared were equal; null while none was. */
  outputsEqual: boolean | null = null;
  readonly #extent: Extent;
  readonly #folder = mkdtempSync(join(tmpdir(), "svq-bench-"));
  readonly #inputs = new Map<string, string>();
  readonly #programs = new Map<TwinName, Promise<string>>();
  /** By row: how long measuring it took. */
  readonly #tookMs = new Map<string, number>();
  readonly #startMs = performance.now();
  #outputs = 0;

  constructor(extent: Extent) {
    this.#extent = extent;
  }

  /** Compiles what the rows need, all at once, and records their inputs meanwhile; throws RunBroken. */
  async prepare(rows: readonly Row[]): Promise<void> {
    const sides = rows.flatMap(({ a, b }) => [a, ...b]);
    const programs = sides.flatMap((side) => (side.by === "c" ? [this.#program(side.program)] : []));
    const compiled = Promise.all(programs);
    // Nobody hears of a failure before the inputs are there.
    compiled.catch(() => {});
    for (const { work } of sides) this.#input(work);
    await compiled;
  }

  /** Measures a row; throws TwinMismatch, and RunBroken. */
  async measure(row: Row): Promise<RowResult> {
    const start = performance.now();
    const contests: Pair[][] = row.b.map(() => []);
    const { processPairs } = this.#extentOf(row);
    for (let i = 0; i < processPairs; i++) {
      const beaten = outOfTheRunning(contests);
      for (const [other, side] of row.b.entries()) {
        if (!beaten.has(other)) contests[other]!.push(...(await this.#processPair(row, side)));
      }
    }
    this.#tookMs.set(row.name, performance.now() - start);
    const most = Math.max(...contests.map(({ length }) => length));
    const results = contests.filter(({ length }) => length === most).map((pairs) => judgePairs(pairs));
    // Against several: the best of them counts.
    return results.reduce((best, result) => (result.b_ns < best.b_ns ? result : best));
  }

  /** Whether a row that was measured can be measured once more in the time of the run. */
  hasTimeFor(row: Row): boolean {
    return performance.now() - this.#startMs + (this.#tookMs.get(row.name) ?? 0) <= this.#extent.totalMs;
  }

  /** Nanoseconds per operation of one side alone, for plots: a median of windows. */
  async measureAlone(side: Side): Promise<number> {
    const started = await this.#start([side]);
    try {
      const [process] = started.processes;
      const { windows, windowNs, warmNs } = this.#extent;
      await process!.window(warmNs);
      const values: number[] = [];
      for (let i = 0; i < windows; i++) values.push(await process!.window(windowNs));
      return median(values);
    } finally {
      await Promise.all(started.processes.map((process) => process.stop()));
    }
  }

  /** Removes inputs, outputs and programs. */
  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** As many windows as the run's, over the pairs of processes that the row wants. */
  #extentOf({ processPairs }: Row): Extent {
    const extent = this.#extent;
    if (processPairs === undefined) return extent;
    return { ...extent, processPairs, windows: Math.ceil((extent.windows * extent.processPairs) / processPairs) };
  }

  /** Pairs of windows next to each other, in turn A first and B first. */
  async #processPair(row: Row, other: Side): Promise<Pair[]> {
    const { processes, hashes } = await this.#start([row.a, other]);
    const [a, b] = processes as [TimedProcess, TimedProcess];
    try {
      if (row.twins) {
        this.outputsEqual = false;
        requireEqualOutputs(row.name, hashes);
        this.outputsEqual = true;
      }
      const { windows, windowNs, warmNs } = this.#extentOf(row);
      await a.window(warmNs);
      await b.window(warmNs);
      const pairs: Pair[] = [];
      for (let i = 0; i < windows; i++) pairs.push(await pairOf(a, b, windowNs, i % 2 === 0));
      return pairs;
    } finally {
      await Promise.all([a.stop(), b.stop()]);
    }
  }

  async #start(sides: readonly Side[]): Promise<{ processes: TimedProcess[]; hashes: string[] }> {
    const outputs = sides.map(() => join(this.#folder, `output-${this.#outputs++}`));
    const commands = await Promise.all(sides.map((side, index) => this.#command(side, outputs[index]!)));
    const processes: TimedProcess[] = [];
    const start = async (side: Side, index: number) => {
      const process = new TimedProcess(...commands[index]!);
      processes.push(process);
      await process.ready(runsThreads(side) ? undefined : allowedCpus().at(-1));
      const hash = createHash("sha256").update(readFileSync(outputs[index]!)).digest("hex");
      rmSync(outputs[index]!);
      return hash;
    };
    try {
      // A first pass that warms the code that is timed runs alone: company would change how it is compiled.
      if (sides.every(runsThreads)) return { hashes: await Promise.all(sides.map(start)), processes };
      const hashes: string[] = [];
      for (const [index, side] of sides.entries()) hashes.push(await start(side, index));
      return { hashes, processes };
    } catch (error) {
      await Promise.all(processes.map((process) => process.stop()));
      throw error;
    }
  }

  async #command(side: Side, output: string): Promise<[name: string, command: string, args: string[]]> {
    const input = this.#input(side.work);
    if (side.by === "c") {
      return [`twin ${side.program}`, await this.#program(side.program), [input, output, ...side.options]];
    }
    const child = join(packageRoot(), "dist", "bench", "child.js");
    return [`kernel ${side.work.kind}`, process.execPath, [child, side.work.kind, input, output]];
  }

  #input(work: Work): string {
    const key = JSON.stringify(work);
    const known = this.#inputs.get(key);
    if (known !== undefined) return known;
    const file = join(this.#folder, `input-${this.#inputs.size}`);
    writeFileSync(file, record(work));
    this.#inputs.set(key, file);
    return file;
  }

  #program(name: TwinName): Promise<string> {
    const known = this.#programs.get(name);
    if (known !== undefined) return known;
    const program = compileTwin(name, this.#folder);
    this.#programs.set(name, program);
    return program;
  }
}

/** Whether a side's work is done by threads of its own, which it pins itself and which compile their own code. */
function runsThreads({ work }: Side): boolean {
  return work.kind === "ring" || work.kind === "machine";
}

async function pairOf(a: TimedProcess, b: TimedProcess, ns: number, aFirst: boolean): Promise<Pair> {
  if (aFirst) return { a: await a.window(ns), b: await b.window(ns) };
  const second = await b.window(ns);
  return { a: await a.window(ns), b: second };
}
