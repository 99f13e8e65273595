import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { median, type Pair } from "../../src/lab/statistics.js";
import { allowedCpus } from "../../src/lab/threads.js";
import { packageRoot } from "../../src/workers/worker-url.js";
import { record, type Work } from "../inputs/record.js";
import type { Row, Side } from "../rows.js";
import { TimedProcess } from "./timed-process.js";
import { compileTwin, type TwinName } from "./twin.js";
import { judgePairs, type RowResult } from "./verdict.js";

/** How long and how often rows are measured. */
export interface Extent {
  readonly processPairs: number;
  /** Windows of each process that count; one before them warms it up. */
  readonly windows: number;
  readonly windowNs: number;
  /** From so long after the start on, noisy rows are no longer repeated. */
  readonly repeatMs: number;
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
  readonly #programs = new Map<TwinName, string>();
  readonly #startMs = performance.now();
  #outputs = 0;

  constructor(extent: Extent) {
    this.#extent = extent;
  }

  /** Measures a row, once more when it is noisy and there is time; throws TwinMismatch, and RunBroken. */
  async measure(row: Row): Promise<RowResult> {
    const result = await this.#measureOnce(row);
    const late = performance.now() - this.#startMs > this.#extent.repeatMs;
    return result.noisy && !late ? this.#measureOnce(row) : result;
  }

  /** Nanoseconds per operation of one side alone, for plots: a median of windows. */
  async measureAlone(side: Side): Promise<number> {
    const started = await this.#start([side]);
    try {
      const [process] = started.processes;
      const { windows, windowNs } = this.#extent;
      await process!.window(windowNs / 2);
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

  async #measureOnce(row: Row): Promise<RowResult> {
    const contests: Pair[][] = row.b.map(() => []);
    for (let i = 0; i < this.#extent.processPairs; i++) {
      for (const [other, side] of row.b.entries()) contests[other]!.push(...(await this.#processPair(row, side)));
    }
    const results = contests.map((pairs) => judgePairs(pairs));
    // Against several: the best of them counts.
    return results.reduce((best, result) => (result.b_ns < best.b_ns ? result : best));
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
      const { windows, windowNs } = this.#extent;
      await a.window(windowNs / 2);
      await b.window(windowNs / 2);
      const pairs: Pair[] = [];
      for (let i = 0; i < windows; i++) pairs.push(await pairOf(a, b, windowNs, i % 2 === 0));
      return pairs;
    } finally {
      await Promise.all([a.stop(), b.stop()]);
    }
  }

  async #start(sides: readonly Side[]): Promise<{ processes: TimedProcess[]; hashes: string[] }> {
    const processes: TimedProcess[] = [];
    const hashes: string[] = [];
    const cpu = allowedCpus().at(-1);
    try {
      for (const side of sides) {
        const output = join(this.#folder, `output-${this.#outputs++}`);
        const process = this.#spawn(side, output);
        processes.push(process);
        // One after the other: what starts up would disturb what runs.
        await process.ready(side.work.kind === "ring" || side.work.kind === "machine" ? undefined : cpu);
        hashes.push(createHash("sha256").update(readFileSync(output)).digest("hex"));
        rmSync(output);
      }
      return { processes, hashes };
    } catch (error) {
      await Promise.all(processes.map((process) => process.stop()));
      throw error;
    }
  }

  #spawn(side: Side, output: string): TimedProcess {
    const input = this.#input(side.work);
    if (side.by === "c") {
      return new TimedProcess(`twin ${side.program}`, this.#program(side.program), [input, output, ...side.options]);
    }
    const child = join(packageRoot(), "dist", "bench", "child.js");
    return new TimedProcess(`kernel ${side.work.kind}`, process.execPath, [child, side.work.kind, input, output]);
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

  #program(name: TwinName): string {
    const known = this.#programs.get(name);
    if (known !== undefined) return known;
    const program = compileTwin(name, this.#folder);
    this.#programs.set(name, program);
    return program;
  }
}

async function pairOf(a: TimedProcess, b: TimedProcess, ns: number, aFirst: boolean): Promise<Pair> {
  if (aFirst) return { a: await a.window(ns), b: await b.window(ns) };
  const second = await b.window(ns);
  return { a: await a.window(ns), b: second };
}
