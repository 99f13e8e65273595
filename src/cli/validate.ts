import { createHash } from "node:crypto";
import { accessSync, constants } from "node:fs";
import { Command, Option } from "commander";
import { machineFacts } from "../lab/machine-facts.js";
import { EXIT, exitCodeOf, UsageError } from "../report/exit-codes.js";
import { writeJson, writeText } from "../report/json.js";
import { Progress } from "../report/progress.js";
import { textTable, wantsColour } from "../report/table.js";
import { parseDurationNs } from "../report/units.js";
import { CATALOGUE } from "../validate/catalogue/catalogue.js";
import { FAULTY_RELAYS, type FaultyRelay, faultyRelay } from "../validate/faulty-relays.js";
import { type Finding, findingsOf, isClean } from "../validate/findings.js";
import { readCorpus } from "../validate/fuzz/corpus.js";
import { PARTS, type PartName, type PartReports } from "../validate/parts.js";
import { SHIPPING } from "../validate/rig/rig.js";
import { recordRun } from "../validate/trace/record.js";
import { timelineText } from "../validate/trace/timeline.js";
import { writeTraceFile } from "../validate/trace/trace-file.js";
import { writeTrace } from "../validate/trace/trace-format.js";
import { PROFILES, type ProfileName, Validation } from "../validate/validation.js";
import { exploreModels } from "./explore.js";
import { judgeMutants } from "./mutants.js";
import { checkWritable, jsonFile, noOperands } from "./options.js";
import { validateOwnRelay } from "./own-relay.js";
import { replayFile } from "./replay.js";
import { Interruptible } from "./signals.js";

const EXAMPLES = `
Examples:
  svq validate                                     everything, in about half a minute
  svq validate --profile ci --json | jq .verdict   what a pipeline runs: a million executions, under 4 minutes
  svq validate --catalogue --rows BI-12,BI-44      some rows of the bad-input catalogue
  svq validate --fuzz --profile full --for 10m     one part, for as long as there is time
  svq validate --fault wrong-length                a faulty relay: see the oracles find it (exit 1)
  svq validate --explore --profile ci              every interleaving under SC, TSO and PSO: 32 million states
  svq validate --explore --only "pso, 2 × 1, flags, log on"    one exploration, by its name in the table
  svq validate --explore --twin relay-call-no-fence            a relay that lacks a fence: the shortest way to harm
  svq validate --relay examples/minimal-relay.js   your own relay: which oracles hold; --explore: orders and deaths only
  svq validate --mutants                           does anything notice each of 79 mistakes?
  svq validate --replay svq-1a2b3c4d.trace         repeat a failure, access by access
`;

const PART_HELP: Readonly<Record<PartName, string>> = {
  catalogue: "the catalogue of bad inputs",
  fuzz: "the fuzzer",
  differential: "runs of the same program in two ways",
  faults: "faults in whole machines, in virtual time",
};

/** svq validate: the relay against everything that its peers can do to it. */
export function validateCommand(): Command {
  const command = new Command("validate")
    .description("Put the relay through bad inputs, fuzzing, differential runs and faults; oracles watch every access.")
    .addOption(new Option("--profile <name>", "how much").choices(Object.keys(PROFILES)).default("quick"))
    .option("--seed <n>", "every random choice follows from it", parseSeed, 1)
    .option("--for <duration>", "begin nothing new after that", parseDurationNs)
    .option("--rows <list>", "only these rows of the catalogue", parseRows)
    .option("--corpus <folder>", "programs that are fuzzed first; failing ones are added")
    .addOption(new Option("--fault <kind>", "a faulty relay instead").choices(Object.keys(FAULTY_RELAYS)))
    .option("--relay <file>", "your own relay instead: a module as examples/relay-interface.d.ts says")
    .option("--explore", "every order of accesses and stores of driver, relay and device, instead")
    .option("--only <name>", "with --explore: one exploration, by its name in the table")
    .option("--twin <name>", "with --explore: driver, relay or device with one thing gone (exit 1 when it is found)")
    .option("--mutants", "copies of the relay with one mistake each, and what notices it, instead")
    .option("--replay <file>", "repeat the run in a trace")
    .option("--json [file]", "one JSON document instead of the table")
    .addHelpText("after", EXAMPLES);
  for (const part of PARTS) command.option(`--${part}`, `only ${PART_HELP[part]}; may be combined`);
  return command.action(async () => {
    noOperands(command);
    process.exitCode = await validate(command.opts<Options>());
  });
}

