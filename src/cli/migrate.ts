import { writeFileSync } from "node:fs";
import { Command, Option } from "commander";
import { RealClock } from "../lab/migrate/clocks.js";
import { compareTrackers } from "../lab/migrate/compare.js";
import { joinedRow } from "../lab/migrate/joined-row.js";
import {
  migrateDocument,
  migrateTable,
  progressNote,
  type RemainingCurve,
  RemainingRecorder,
  remainingSvg,
} from "../lab/migrate/report.js";
import { TRACKER_ROWS } from "../lab/migrate/rows.js";
import { type RunOptions, type RunResult, runMigration } from "../lab/migrate/run.js";
import { DENSE_RAM_BYTES_MAX, QUICK, WHOLE, WORKLOADS } from "../lab/migrate/workloads.js";
import { EXIT, UsageError } from "../report/exit-codes.js";
import { writeJson, writeText } from "../report/json.js";
import { Progress } from "../report/progress.js";
import { textTable, wantsColour } from "../report/table.js";
import { formatBytes, formatNs, parseDurationNs, parseSizeBytes } from "../report/units.js";
import { checkWritable, jsonFile, noOperands } from "./options.js";
import { Interruptible } from "./signals.js";

const EXAMPLES = `
Examples:
  svq migrate                                            one migration, shadow virtqueue, with its rounds
  svq migrate --tracker device-bitmap --ram 1G           a device's own log
  svq migrate --tracker vhost-log,iommu-4k               two trackers in one migration, OR-ed
  svq migrate --workload hot --auto-converge             more is written than can be sent
  svq migrate --tracker all-dirty --svg remaining.svg    remaining bytes against time, as a picture
  svq migrate --compare --quick                          every tracker on the same seeded workload
  svq migrate --compare --json | jq .trackers            for programs

`;

const TRACKER = "svq-all-writable";

interface MigrateOptions {
  readonly tracker?: string;
  readonly compare?: true;
  readonly quick?: true;
  readonly workload: string;
  readonly ram?: number;
  readonly bandwidth?: number;
  readonly downtimeLimit?: number;
  readonly rounds?: number;
  readonly autoConverge?: true;
  readonly dirtyLimit?: number;
  readonly precopyTracking: boolean;
  readonly realTime?: true;
  readonly seed: number;
  readonly json?: string | true;
  readonly svg?: string;
}

/** svq migrate: live migration of an emulated machine, and its ways to know what was written, compared. */
export function migrateCommand(): Command {
  const command = new Command("migrate")
    .description("Migrate an emulated machine live, by one way of dirty tracking or by all of them, under one oracle.")
    .option("--tracker <names>", `how dirty pages get known; several are OR-ed (default: ${TRACKER})`)
    .option("--compare", "every tracker on the same seeded workload")
    .option("--quick", "less memory, fewer rounds: a comparison in under a minute and a half")
    .addOption(
      new Option("--workload <name>", "what the guest does meanwhile").choices(Object.keys(WORKLOADS)).default("mixed"),
    )
    .option(
      "--ram <size>",
      `guest RAM; above 4G stamps of pages only, up to 256G (${defaults((run) => formatBytes(run.ramBytes))})`,
      parseSizeBytes,
    )
    .option(
      "--bandwidth <size>",
      `max-bandwidth, bytes a second (${defaults(({ parameters }) => formatBytes(parameters.maxBandwidthBytes))})`,
      parseSizeBytes,
    )
    .option(
      "--downtime-limit <duration>",
      `downtime-limit (default: ${formatNs(WHOLE.parameters.downtimeLimitNs)})`,
      parseDurationNs,
    )
    .option(
      "--rounds <n>",
      `rounds after which it gives up (${defaults(({ parameters }) => `${parameters.roundsMax}`)})`,
      parseCount,
    )
    .option("--auto-converge", "throttle vCPUs that write faster than can be sent")
    .option("--dirty-limit <size>", "limit what vCPUs write a second; needs kvm-ring", parseSizeBytes)
    .option("--no-precopy-tracking", "ask devices' trackers only once they have stopped")
    .option("--real-time", "by the clock on the wall; virtual time otherwise")
    .option("--seed <n>", "every choice follows from it", parseSeed, 1)
    .option("--json [file]", "one JSON document instead of the table")
    .option("--svg <file>", "remaining bytes against time")
    .addHelpText("after", () => `${EXAMPLES}Workloads:\n${workloadList()}\n\nTrackers:\n${trackerList()}`);
  return command.action(async () => {
    noOperands(command);
    process.exitCode = await migrate(command.opts<MigrateOptions>());
  });
}

