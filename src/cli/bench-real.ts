import { accessSync, constants } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import type { Command } from "commander";
import { machineFacts } from "../lab/machine-facts.js";
import { findProgram } from "../lab/peer-programs.js";
import { type RealBenchResult, realResult } from "../lab/real-result.js";
import { realHeadline, realNotes, realTable } from "../lab/real-table.js";
import { EXIT, exitCodeOf, UsageError } from "../report/exit-codes.js";
import { writeJson, writeText } from "../report/json.js";
import { openLog } from "../report/logging.js";
import { Progress } from "../report/progress.js";
import { markdownTable, textTable, wantsColour } from "../report/table.js";
import { checkWritable, jsonFile } from "./options.js";
import { Interruptible } from "./signals.js";
import { VERSION } from "./version.js";

/** What goes with --real; the rest is for the emulated machine. */
const TAKEN = new Set([
  "real",
  "quick",
  "json",
  "markdown",
  "rounds",
  "seed",
  "device",
  "eventIdx",
  "imageFolder",
  "logLevel",
]);
const ROUNDS = 15;
const MEMORY_FOLDER = "/dev/shm";

/** Requests of a window: at depth 32 a fifth of a mode's windows is 10^5 and more, unless it is to be quick. */
const WINDOWS = [
  { depth: 1, requests: 7_000, quickRequests: 1_000 },
  { depth: 32, requests: 34_000, quickRequests: 6_000 },
] as const;

/** svq bench --real: the relay that users run, between a front end of ours and a real back end. */
export async function benchReal(command: Command): Promise<number> {
  const options = command.opts<Record<string, unknown>>();
  const plan = planOf(command);
  checkWritable(jsonFile(options["json"]));
  const program = findProgram("qemu-storage-daemon");
  if (program === undefined) {
    throw new UsageError(
      "--real needs qemu-storage-daemon: npm run peers:install gets it, svq doctor shows what is here",
    );
  }
  const { RealBench, REAL_WORKLOAD } = await import("../daemon/bench/real-bench.js");
  const interruptible = new Interruptible();
  const bar = new Progress({ label: "bench --real", total: 100 });
  const loadBefore = loadavg()[0]!;
  const log = openLog({ level: String(options["logLevel"]) });
  const progress = (done: number, what: string) => bar.update(Math.round(done * 100), what);
  const { signal } = interruptible;
  const bench = new RealBench({ program: program.path, ...plan, version: VERSION, log, signal, progress });
  let code: number = EXIT.done;
  let broke: string | undefined;
  try {
    await bench.run();
  } catch (error) {
    code = exitCodeOf(error);
    if (code === EXIT.usage) throw error;
    broke = (error as Error).message;
  } finally {
    bar.stop();
    interruptible.dispose();
  }
  code = interruptible.code ?? code;
  if (broke !== undefined && !signal.aborted) process.stderr.write(`svq: ${broke}\n`);
  const { rounds, depths, windowMsMax, seed, eventIdx, imageFolder } = plan;
  const windows = Object.fromEntries(depths.map(({ depth, windowRequests }) => [depth, windowRequests]));
  const config = {
    ...REAL_WORKLOAD,
    device: bench.node,
    image_folder: imageFolder,
    event_idx: eventIdx,
    rounds,
    window_requests: windows,
    window_max_ns: windowMsMax * 1e6,
  };
  const result = realResult(bench.series, {
    ...machineFacts(),
    peers: [{ name: "qemu-storage-daemon", version: program.version }],
    seed,
    config,
    load_average: [loadBefore, loadavg()[0]!],
    aborted: signal.aborted ? "interrupted" : broke,
  });
  await print(command, result);
  return code === EXIT.done && result.verdict === "failed" ? EXIT.gateFailed : code;
}

function planOf(command: Command) {
  const options = command.opts<Record<string, unknown>>();
  for (const name of Object.keys(options)) {
    if (command.getOptionValueSource(name) === "cli" && !TAKEN.has(name)) {
      const flag = command.options.find((option) => option.attributeName() === name)?.long ?? name;
      throw new UsageError(`--real: ${flag} is for the emulated machine`);
    }
  }
  const device = options["device"] ?? "blk";
  if (device !== "blk" && device !== "null")
    throw new UsageError(`--real: --device is blk or null, not ${String(device)}`);
  const quick = options["quick"] === true;
  return {
    nullNode: device === "null",
    imageFolder: (options["imageFolder"] as string | undefined) ?? memoryFolder(),
    eventIdx: (options["eventIdx"] as boolean | undefined) ?? true,
    rounds: (options["rounds"] as number | undefined) ?? ROUNDS,
    depths: WINDOWS.map(({ depth, requests, quickRequests }) => ({
      depth,
      windowRequests: quick ? quickRequests : requests,
    })),
    windowMsMax: quick ? 300 : 5_000,
    idleMs: quick ? 500 : 3_000,
    seed: (options["seed"] as number | undefined) ?? 1,
  };
}

function memoryFolder(): string {
  try {
    accessSync(MEMORY_FOLDER, constants.W_OK);
    return MEMORY_FOLDER;
  } catch {
    return tmpdir();
  }
}

async function print(command: Command, result: RealBenchResult): Promise<void> {
  const options = command.opts<Record<string, unknown>>();
  const json = jsonFile(options["json"]);
  if (json !== undefined) await writeJson(result, json);
  if (json === "-") return;
  const table = realTable(result);
  const markdown = options["markdown"] === true;
  const lines = [
    realHeadline(result),
    markdown ? `\n${markdownTable(table)}\n` : textTable(table, wantsColour(process.stdout)),
    ...realNotes(result).map((note) => (markdown ? `- ${note}` : note)),
    `verdict: ${result.verdict}${result.why === undefined ? "" : ` (${result.why})`}`,
  ];
  await writeText(`${lines.join("\n")}\n`);
}
