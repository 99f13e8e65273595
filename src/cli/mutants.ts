import { machineFacts } from "../lab/machine-facts.js";
import { TRACKER_JUDGE, TRACKER_MUTANTS } from "../lab/migrate/mutants/tracker-mutants.js";
import { EXIT } from "../report/exit-codes.js";
import { writeJson, writeText } from "../report/json.js";
import { Progress } from "../report/progress.js";
import { textTable, wantsColour } from "../report/table.js";
import { MUTANTS } from "../validate/mutants/mutant-list.js";
import { type MutantReport, runMutants } from "../validate/mutants/run-mutants.js";
import { Interruptible } from "./signals.js";

/** Judges mutants of the relay and of trackers; the exit code says whether one survived, or what ships did not. */
export async function judgeMutants(seed: number, json: string | undefined): Promise<number> {
  const interruptible = new Interruptible();
  const bar = new Progress({ label: "mutants", total: 100 });
  const total = MUTANTS.length + TRACKER_MUTANTS.length;
  let judged = 0;
  const onProgress = (_: number, __: number, { name }: { readonly name: string }) => {
    judged += 1;
    bar.update(Math.floor((100 * judged) / total), name);
  };
  const options = { seed, signal: interruptible.signal, onProgress };
  let report: MutantReport;
  try {
    const relays = await runMutants(options);
    report = joined(relays, await runMutants({ ...options, mutants: TRACKER_MUTANTS, judge: TRACKER_JUDGE }));
  } catch (error) {
    if (interruptible.code === undefined) throw error;
    bar.stop();
    process.stderr.write("svq: interrupted: mutants are judged as a whole\n");
    return interruptible.code;
  } finally {
    bar.stop();
    interruptible.dispose();
  }
  const clean = report.survivors.length === 0 && (report.control?.killed_by ?? null) === null;
  const verdict = clean ? "ok" : "failed";
  if (json === undefined) await writeText(`${tableOf(report)}\n\nseed ${seed}; verdict: ${verdict}\n`);
  else await writeJson({ ...machineFacts(), seed, ...report, verdict }, json);
  return clean ? EXIT.done : EXIT.gateFailed;
}

/** Two reports as one: both lists, and the worse of both controls. */
function joined(one: MutantReport, other: MutantReport): MutantReport {
  const control = { killed_by: null, executions: 0 };
  return {
    ...one,
    total: one.total + other.total,
    killed: one.killed + other.killed,
    survivors: [...one.survivors, ...other.survivors],
    list: [...one.list, ...other.list],
    control: {
      killed_by: one.control?.killed_by ?? other.control?.killed_by ?? null,
      executions: (one.control ?? control).executions + (other.control ?? control).executions,
    },
  };
}

function tableOf({ list, control, killed, total, not_mutants }: MutantReport): string {
  const columns = ["row", "mutant", "killed by", "after"].map((title) => ({ title }));
  const rows = list.map(({ row, also, name, killed_by, executions }) => [
    also === undefined ? row : `${row}, ${also}`,
    name,
    killed_by ?? "SURVIVED",
    executions,
  ]);
  const table = textTable({ columns, rows }, wantsColour(process.stdout));
  const shipping = control?.killed_by ?? `nothing, in ${control?.executions ?? 0} executions`;
  const reasons = not_mutants.map(({ row, why }) => `no mutant for ${row}: ${why}`);
  return [table, "", ...reasons, `killed ${killed} of ${total}; found in the shipping code: ${shipping}`].join("\n");
}
