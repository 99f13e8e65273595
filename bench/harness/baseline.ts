import { mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { UsageError } from "../../src/report/exit-codes.js";
import { writeJson } from "../../src/report/json.js";
import { packageRoot } from "../../src/workers/worker-url.js";
import type { BenchReport } from "./report.js";
import { type Change, changeOf } from "./verdict.js";

/** Keeps a report under a name for later runs; returns the file. Throws UsageError for a name that is none. */
export async function saveBaseline(name: string, report: BenchReport): Promise<string> {
  const file = baselineFile(name);
  mkdirSync(dirname(file), { recursive: true });
  await writeJson(report, file);
  return file;
}

/** Reads a kept report; throws UsageError when there is none, or when it is no report of ours. */
export function loadBaseline(name: string): BenchReport {
  const file = baselineFile(name);
  try {
    const report = JSON.parse(readFileSync(file, "utf8")) as Partial<BenchReport>;
    if (report.schema !== "shadowvq.microbench/1") throw new Error("it is no result of this bench");
    return report as BenchReport;
  } catch (error) {
    throw new UsageError(`baseline "${name}" cannot be read: ${(error as Error).message}`);
  }
}

/** How every row that both reports have stands against the baseline. */
export function changesSince(baseline: BenchReport, report: BenchReport): Record<string, Change> {
  const common = Object.entries(report.ratios).filter(([name]) => baseline.ratios[name] !== undefined);
  return Object.fromEntries(common.map(([name, row]) => [name, changeOf(row, baseline.ratios[name]!)]));
}

function baselineFile(name: string): string {
  if (!/^[\w.-]+$/.test(name)) throw new UsageError(`baseline "${name}": letters, digits, ".", "_" and "-" only`);
  return join(packageRoot(), "bench", "results", "baselines", `${name}.json`);
}
