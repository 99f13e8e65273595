import { Command } from "commander";
import { loadInput } from "../lab/files.js";
import { machineFacts } from "../lab/machine-facts.js";
import { configsOf } from "../lab/paths.js";
import { type RunTick, runMachine } from "../lab/run.js";
import { parsePaths, settingsOf } from "../lab/settings.js";
import { checkedConfig } from "../machine/config.js";
import { EXIT, UsageError } from "../report/exit-codes.js";
import { writeJson, writeText } from "../report/json.js";
import { textTable, wantsColour } from "../report/table.js";
import { formatNs, parseDurationNs, parseSizeBytes } from "../report/units.js";
import { addSettings, askedBy, checkWritable, jsonFile, noOperands } from "./options.js";
import { Interruptible } from "./signals.js";

const EXAMPLES = `
Examples:
  svq run                                      svq/threads on a blk device until Ctrl-C
  svq run --path svq/fused --duration 5s --json
  svq run --device net --order out-of-order --queue-size 16 --depth 8 --batch 4
`;

/** svq run: one machine, one workload, live counters. */
export function runCommand(): Command {
  const command = new Command("run")
    .description("Run one machine on one workload until it is done or stopped, with live counters.")
    .option("--path <row>", "data path and placement", "svq/threads")
    .option("--duration <duration>", "how long (default: until Ctrl-C)", parseDurationNs)
    .option("--input <file>", "what is written and read back (default: the Node binary)")
    .option("--input-bytes <size>", "use only so much of it", parseSizeBytes, 8 * 2 ** 20)
    .option("--json [file]", "one JSON document at the end")
    .addHelpText("after", EXAMPLES);
  return addSettings(command).action(async () => {
    noOperands(command);
    process.exitCode = await run(command);
  });
}

async function run(command: Command): Promise<number> {
  const options = command.opts<Record<string, unknown>>();
  const [choice, ...more] = parsePaths(String(options["path"]));
  if (more.length > 0) throw new UsageError("--path: one row; svq bench runs several");
  const { asked, input } = askedBy(command);
  const config = checkedConfig(configsOf([choice!], asked)[0]!);
  const json = jsonFile(options["json"]);
  checkWritable(json);
  const loaded = loadInput(input ?? process.execPath, options["inputBytes"] as number);
  const interruptible = new Interruptible();
  const live = process.stderr.isTTY === true;
  let before: RunTick | undefined;
  try {
    const { series, broken, ...result } = await runMachine({
      config,
      input: loaded,
      durationNs: options["duration"] as number | undefined,
      signal: interruptible.signal,
      tick: (tick) => {
        if (live) process.stderr.write(`\r\u001b[K${liveLine(tick, before)}`);
        before = tick;
      },
    });
    if (live) process.stderr.write("\r\u001b[K");
    const ended = interruptible.code !== undefined || broken !== undefined;
    const verdict = ended ? "aborted" : result.failures.length === 0 ? "ok" : "failed";
    const document = {
      schema: "shadowvq.run/1",
      ...machineFacts(),
      seed: config.seed,
      config: { path: config.path, placement: config.placement, ...settingsOf(config) },
      input: { path: loaded.path, bytes: loaded.bytes, sha256: loaded.sha256 },
      requests: series.requests,
      ns_per_request: series.samples.length === 0 ? null : series.nsPerRequest(),
      latency_ns: series.samples.length === 0 ? null : series.latencyNs(),
      ...result,
      verdict,
      ...(broken === undefined ? {} : { why: broken.message }),
    };
    if (json === undefined) await writeText(`${summary(result, verdict)}\n`);
    else await writeJson(document, json);
    if (broken !== undefined) throw broken;
    return interruptible.code ?? (result.failures.length === 0 ? EXIT.done : EXIT.gateFailed);
  } finally {
    interruptible.dispose();
  }
}

function liveLine(tick: RunTick, before: RunTick | undefined): string {
  const requests = tick.driver.requests - (before?.driver.requests ?? 0);
  const ns = tick.elapsed_ns - (before?.elapsed_ns ?? 0);
  const rate = Math.round((requests * 1e9) / ns).toLocaleString("en");
  const { relay, driver } = tick;
  const relayed = `${relay.descriptors} descriptors relayed  ${relay.dirtyMarks} marks`;
  return `${formatNs(tick.elapsed_ns)}  ${rate} requests/s  ${driver.kicks} kicks  ${relayed}`;
}

function summary(result: RunTick & { failures: string[] }, verdict: string): string {
  const roles = ["driver", "relay", "device"] as const;
  const names = Object.keys(result.driver) as (keyof RunTick["driver"])[];
  const rows = names
    .filter((name) => roles.some((role) => result[role][name] > 0))
    .map((name) => [name, ...roles.map((role) => result[role][name])]);
  const columns = ["counter", ...roles].map((title) => ({ title }));
  const table = textTable({ columns, rows }, wantsColour(process.stdout));
  return [
    table,
    ...result.failures.map((failure) => `FAILED ${failure}`),
    `ran ${formatNs(result.elapsed_ns)}; verdict: ${verdict}`,
  ].join("\n");
}
