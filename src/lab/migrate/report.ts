import type { MigrationProgress } from "../../migration/migration.js";
import { type Curve, type Plot, svgOf } from "../../report/plot.js";
import type { TableContent } from "../../report/table.js";
import { formatBytes, formatNs } from "../../report/units.js";
import { machineFacts } from "../machine-facts.js";
import type { RowResult } from "./row.js";
import { type RunOptions, type RunResult, unmet } from "./run.js";

/** How a migration went over time: what was left to send. */
export interface RemainingCurve {
  readonly name: string;
  readonly points: readonly { readonly time_ns: number; readonly remaining_bytes: number; readonly round: number }[];
}

/** Notes what is left at each sync and each window of one migration. */
export class RemainingRecorder {
  readonly #points: { time_ns: number; remaining_bytes: number; round: number }[] = [];

  /** To be called with each progress of the migration. */
  readonly note = ({ timeNs, remainingBytes, round }: MigrationProgress): void => {
    this.#points.push({ time_ns: Math.round(timeNs), remaining_bytes: remainingBytes, round });
  };

  /** What was noted, under a name. */
  curve(name: string): RemainingCurve {
    return { name, points: this.#points };
  }
}

/** The JSON document of a migration or of a comparison (schema "shadowvq.migrate/1"). */
export function migrateDocument(
  trackers: readonly RowResult[],
  curves: readonly RemainingCurve[],
  { onProgress: _, cancelled: __, clock: ___, faults: ____, ...config }: RunOptions,
  aborted: boolean,
): { readonly verdict: "ok" | "failed" | "aborted" } & Record<string, unknown> {
  const wrong = trackers.flatMap((row) => unmet(row) ?? []);
  const verdict = wrong.length > 0 ? "failed" : aborted ? "aborted" : "ok";
  return {
    schema: "shadowvq.migrate/1",
    ...machineFacts(),
    seed: config.seed,
    config,
    trackers,
    unmet: wrong,
    curves,
    verdict,
  };
}

/** The table for people: one row for each tracker, what it found and what it cost. */
export function migrateTable(runs: readonly RunResult[]): TableContent {
  const titles = [
    "tracker",
    "expected",
    "lost pages",
    "rounds",
    "sent",
    "downtime",
    "over-reported",
    "footprint",
    "mark a page",
    "marshalled",
    "",
  ];
  const rows = runs.map(({ row, outcome }) => [
    row.name,
    row.expect,
    row.legal ? row.misses : "–",
    row.legal ? row.rounds : "–",
    row.legal ? formatBytes(row.total_bytes) : "–",
    row.legal ? formatNs(row.downtime_ns) : "–",
    row.legal ? `${(100 * row.over_report_ratio).toFixed(0)} %` : "–",
    row.legal ? formatBytes(row.footprint_bytes) : "–",
    row.legal ? formatNs(row.mark_ns_per_page) : "–",
    row.legal ? formatBytes(row.marshalled_bytes) : "–",
    outcome?.status === "cancelled" ? "cancelled" : verdictOf(row),
  ]);
  return { columns: titles.map((title) => ({ title })), rows };
}

/** Round, what is left, how fast it grows, and how long the guest would stand still now: for a progress bar. */
export function progressNote(progress: MigrationProgress): string {
  const { round, remainingBytes, dirtyRateBytes, expectedDowntimeNs, throttlePercent } = progress;
  const parts = [
    `round ${round}`,
    `${formatBytes(remainingBytes)} left`,
    `${formatBytes(dirtyRateBytes)}/s dirty`,
    `downtime ${formatNs(expectedDowntimeNs)}`,
  ];
  return (throttlePercent > 0 ? [...parts, `throttled ${throttlePercent} %`] : parts).join(", ");
}

/** Remaining bytes against time, as SVG; undefined where nothing was sent. */
export function remainingSvg(curves: readonly RemainingCurve[], title: string, note: string): string | undefined {
  const drawn: Curve[] = curves
    .filter(({ points }) => points.length > 0)
    .map(({ name, points }) => ({
      label: name,
      points: points.map(({ time_ns, remaining_bytes }) => ({ x: time_ns / 1e9, y: remaining_bytes / 2 ** 20 })),
    }));
  if (drawn.length === 0) return undefined;
  const plot: Plot = { title, xTitle: "seconds", yTitle: "MiB left to send", curves: drawn, note, xScale: "linear" };
  return svgOf(plot);
}

function verdictOf(row: RowResult): string {
  const wrong = unmet(row);
  if (wrong !== undefined) return `FAILED: ${wrong}`;
  if (!row.legal) return `refused: ${row.blocker ?? "?"}`;
  if (row.expect === "unsound") return "loses pages, as it has to";
  return row.converged ? "ok" : "ok, never converged";
}
