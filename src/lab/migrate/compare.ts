import { ConfigError } from "../../memory/config-error.js";
import type { RowResult } from "./row.js";
import { TRACKER_ROWS } from "./rows.js";
import { type RunOptions, type RunResult, runMigration, unmet } from "./run.js";
import { QUICK } from "./workloads.js";

/** What a comparison found. */
export interface Comparison {
  readonly trackers: readonly RowResult[];
  readonly runs: readonly RunResult[];
  /** A sentence for each row that does not show what it is expected to. */
  readonly unmet: readonly string[];
}

/** Runs rows, all of them unless some are named, on the same seeded workload. Throws ConfigError for unknown names. */
export async function compareTrackers(
  options: RunOptions = QUICK,
  names: readonly string[] = [...TRACKER_ROWS.keys()],
  onRow: (result: RunResult) => void = () => {},
): Promise<Comparison> {
  const rows = names.map((name) => {
    const row = TRACKER_ROWS.get(name);
    if (row === undefined)
      throw new ConfigError(`no tracker ${name} (there are: ${[...TRACKER_ROWS.keys()].join(", ")})`);
    return row;
  });
  const runs: RunResult[] = [];
  for (const row of rows) {
    const result = await runMigration([row], options);
    runs.push(result);
    onRow(result);
  }
  const trackers = runs.map(({ row }) => row);
  return { trackers, runs, unmet: trackers.flatMap((row) => unmet(row) ?? []) };
}
