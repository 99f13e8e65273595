import { machineFacts } from "../lab/machine-facts.js";
import { EXIT } from "../report/exit-codes.js";
import { writeJson, writeText } from "../report/json.js";
import { Progress } from "../report/progress.js";
import { textTable, wantsColour } from "../report/table.js";
import { type MutantReport, runMutants } from "../validate/mutants/run-mutants.js";
import { Interruptible } from "./signals.js";

/** Judges every mutant of the relay; the exit code says whether one survived, or the shipping relay did not. */
export async function judgeMutants(seed: number, json: string | undefined): Promise<number> {
  const interruptible = new Interruptible();
  const bar = new Progress({ label: "mutants", total: 100 });
  let report: MutantReport;
  try {
    report = await runMutants({
      seed,
      signal: interruptible.signal,
      onProgress: (done, total, { name }) => bar.update(Math.floor((100 * done) / total), name),
    });
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

function tableOf({ list, control, killed, total, not_mutants }: MutantReport): string {
  const columns = ["row", "mutant", "killed by", "after"].map((title) => ({ title }));
  const rows = list.map(({ row, name, killed_by, executions }) => [row, name, killed_by ?? "SURVIVED", executions]);
  const table = textTable({ columns, rows }, wantsColour(process.stdout));
  const shipping = control?.killed_by ?? `nothing, in ${control?.executions ?? 0} executions`;
  const reasons = not_mutants.map(({ row, why }) => `no mutant for ${row}: ${why}`);
  return [table, "", ...reasons, `killed ${killed} of ${total}; found in the shipping relay: ${shipping}`].join("\n");
}
