import { loadavg } from "node:os";
import { Command, CommanderError, Option } from "commander";
import { machineFacts } from "../src/lab/machine-facts.js";
import { pingPong } from "../src/lab/ping-pong.js";
import { EXIT, exitCodeOf, UsageError } from "../src/report/exit-codes.js";
import { writeJson, writeText } from "../src/report/json.js";
import { Progress } from "../src/report/progress.js";
import { textTable, wantsColour } from "../src/report/table.js";
import { changesSince, loadBaseline, saveBaseline } from "./harness/baseline.js";
import { Contest, type Extent, TwinMismatch } from "./harness/contest.js";
import { type BenchReport, footnotes, reportTable, type Skipped } from "./harness/report.js";
import { type Compiler, findCompiler } from "./harness/twin.js";
import type { RowResult } from "./harness/verdict.js";
import { litmus } from "./litmus/litmus.js";
import { drawPlots } from "./plots/draw.js";
import { drawTrackerPlots } from "./plots/trackers.js";
import type { Row } from "./row.js";
import { ROWS } from "./rows.js";

const EXAMPLES = `
Examples:
  npm run -s bench                                   every row, about 3 minutes
  npm run -s bench -- --quick                        three rows of each family, under a minute
  npm run -s bench -- --rows relay_1d_1map_vs_c      only what is named
  npm run -s bench -- --json | jq .ratios            for programs
  npm run -s bench -- --save-baseline before         keep it, and later:
  npm run -s bench -- --baseline before              exit 3 when a row got worse
  npm run -s bench -- --plots                        curves into bench/results/, up to 15 minutes
  npm run -s bench -- --plots trackers               what a sync costs by RAM, density, devices; fits and phases
  npm run -s bench -- --litmus --rounds 1e6          may a mark test its bit first? (1e7 unless told)
`;

const FULL: Extent = { processPairs: 3, windows: 3, windowNs: 250e6, warmNs: 80e6, totalMs: 160_000 };
const QUICK: Extent = { processPairs: 3, windows: 3, windowNs: 40e6, warmNs: 60e6, totalMs: 50_000 };

interface Options {
  readonly quick?: true;
  readonly rows?: string;
  readonly json?: string | true;
  readonly saveBaseline?: string;
  readonly baseline?: string;
  readonly plots?: "relay" | "trackers" | true;
  readonly list?: true;
  readonly litmus?: true;
  readonly rounds?: string;
  readonly cc: string;
}

const program = new Command("bench")
  .description("Measures the hot paths against a C twin and against each other, as ratios of adjacent windows.")
  .option("--quick", "three rows of each family, shorter windows")
  .option("--rows <names>", "only these rows, by name, with commas")
  .option("--json [file]", "one JSON document instead of the table")
  .option("--save-baseline <name>", "keep the result under a name")
  .option("--baseline <name>", "compare with a kept result")
  .addOption(
    new Option("--plots [which]", "curves as SVG instead of rows, all unless told").choices(["relay", "trackers"]),
  )
  .option("--list", "the rows there are, with what they are to reach")
  .option("--litmus", "two threads that mark and take the same bits, and what gets lost")
  .option("--rounds <number>", "rounds of each form of the litmus")
  .option("--cc <command>", "the C compiler to look for", "cc")
  .addHelpText("after", EXAMPLES)
  .exitOverride()
  .action(run);

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = codeOf(error);
  if (!(error instanceof CommanderError)) process.stderr.write(`bench: ${(error as Error).message}\n`);
}

async function run(options: Options): Promise<void> {
  if (options.list) return list();
  if (options.litmus) {
    process.exitCode = await litmus(options);
    return;
  }
  if (options.rounds !== undefined) throw new UsageError("--rounds belongs to --litmus");
  const baseline = options.baseline === undefined ? undefined : loadBaseline(options.baseline);
  const compiler = findCompiler(options.cc);
  if (options.plots !== undefined) return drawAll(options.plots, typeof compiler !== "string");
  const report = await measureAll(chosenRows(options), options.quick ? QUICK : FULL, compiler);
  const changes = baseline && { name: options.baseline!, changes: changesSince(baseline, report) };
  const compared: BenchReport = changes === undefined ? report : { ...report, baseline: changes };
  if (options.saveBaseline !== undefined) await saveBaseline(options.saveBaseline, report);
  await show(compared, options.json);
  if (Object.values(changes?.changes ?? {}).includes("regressed")) process.exitCode = EXIT.regression;
}

