import { existsSync } from "node:fs";
import { Command, Option } from "commander";
import { Bench, type BenchOptions } from "../lab/bench.js";
import type { BenchResult } from "../lab/bench-result.js";
import { footnotes, headline, overheadTable } from "../lab/bench-table.js";
import { kickNs } from "../lab/kick-probe.js";
import { DEFAULT_PATHS, type PathChoice, pathName } from "../lab/paths.js";
import { parsePaths, parseRounds } from "../lab/settings.js";
import { type Axis, askedOf, parseAxis, type SweepPoint, sweepPoints, writeCsv } from "../lab/sweep.js";
import { FAULTS, type FaultKind } from "../machine/faults.js";
import { EXIT, exitCodeOf, UsageError } from "../report/exit-codes.js";
import { writeJson, writeText } from "../report/json.js";
import { LOG_LEVELS, openLog } from "../report/logging.js";
import { Progress } from "../report/progress.js";
import { markdownTable, textTable, wantsColour } from "../report/table.js";
import { parseDurationNs, parseSizeBytes } from "../report/units.js";
import { benchReal } from "./bench-real.js";
import { addSettings, askedBy, checkWritable, jsonFile, noOperands } from "./options.js";
import { Interruptible } from "./signals.js";

const EXAMPLES = `
Examples:
  svq bench --quick                                     the overhead table in under a minute
  svq bench --paths passthrough,svq/fused --depth 1     latency of one request at a time
  svq bench --quick --json | jq .overhead               for programs
  svq bench --quick --fault drop-mark                   see a gate fail (exit 1)
  svq bench --quick --switch-every 20ms                 change data paths under load
  svq bench --real --quick                              svq relay in front of a real qemu-storage-daemon
  svq bench --quick --sweep queue_size=16,256 --csv sizes.csv
`;

/** Windows that are switched under load, without --paths. */
const SWITCH_PATHS: readonly PathChoice[] = [
  { path: "svq", placement: "threads" },
  { path: "svq", placement: "fused" },
];

/** svq bench: the same work through several data paths. */
export function benchCommand(): Command {
  const command = new Command("bench")
    .description("Write a file through every data path and read it back: overhead against passthrough, with gates.")
    .option("--quick", "under a minute: a prefix of the input, short windows")
    .option("--real", "measure svq relay in front of a real qemu-storage-daemon instead")
    .option("--paths <list>", "rows, such as passthrough,svq/fused")
    .option("--input <file>", "what is written and read back (default: the Node binary)")
    .option("--input-bytes <size>", "use only so much of it", parseSizeBytes)
    .option("--rounds <n>", "timed windows of each path, 5 or more", parseRounds)
    .option("--window <duration>", "length of a timed window, 10ms or more", parseDurationNs)
    .option("--json [file]", "one JSON document instead of the table")
    .option("--markdown", "the table in Markdown")
    .option(
      "--sweep <key=a,b,c>",
      "run the product of settings; may be repeated",
      (text, axes: Axis[]) => [...axes, parseAxis(text)],
      [],
    )
    .option("--csv <file>", "figures of every point of a sweep")
    .option(
      "--switch-every <duration>",
      "go to and fro between the relay and passthrough, at least 50 times",
      parseDurationNs,
    )
    .addOption(new Option("--fault <kind>", "break one request, chosen by seed, to see its gate fail").choices(FAULTS))
    .option("--fault-path <row>", "the row to break (default: svq/threads)")
    .option("--image-folder <folder>", "where disk images go (default: the temporary folder)")
    .option("--image <file>", "use this file or device as the disk instead; it is overwritten")
    .addOption(new Option("--log-level <level>", "what is logged on stderr").choices(LOG_LEVELS).default("warn"))
    .addHelpText("after", EXAMPLES);
  return addSettings(command).action(async () => {
    noOperands(command);
    process.exitCode = command.opts()["real"] === true ? await benchReal(command) : await bench(command);
  });
}

async function bench(command: Command): Promise<number> {
  const options = command.opts<Record<string, unknown>>();
  const axes = options["sweep"] as Axis[];
  checkWritable(jsonFile(options["json"]));
  checkWritable(options["csv"] as string | undefined);
  checkImage(options["image"] as string | undefined);
  const interruptible = new Interruptible();
  const results: { point: SweepPoint; result: BenchResult }[] = [];
  try {
    const points = sweepPoints(axes);
    // All points are checked before the first one runs.
    for (const point of points) new Bench(benchOptions(command, askedOf(axes, point), interruptible.signal, () => {}));
    const kick = await kickNs();
    let code: number = EXIT.done;
    try {
      for (const point of points) {
        const outcome = await benchOnce(command, askedOf(axes, point), interruptible, kick, point);
        results.push({ point, result: outcome.result });
        code = Math.max(code, outcome.code);
        if (outcome.code === EXIT.broken || interruptible.code !== undefined) break;
      }
    } finally {
      // A point that cannot run does not take along those that have.
      if (results.length > 0) await printSweep(command, axes, results);
    }
    return interruptible.code ?? code;
  } finally {
    interruptible.dispose();
  }
}

