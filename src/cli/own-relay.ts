import { EXIT, UsageError } from "../report/exit-codes.js";
import { writeJson, writeText } from "../report/json.js";
import { textTable, wantsColour } from "../report/table.js";
import type { OwnProfile } from "../validate/own-relay/judge.js";
import { replayOwnRelay, runOwnRelay } from "../validate/own-relay/own-relay.js";
import type { OwnOracle, OwnReport } from "../validate/own-relay/own-report.js";
import { timelineText } from "../validate/trace/timeline.js";
import { readTraceFile } from "../validate/trace/trace-file.js";
import { tellReplay } from "./replay.js";
import { Interruptible } from "./signals.js";

/** How somebody's relay is validated. */
interface OwnRelayOptions {
  readonly seed: number;
  readonly profile: OwnProfile;
  /** A file for the JSON document, "-" for stdout; a table unless given. */
  readonly json: string | undefined;
  /** A trace: its program is run, and nothing else. */
  readonly replay?: string | undefined;
}

/** Validates a relay module and says what it holds; throws UsageError for one that cannot be used. */
export async function validateOwnRelay(path: string, options: OwnRelayOptions): Promise<number> {
  const { seed, profile, json, replay } = options;
  if (replay !== undefined) {
    const { again, now } = await replayOwnRelay(path, readTraceFile(replay));
    return tellReplay(replay, json, again, now);
  }
  const interruptible = new Interruptible();
  let report: OwnReport;
  try {
    report = await runOwnRelay(path, { seed, profile, signal: interruptible.signal });
  } finally {
    interruptible.dispose();
  }
  if (json !== undefined) await writeJson(report, json);
  else if (report.problem !== null) throw new UsageError(`relay ${path}: ${report.problem}`);
  else await writeText(`${textOf(report, seed)}\n`);
  if (report.verdict === "unusable") return EXIT.usage;
  return interruptible.code ?? (report.verdict === "ok" ? EXIT.done : EXIT.gateFailed);
}

function textOf({ relay, oracles, invariants, verdict }: OwnReport, seed: number): string {
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
    `relay ${relay.path}; seed ${seed}; verdict: ${verdict}`,
  ].join("\n");
}

const HELD: Readonly<Record<string, string>> = { true: "held", false: "BROKEN", null: "not tried to the end" };

/** The first that a program has broken, access by access. */
function storyOf(path: string, broken: readonly OwnOracle[]): string[] {
  const replay = broken.find((each) => each.replay !== undefined)?.replay;
  if (replay === undefined) return [];
  const trace = readTraceFile(replay);
  return ["", timelineText(trace), "", `repeat it, shrunk: svq validate --relay ${path} --replay ${replay}`];
}