async function drawAll(which: "relay" | "trackers" | true, withTwin: boolean): Promise<void> {
  const say = (line: string) => process.stderr.write(`${line}\n`);
  if (which !== "trackers") await drawPlots(withTwin, say);
  if (which !== "relay") await writeText(drawTrackerPlots(say));
}

function chosenRows({ rows, quick }: Options): Row[] {
  if (rows === undefined) return ROWS.filter((row) => row.quick || !quick);
  return rows.split(",").map((name) => {
    const row = ROWS.find((row) => row.name === name.trim());
    if (row === undefined) throw new UsageError(`no row "${name}": --list names them`);
    return row;
  });
}

async function measureAll(rows: readonly Row[], extent: Extent, compiler: Compiler | string): Promise<BenchReport> {
  const before = await pingPong();
  const load = loadavg()[0]!;
  const whyNot = (row: Row) =>
    typeof compiler === "string" && row.b.some(({ by }) => by === "c") ? compiler : undefined;
  const skipped: Skipped[] = rows.flatMap((row) => {
    const why = whyNot(row);
    return why === undefined ? [] : [{ name: row.name, why }];
  });
  const contest = new Contest(extent);
  const ratios = await measureRows(
    contest,
    rows.filter((row) => whyNot(row) === undefined),
  ).finally(() => contest.close());
  const after = await pingPong();
  const known = typeof compiler === "string" ? undefined : compiler;
  return {
    schema: "shadowvq.microbench/1",
    ...machineFacts(),
    ratios,
    skipped,
    twin: {
      compiler: known?.version ?? null,
      flags: known?.flags ?? null,
      output_sha256_equal: contest.outputsEqual,
    },
    noise: {
      pingpong_ns: [before, after].map(({ round_trip_ns }) => round_trip_ns?.["50"] ?? null),
      load: [load, loadavg()[0]!],
      noisy: Object.keys(ratios).filter((name) => ratios[name]!.noisy),
    },
  };
}

/** Measures every row, then the noisy ones once more while there is time. */
async function measureRows(contest: Contest, rows: readonly Row[]): Promise<Record<string, RowResult>> {
  const ratios: Record<string, RowResult> = {};
  const progress = new Progress({ label: "bench", total: rows.length });
  try {
    progress.update(0, "compiling and recording");
    await contest.prepare(rows);
    for (const [index, row] of rows.entries()) {
      progress.update(index, row.name);
      ratios[row.name] = await contest.measure(row);
    }
    for (const row of rows) {
      if (!ratios[row.name]!.noisy || !contest.hasTimeFor(row)) continue;
      progress.update(rows.length, `once more: ${row.name}`);
      ratios[row.name] = await contest.measure(row);
    }
    return ratios;
  } finally {
    progress.stop();
  }
}

async function show(report: BenchReport, json: string | true | undefined): Promise<void> {
  if (json !== undefined) return writeJson(report, json === true ? "-" : json);
  const text = [reportTable(report, ROWS, wantsColour(process.stdout)), "", ...footnotes(report), ""].join("\n");
  await writeText(text);
}

async function list(): Promise<void> {
  const rows = ROWS.map(({ name, family, unit, reach, aim, quick }) => [
    name,
    family,
    unit,
    reach ?? null,
    aim ?? null,
    quick ? "quick" : "",
  ]);
  const columns = ["row", "family", "per", "reach", "aim", ""].map((title) => ({ title }));
  await writeText(`${textTable({ columns, rows })}\n`);
}

function codeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  return error instanceof TwinMismatch ? EXIT.gateFailed : exitCodeOf(error);
}
