import { machineFacts } from "../lab/machine-facts.js";
import { EXIT, UsageError } from "../report/exit-codes.js";
import { writeJson, writeText } from "../report/json.js";
import { Progress } from "../report/progress.js";
import { textTable, wantsColour } from "../report/table.js";
import { castWith } from "../validate/explorer/cast.js";
import {
  besideModels,
  type ExplorationOptions,
  type ExplorationReport,
  runExploration,
} from "../validate/explorer/exploration.js";
import { type ExploreOptions, modelName } from "../validate/explorer/explore.js";
import { optionsFor } from "../validate/explorer/judge-twins.js";
import { playsOf } from "../validate/explorer/plays.js";
import { TWINS } from "../validate/explorer/twin-list.js";
import { PROFILES, type ProfileName } from "../validate/validation.js";
import { Interruptible } from "./signals.js";

const ORDERS = ["sc", "tso", "pso"] as const;

/** What the command line asks for. */
export interface ExploreArguments {
  readonly profile: ProfileName;
  /** The name of one exploration, of any profile. */
  readonly only?: string | undefined;
  /** The name of a twin that plays. */
  readonly twin?: string | undefined;
  readonly json: string | undefined;
}

/** Explores what a profile asks for, or one model of it; the exit code says whether anything is wrong. */
export async function exploreModels({ profile, only, twin, json }: ExploreArguments): Promise<number> {
  const what = await explorationOf(profile, only, twin);
  const interruptible = new Interruptible();
  const bar = new Progress({ label: "explore", total: unitCount(what) });
  let report: ExplorationReport;
  try {
    const { signal } = interruptible;
    report = await runExploration({ ...what, signal, onProgress: (done, _, name) => bar.update(done, name) });
  } finally {
    bar.stop();
    interruptible.dispose();
  }
  if (json === undefined) await writeText(`${textOf(report)}\nverdict: ${report.verdict}\n`);
  else await writeJson({ ...machineFacts(), profile, only: only ?? null, twin: twin ?? null, ...report }, json);
  return interruptible.code ?? (report.verdict === "failed" ? EXIT.gateFailed : EXIT.done);
}

/** Everything of a profile, or one model, or a twin; throws UsageError for a name that there is not. */
async function explorationOf(
  profile: ProfileName,
  only: string | undefined,
  name: string | undefined,
): Promise<ExplorationOptions> {
  if (only === undefined && name === undefined)
    return { models: playsOf(profile), ...besideModels(profile), threads: profile === "full" };
  const twin = TWINS.find((each) => each.name === name);
  if (name !== undefined && twin === undefined) {
    throw new UsageError(`--twin: no twin is called ${name}; there are ${TWINS.map((each) => each.name).join(", ")}`);
  }
  const models = only === undefined ? ORDERS.map((order) => optionsFor(twin!, order)) : [planCalled(only)];
  if (twin === undefined) return { models };
  const make = await castWith(twin);
  return { models: models.map((model) => ({ ...model, make })), twin: twin.name };
}

function planCalled(only: string): ExploreOptions {
  const profiles = Object.keys(PROFILES) as ProfileName[];
  const plan = profiles.flatMap(playsOf).find((each) => modelName(each) === only);
  if (plan === undefined) throw new UsageError(`--only: no exploration is called "${only}"; the table has their names`);
  return plan;
}

function unitCount({ models, twins = [], comparisons = [], crash = false }: ExplorationOptions): number {
  return models.length + twins.length + comparisons.length + (crash ? 1 : 0);
}

function textOf(report: ExplorationReport): string {
  const sections = [modelText(report), twinText(report), unreducedText(report), crashText(report)];
  return `${sections.filter((lines) => lines.length > 0).join("\n\n")}\n`;
}

function modelText({ models }: ExplorationReport): string {
  const titles = ["exploration", "states", "transitions", "depth", "seconds", "found"];
  const rows = models.map((model) => [
    model.name,
    model.states.toLocaleString("en"),
    model.transitions.toLocaleString("en"),
    model.depth,
    model.seconds.toFixed(1),
    model.complete ? "nothing, in every order" : (model.violations[0]?.what ?? "not all of it"),
  ]);
  const found = models.flatMap(({ violations }) =>
    violations.flatMap(({ oracle, what, trace, replay }) => [
      "",
      `${oracle}: ${what}`,
      ...trace,
      `show it again: ${replay}`,
    ]),
  );
  return [table(titles, rows), ...found].join("\n");
}

function twinText({ mutants }: ExplorationReport): string {
  const { total, survivors, list } = mutants;
  if (total === 0) return "";
  const kinds = [...new Set(list.map(({ kind }) => kind))];
  const counts = kinds.map((kind) => `${list.filter((row) => row.kind === kind).length} ${kind}`).join(", ");
  const head = `${total} twins (${counts}):`;
  if (survivors.length === 0) return `${head} all found as expected`;
  const found = (seen: boolean | null) => (seen === null ? "?" : seen ? "found" : "not");
  const rows = survivors.map(({ name, what, expected, seen }) => [
    name,
    what,
    ...ORDERS.map((order) => `${found(seen[order])}, expected ${found(expected[order])}`),
  ]);
  const again = survivors.flatMap(({ replay }) => replay.map((command) => `show it: ${command}`));
  const wrong = `${head} ${survivors.length} NOT as expected`;
  return [wrong, table(["twin", "lacks", ...ORDERS], rows), ...again].join("\n");
}

function unreducedText({ unreduced }: ExplorationReport): string {
  if (unreduced.length === 0) return "";
  const wrong = unreduced.filter(({ agrees }) => !agrees);
  const head = `${unreduced.length} explorations once more without a reduction:`;
  if (wrong.length === 0) return `${head} the same verdicts`;
  const rows = wrong.map(({ name, twin, reduction, verdict, reduced_verdict }) => [
    name,
    twin,
    reduction,
    verdict,
    reduced_verdict,
  ]);
  const titles = ["exploration", "twin", "reduction", "without it", "with it"];
  return [`${head} ${wrong.length} OTHER verdicts`, table(titles, rows)].join("\n");
}

function crashText({ crash_points }: ExplorationReport): string {
  if (crash_points === null) return "";
  const { points, covered, found, by } = crash_points;
  const lines = found.slice(0, 5).map(({ message }) => `FAILED ${message}`);
  const what = `killed at ${covered} of ${points} points of ${by.length} scenarios and taken over from its record`;
  return [...lines, `the relay ${what}: ${found.length} failures`].join("\n");
}

function table(titles: readonly string[], rows: readonly (readonly (string | number | null)[])[]): string {
  return textTable({ columns: titles.map((title) => ({ title })), rows }, wantsColour(process.stdout));
}