interface Options extends Partial<Readonly<Record<PartName, boolean>>> {
  readonly profile: ProfileName;
  readonly seed: number;
  readonly for?: number;
  readonly rows?: string[];
  readonly corpus?: string;
  readonly fault?: FaultyRelay;
  readonly relay?: string;
  readonly explore?: boolean;
  readonly only?: string;
  readonly twin?: string;
  readonly mutants?: boolean;
  readonly replay?: string;
  readonly json?: string | boolean;
}

async function validate(options: Options): Promise<number> {
  const json = jsonFile(options.json);
  checkWritable(json);
  checkCorpus(options.corpus);
  if (options.relay !== undefined) return ownRelay(options.relay, options, json);
  if (options.replay !== undefined) return replayFile(options.replay, json, makeOf(options));
  if (options.explore === true) return exploreModels({ ...options, json });
  const explored = (["only", "twin"] as const).find((name) => options[name] !== undefined);
  if (explored !== undefined) throw new UsageError(`--${explored} goes with --explore`);
  if (options.mutants === true) return judgeMutants(options.seed, json);
  const chosen = PARTS.filter((part) => options[part] === true);
  const interruptible = new Interruptible();
  const bar = new Progress({ label: "validate", total: 100 });
  const validation = new Validation({
    profile: options.profile,
    seed: options.seed,
    parts: chosen.length === 0 ? PARTS : chosen,
    rows: options.rows,
    faulty: options.fault,
    corpus: options.corpus,
    limitMs: options.for === undefined ? undefined : options.for / 1e6,
    signal: interruptible.signal,
    onProgress: (share, what) => bar.update(Math.floor(share * 100), what),
  });
  let broken: unknown;
  try {
    await validation.run();
  } catch (error) {
    if (exitCodeOf(error) === EXIT.usage) throw error;
    broken = error;
  } finally {
    bar.stop();
    interruptible.dispose();
  }
  const { reports } = validation;
  const ended = interruptible.code !== undefined || broken !== undefined;
  const verdict = !isClean(reports) ? "failed" : ended ? "aborted" : "ok";
  if (json === undefined) await writeText(`${report(options, reports, verdict)}\n`);
  else await writeJson(documentOf(options, reports, verdict), json);
  if (broken !== undefined) throw broken;
  return interruptible.code ?? (verdict === "failed" ? EXIT.gateFailed : EXIT.done);
}

/** Options that say what is done to the shipping relay. */
const NOT_WITH_RELAY = ["fault", "for", "rows", "corpus", "only", "twin", "mutants", ...PARTS] as const;

function ownRelay(path: string, options: Options, json: string | undefined): Promise<number> {
  const surplus = NOT_WITH_RELAY.find((name) => options[name] !== undefined);
  if (surplus !== undefined) throw new UsageError(`--relay does not go with --${surplus}`);
  const { seed, profile, explore, replay } = options;
  return validateOwnRelay(path, { seed, profile, json, explore, replay });
}

/** Refuses a corpus that cannot be read and written, before time is spent on it; throws UsageError. */
function checkCorpus(folder: string | undefined): void {
  if (folder === undefined) return;
  try {
    readCorpus(folder);
    accessSync(folder, constants.W_OK);
  } catch (error) {
    throw new UsageError(`--corpus: ${(error as Error).message}`, { cause: error });
  }
}

function makeOf({ fault }: Options) {
  return fault === undefined ? SHIPPING : faultyRelay(fault);
}