async function migrate(options: MigrateOptions): Promise<number> {
  checkWritable(jsonFile(options.json));
  checkWritable(options.svg);
  if (options.compare === true && options.tracker !== undefined) {
    throw new UsageError("--compare runs every tracker: leave out --tracker");
  }
  const asked = (options.tracker ?? TRACKER).split(",").map((name) => name.trim());
  const names = options.compare === true ? [...TRACKER_ROWS.keys()] : [...new Set(asked)];
  const interruptible = new Interruptible();
  const run: RunOptions = { ...runOptions(options), cancelled: () => interruptible.code !== undefined };
  const results: RunResult[] = [];
  const curves: RemainingCurve[] = [];
  try {
    if (options.compare === true) await compareAll(names, run, interruptible, results, curves);
    else await migrateOnce(names, run, results, curves);
  } finally {
    interruptible.dispose();
  }
  const aborted = interruptible.code !== undefined;
  // What was cancelled has shown nothing, neither good nor bad.
  const shown = results.filter(({ outcome }) => outcome?.status !== "cancelled").map(({ row }) => row);
  const document = migrateDocument(shown, curves, run, aborted);
  if (options.svg !== undefined) writeSvg(options.svg, curves, run);
  if (options.json !== undefined) await writeJson(document, options.json === true ? "-" : options.json);
  else
    await writeText(`${textTable(migrateTable(results), wantsColour(process.stdout))}\nverdict: ${document.verdict}\n`);
  return interruptible.code ?? (document.verdict === "ok" ? EXIT.done : EXIT.gateFailed);
}

async function compareAll(
  names: readonly string[],
  run: RunOptions,
  interruptible: Interruptible,
  results: RunResult[],
  curves: RemainingCurve[],
): Promise<void> {
  const bar = new Progress({ label: "migrate", total: names.length });
  try {
    for (const name of names) {
      if (interruptible.code !== undefined) return;
      bar.update(results.length, name);
      const recorder = new RemainingRecorder();
      const { runs } = await compareTrackers({ ...run, onProgress: recorder.note }, [name]);
      results.push(...runs);
      curves.push(recorder.curve(name));
    }
  } finally {
    bar.stop();
  }
}

async function migrateOnce(
  names: readonly string[],
  run: RunOptions,
  results: RunResult[],
  curves: RemainingCurve[],
): Promise<void> {
  const rows = names.map((name) => {
    const row = TRACKER_ROWS.get(name);
    if (row === undefined) throw new UsageError(`--tracker: no tracker ${name}; svq migrate --help lists them`);
    return row;
  });
  const { name } = joinedRow(rows);
  const bar = new Progress({ label: "migrate", total: Math.round(run.ramBytes / 2 ** 20) });
  const recorder = new RemainingRecorder();
  const onProgress: RunOptions["onProgress"] = (progress) => {
    recorder.note(progress);
    bar.update(Math.round((run.ramBytes - progress.remainingBytes) / 2 ** 20), progressNote(progress));
  };
  try {
    results.push(await runMigration(rows, { ...run, onProgress }));
    curves.push(recorder.curve(name));
  } finally {
    bar.stop();
  }
}

function runOptions(options: MigrateOptions): RunOptions {
  const base = options.quick === true ? QUICK : WHOLE;
  const { vcpuBytesPerSecond, dmaBytesPerSecond } = WORKLOADS[options.workload]!;
  const ramBytes = options.ram ?? base.ramBytes;
  return {
    seed: options.seed,
    ramBytes,
    sparse: ramBytes > DENSE_RAM_BYTES_MAX,
    vcpuBytesPerSecond,
    dmaBytesPerSecond,
    parameters: {
      ...base.parameters,
      maxBandwidthBytes: options.bandwidth ?? base.parameters.maxBandwidthBytes,
      downtimeLimitNs: options.downtimeLimit ?? base.parameters.downtimeLimitNs,
      roundsMax: options.rounds ?? base.parameters.roundsMax,
      autoConverge: options.autoConverge === true,
      dirtyLimitBytes: options.dirtyLimit ?? 0,
      preCopyDirtyPageTracking: options.precopyTracking,
    },
    ...(options.realTime === true && { clock: () => new RealClock() }),
  };
}

function writeSvg(file: string, curves: readonly RemainingCurve[], { ramBytes, seed, parameters }: RunOptions): void {
  const bandwidth = `${formatBytes(parameters.maxBandwidthBytes)}/s`;
  const limit = formatNs(parameters.downtimeLimitNs);
  const note = `RAM ${formatBytes(ramBytes)}, bandwidth ${bandwidth}, downtime limit ${limit}, seed ${seed}`;
  const svg = remainingSvg(curves, "Migration: bytes left to send", note);
  if (svg !== undefined) writeFileSync(file, svg);
}

function defaults(of: (options: RunOptions) => string): string {
  const [whole, quick] = [of(WHOLE), of(QUICK)];
  return whole === quick ? `default: ${whole}` : `default: ${whole}, with --quick ${quick}`;
}

function workloadList(): string {
  return Object.entries(WORKLOADS)
    .map(([name, { does }]) => `  ${name.padEnd(30)} ${does}`)
    .join("\n");
}

function trackerList(): string {
  return [...TRACKER_ROWS.values()]
    .map(({ name, expect, does }) => `  ${name.padEnd(30)} ${expect.padEnd(8)} ${does}`)
    .join("\n");
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new UsageError(`"${text}" is no whole number from 1`);
  return count;
}

function parseSeed(text: string): number {
  const seed = Number(text);
  if (!Number.isSafeInteger(seed) || seed < 0) throw new UsageError(`--seed: "${text}" is no whole number`);
  return seed;
}
