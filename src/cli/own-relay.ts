import { EXIT, UsageError } from "../report/exit-codes.js";
import { writeJson, writeText } from "../report/json.js";
import { textTable, wantsColour } from "../report/table.js";
import { type OwnFinding, readFinding } from "../validate/own-relay/finding.js";
import type { OwnProfile } from "../validate/own-relay/judge.js";
import { repeatOwnRelay, replayOwnRelay, runOwnRelay } from "../validate/own-relay/own-relay.js";
import type { OwnOracle, OwnReport } from "../validate/own-relay/own-report.js";
import { type TimelineStep, timelineText } from "../validate/trace/timeline.js";
import { readTraceFile } from "../validate/trace/trace-file.js";
import { tellReplay } from "./replay.js";
import { Interruptible } from "./signals.js";

/** How somebody's relay is validated. */
interface OwnRelayOptions {
  readonly seed: number;
  readonly profile: OwnProfile;
  /** A file for the JSON document, "-" for stdout; a table unless given. */
  readonly json: string | undefined;
  /** Only every order of accesses, and the crash points. */
  readonly explore?: boolean | undefined;
  /** A trace: its program is run, and nothing else. */
  readonly replay?: string | undefined;
}

/** Validates a relay module and says what it holds; throws UsageError for one that cannot be used. */
export async function validateOwnRelay(path: string, options: OwnRelayOptions): Promise<number> {
  const { seed, profile, json, explore, replay } = options;
  if (replay !== undefined) {
    const finding = readFinding(replay);
    if (finding !== undefined) return tellFinding(path, finding, json);
    const { again, now } = await replayOwnRelay(path, readTraceFile(replay));
    return tellReplay(replay, json, again, now);
  }
  const interruptible = new Interruptible();
  let report: OwnReport;
  try {
    report = await runOwnRelay(path, {
      seed,
      profile,
      only: explore === true ? "explore" : undefined,
      signal: interruptible.signal,
    });
  } finally {
    interruptible.dispose();
  }
  if (json !== undefined) await writeJson(report, json);
  else if (report.problem !== null) throw new UsageError(`relay ${path}: ${report.problem}`);
  else await writeText(`${textOf(report, seed)}\n`);
  if (report.verdict === "unusable") return EXIT.usage;
  return interruptible.code ?? (report.verdict === "ok" ? EXIT.done : EXIT.gateFailed);
}

/** Looks at one finding again, and says whether it is still there; the exit code says it too. */
async function tellFinding(path: string, finding: OwnFinding, json: string | undefined): Promise<number> {
  const now = await repeatOwnRelay(path, finding);
  const verdict = now === undefined ? "ok" : "failed";
  const { where, what } = now ?? finding;
  const timeline = now?.steps ?? [];
  if (json !== undefined) {
    const found = now === undefined ? null : { oracle: now.id, invariant: now.invariant, what };
    await writeJson({ schema: "shadowvq.own-replay/1", where, recorded: finding.what, found, timeline, verdict }, json);
  } else {
    const end = now === undefined ? "nothing found" : `BROKEN ${what.startsWith(now.id) ? "" : `${now.id}: `}${what}`;
    await writeText(`${[...stepsText(timeline), `${where}: ${end}`].join("\n")}\n`);
  }
  return now === undefined ? EXIT.done : EXIT.gateFailed;
}

function textOf({ relay, oracles, invariants, coverage, verdict }: OwnReport, seed: number): string {
  const columns = ["oracle", "what it holds", "", "at step"].map((title) => ({ title }));
  const rows = oracles.map(({ id, holds, held, step }) => [id, holds, HELD[String(held)]!, step ?? ""]);
  const broken = oracles.filter(({ held }) => held === false);
  const lines = broken.map(({ what, where }) => `BROKEN ${where}: ${what}`);
  const rules = invariants.filter(({ held }) => held === false);
  return [
    textTable({ columns, rows }, wantsColour(process.stdout)),
    "",
    ...lines,
    ...rules.map(({ number, statement }) => `invariant ${number}: ${statement}`),
    ...storyOf(relay.path, broken),
    ...(coverage === null ? [] : [`explorer: ${coverage.explorer}; crash points: ${coverage.crash_points}`]),
    `relay ${relay.path}; seed ${seed}; verdict: ${verdict}`,
  ].join("\n");
}

const HELD: Readonly<Record<string, string>> = { true: "held", false: "BROKEN", null: "not tried to the end" };

/** The first that a program has broken, access by access. */
function storyOf(path: string, broken: readonly OwnOracle[]): string[] {
  const first = broken.find((each) => each.replay !== undefined);
  if (first?.replay === undefined) return [];
  const finding = readFinding(first.replay);
  const again = `svq validate --relay ${path} --replay ${first.replay}`;
  if (finding !== undefined) return ["", ...stepsText(finding.steps), `repeat it: ${again}`];
  return ["", timelineText(readTraceFile(first.replay)), "", `repeat it, shrunk: ${again}`];
}

/** The last steps of an exploration, and the command that shows the rest is the caller's. */
function stepsText(steps: readonly TimelineStep[]): string[] {
  if (steps.length === 0) return [];
  const rows = steps
    .slice(-STEPS_SHOWN)
    .map(({ step, role, access, guest, shadow, device }) => [
      String(step),
      role,
      access,
      ...[guest, shadow, device].map((indices) => indices.join(" ")),
    ]);
  const titles = ["role", "what it does", "guest avail seen used", "shadow avail used last", "device last used"];
  const columns = [{ title: "step", align: "right" as const }, ...titles.map((title) => ({ title }))];
  const before = Math.max(0, steps.length - STEPS_SHOWN);
  return [...(before > 0 ? [`(${before} steps before)`] : []), textTable({ columns, rows }), ""];
}

const STEPS_SHOWN = 40;
