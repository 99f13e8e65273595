import { Interruptible } from "../../src/cli/signals.js";
import { type MachineFacts, machineFacts } from "../../src/lab/machine-facts.js";
import { EXIT, UsageError } from "../../src/report/exit-codes.js";
import { writeJson, writeText } from "../../src/report/json.js";
import { Progress } from "../../src/report/progress.js";
import { textTable, wantsColour } from "../../src/report/table.js";
import { FORMS } from "./forms.js";
import { type MatchResult, playMatch } from "./match.js";
import { CAVEAT, type FormResult, type VerdictWord, verdictOf } from "./verdict.js";

/** What a litmus is asked for on the command line. */
export interface LitmusOptions {
  readonly rounds?: string;
  readonly json?: string | true;
}

/** The whole result, as `--json` writes it. */
interface LitmusReport {
  readonly schema: "shadowvq.litmus/1";
  /** Rounds of each form. */
  readonly rounds: number;
  readonly forms: readonly FormResult[];
  readonly verdict: VerdictWord;
  /** Where it was taken: the verdict is about nothing else. */
  readonly machine: MachineFacts & { readonly pinned: boolean };
}

const ROUNDS = 10_000_000;
const ROUNDS_MAX = 1_000_000_000;

/** Plays every form and shows what they came to; returns the exit code. Throws UsageError, and RunBroken. */
export async function litmus({ rounds: asked, json }: LitmusOptions): Promise<number> {
  const rounds = asked === undefined ? ROUNDS : parseRounds(asked);
  const interruptible = new Interruptible();
  try {
    const results = await playForms(rounds, interruptible.signal);
    const report = reportOf(rounds, results);
    if (json !== undefined) await writeJson(report, json === true ? "-" : json);
    else await writeText(textOf(results));
    return report.verdict === "bench broken" ? EXIT.gateFailed : EXIT.done;
  } catch (error) {
    if (interruptible.code === undefined) throw error;
    process.stderr.write("bench: interrupted, no verdict\n");
    return interruptible.code;
  } finally {
    interruptible.dispose();
  }
}

/** Reads a number of rounds, such as 10000000 or 1e7; throws UsageError. */
function parseRounds(text: string): number {
  const rounds = /^\d+(e\d)?$/.test(text) ? Number(text) : Number.NaN;
  if (rounds >= 1 && rounds <= ROUNDS_MAX) return rounds;
  throw new UsageError(`--rounds ${text}: not a whole number from 1 to ${ROUNDS_MAX}`);
}

async function playForms(rounds: number, signal: AbortSignal): Promise<MatchResult[]> {
  const progress = new Progress({ label: "litmus", total: FORMS.length * rounds });
  let played = 0;
  const results: MatchResult[] = [];
  try {
    for (const form of FORMS) {
      const onRounds = (more: number) => progress.update((played += more), form.name);
      onRounds(0);
      results.push(await playMatch(form, { rounds, signal, onRounds }));
    }
  } finally {
    progress.stop();
  }
  return results;
}

function reportOf(rounds: number, results: readonly MatchResult[]): LitmusReport {
  return {
    schema: "shadowvq.litmus/1",
    rounds,
    forms: results.map(({ name, rounds, lost, seconds }) => ({ name, rounds, lost, seconds })),
    verdict: verdictOf(results).word,
    machine: { ...machineFacts(), pinned: results.every(({ unpinned }) => unpinned === undefined) },
  };
}

/** The table, the verdict and what it is worth. */
function textOf(results: readonly MatchResult[]): string {
  const columns = ["form", "", "outcome", "seconds"].map((title) => ({ title }));
  const rows = results.map(({ name, rounds, lost, seconds }) => [
    name,
    FORMS.find((form) => form.name === name)!.role,
    `lost ${lost} of ${rounds} rounds`,
    seconds.toFixed(1),
  ]);
  const unpinned = results.find(({ unpinned }) => unpinned !== undefined)?.unpinned;
  const { word, text } = verdictOf(results);
  return [
    textTable({ columns, rows }, wantsColour(process.stdout)),
    "",
    `${word}: ${text}.`,
    CAVEAT,
    ...(unpinned === undefined ? [] : [`The threads were not kept on CPUs of their own: ${unpinned}`]),
    "",
  ].join("\n");
}