function documentOf(options: Options, { catalogue, fuzz, differential, faults }: PartReports, verdict: string): object {
  const { profile, seed, fault = null } = options;
  const findings = findingsOf({
    ...(catalogue === undefined ? {} : { catalogue }),
    ...(fuzz === undefined ? {} : { fuzz }),
    ...(differential === undefined ? {} : { differential }),
    ...(faults === undefined ? {} : { faults }),
  });
  return {
    schema: "shadowvq.validate/1",
    ...machineFacts(),
    seed,
    profile,
    config: { profile, seed, fault, rows: options.rows ?? null, for_ns: options.for ?? null },
    catalogue: catalogue === undefined ? null : { ...catalogue, failures: undefined },
    fuzz: fuzz === undefined ? null : { ...fuzz, examples: undefined },
    differential: differential === undefined ? null : { ...differential, examples: undefined },
    faults: faults === undefined ? null : { ...faults, kinds: faults.kinds.length, by_kind: faults.kinds },
    findings: findings.map(({ where, what }) => ({ where, what })),
    verdict,
  };
}

function report(options: Options, reports: PartReports, verdict: string): string {
  const columns = ["part", "tried", "wrong", "what"].map((title) => ({ title }));
  const table = textTable({ columns, rows: rowsOf(reports) }, wantsColour(process.stdout));
  const findings = findingsOf(reports);
  return [table, "", ...storyOf(options, findings), `seed ${options.seed}; verdict: ${verdict}`].join("\n");
}

function rowsOf({ catalogue, fuzz, differential, faults }: PartReports): (string | number)[][] {
  const rows: (string | number)[][] = [];
  if (catalogue !== undefined) {
    const what = `${catalogue.rows} rows, ${catalogue.legal_neighbours} legal neighbours among the cases`;
    rows.push(["catalogue", `${catalogue.cases} cases`, catalogue.failed, what]);
  }
  for (const { name, executions, failures, per_second, completing } of fuzz?.modes ?? []) {
    const rate = Math.round(per_second).toLocaleString("en");
    const share = Math.round((100 * completing) / Math.max(1, executions));
    const what = `${rate}/s a core; in ${share} % of them a chain went all the way`;
    rows.push([`fuzz ${name}`, `${executions.toLocaleString("en")} executions`, failures, what]);
  }
  for (const { name, programs, differences } of differential?.wirings ?? []) {
    rows.push([`differential ${name}`, `${programs.toLocaleString("en")} programs`, differences, ""]);
  }
  if (faults !== undefined) {
    const { injections, kinds, lost, duplicated, missed_dirty_pages, hung } = faults;
    const found = `${lost} lost, ${duplicated} doubled, ${missed_dirty_pages} pages missed, ${hung} hung`;
    const what = `${kinds.length} kinds: ${found}`;
    rows.push(["faults", `${injections} injections`, lost + duplicated + missed_dirty_pages + hung, what]);
  }
  return rows;
}

/** What was found, and the one command that repeats the first of it. */
function storyOf(options: Options, findings: readonly Finding[]): string[] {
  const lines = findings.map(({ where, what }) => `FAILED ${where}: ${what}`);
  const first = findings.find(({ program }) => program !== undefined);
  if (first?.program === undefined) return lines;
  const trace = recordRun(first.program, makeOf(options));
  lines.push("", timelineText(trace), "");
  const name = `svq-${createHash("sha256").update(writeTrace(trace)).digest("hex").slice(0, 8)}.trace`;
  try {
    writeTraceFile(name, trace);
  } catch (error) {
    return [...lines, `its trace is not kept: ${(error as Error).message}`];
  }
  const fault = options.fault === undefined ? "" : ` --fault ${options.fault}`;
  return [...lines, `repeat it, shrunk: svq validate${fault} --replay ${name}`, ""];
}

function parseSeed(text: string): number {
  const seed = Number(text);
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffff_ffff || text.trim() === "") {
    throw new UsageError(`--seed: ${text} is no integer from 0 to 4294967295`);
  }
  return seed;
}

function parseRows(text: string): string[] {
  const rows = text.split(",").map((row) => row.trim());
  const unknown = rows.find((row) => !CATALOGUE.some(({ id }) => id === row));
  if (unknown !== undefined) throw new UsageError(`--rows: the catalogue has no row ${unknown} with cases`);
  return rows;
}