async function benchOnce(
  command: Command,
  point: BenchOptions["asked"],
  interruptible: Interruptible,
  kick: number | null,
  where: SweepPoint,
): Promise<{ result: BenchResult; code: number }> {
  const log = openLog({ level: String(command.opts()["logLevel"]) });
  const bar = new Progress({ label: "bench", total: 100 });
  const run = new Bench(
    benchOptions(command, point, interruptible.signal, (done, what) => bar.update(done * 100, what)),
  );
  let code: number = EXIT.done;
  try {
    await run.run();
    code = run.result.verdict === "failed" ? EXIT.gateFailed : EXIT.done;
  } catch (error) {
    code = exitCodeOf(error);
    if (code === EXIT.usage) throw error;
    log.info({ where, err: error }, "the run broke");
    process.stderr.write(`svq: ${(error as Error).message}\n`);
  } finally {
    bar.stop();
  }
  if (run.result.verdict !== "ok") for (const line of run.recorder.dump()) log[dumpLevel(run.result)](line);
  process.exitCode = interruptible.code ?? code;
  await printResult(command, run.result, kick);
  return { result: run.result, code };
}

/** What led to a failed gate is shown; a run that ended early says why in one line, and the rest when asked. */
function dumpLevel({ verdict }: BenchResult): "warn" | "info" {
  return verdict === "failed" ? "warn" : "info";
}

function benchOptions(
  command: Command,
  point: BenchOptions["asked"],
  signal: AbortSignal,
  progress: BenchOptions["progress"],
): BenchOptions {
  const options = command.opts<Record<string, unknown>>();
  const { asked, paths, input, rounds } = askedBy(command);
  const quick = options["quick"] === true;
  const switchEveryNs = options["switchEvery"] as number | undefined;
  const rows = paths ?? (switchEveryNs === undefined ? DEFAULT_PATHS : SWITCH_PATHS);
  return {
    paths: rows,
    asked: { ...asked, ...point },
    inputPath: input ?? process.execPath,
    inputBytesMax: (options["inputBytes"] as number | undefined) ?? (quick ? 8 * 2 ** 20 : 2 ** 30),
    rounds: rounds ?? (quick ? 7 : 15),
    windowNs: windowNs(options["window"] as number | undefined, quick),
    fault: faultOf(options["fault"] as FaultKind | undefined, options["faultPath"] as string | undefined, rows),
    switchEveryMs: switchEveryNs === undefined ? undefined : switchEveryNs / 1e6,
    imageFolder: options["imageFolder"] as string | undefined,
    imagePath: options["image"] as string | undefined,
    signal,
    progress,
  };
}

function checkImage(image: string | undefined): void {
  checkWritable(image);
  if (image !== undefined && !existsSync(image)) throw new UsageError(`--image ${image}: there is no such file`);
}

function windowNs(asked: number | undefined, quick: boolean): number {
  if (asked !== undefined && asked < 10e6) throw new UsageError("--window: at least 10ms");
  return asked ?? (quick ? 420e6 : 1000e6);
}

function faultOf(
  kind: FaultKind | undefined,
  row: string | undefined,
  rows: readonly PathChoice[],
): BenchOptions["fault"] {
  if (kind === undefined) {
    if (row !== undefined) throw new UsageError("--fault-path: without --fault there is nothing to break");
    return undefined;
  }
  const path =
    row === undefined ? (rows.find((one) => pathName(one) === "svq/threads") ?? rows[0]!) : parsePaths(row)[0]!;
  if (!rows.some((one) => pathName(one) === pathName(path)))
    throw new UsageError(`--fault-path: ${pathName(path)} is not among the rows`);
  return { kind, path };
}

async function printResult(command: Command, result: BenchResult, kick: number | null): Promise<void> {
  const options = command.opts<Record<string, unknown>>();
  const json = jsonFile(options["json"]);
  const swept = (options["sweep"] as Axis[]).length > 0;
  if (json !== undefined) {
    if (!swept) await writeJson(result, json);
    if (json === "-") return;
  }
  const table = overheadTable(result);
  const lines = [
    headline(kick, Number(result.config["exit_ns"] ?? 0)),
    options["markdown"] === true ? `\n${markdownTable(table)}\n` : textTable(table, wantsColour(process.stdout)),
    ...footnotes(result).map((note) => (options["markdown"] === true ? `- ${note}` : note)),
    `verdict: ${result.verdict}${result.why === undefined ? "" : ` (${result.why})`}`,
  ];
  await writeText(`${lines.join("\n")}\n`);
}

async function printSweep(
  command: Command,
  axes: readonly Axis[],
  results: readonly { point: SweepPoint; result: BenchResult }[],
): Promise<void> {
  const options = command.opts<Record<string, unknown>>();
  const csv = options["csv"] as string | undefined;
  if (csv !== undefined) writeCsv(csv, axes, results);
  const json = jsonFile(options["json"]);
  if (axes.length > 0 && json !== undefined) await writeJson({ schema: "shadowvq.sweep/1", points: results }, json);
}
