import type { MachineFacts } from "../../src/lab/machine-facts.js";
import { textTable } from "../../src/report/table.js";
import { formatNs } from "../../src/report/units.js";
import type { Row } from "../row.js";
import { type Change, type RowResult, standing } from "./verdict.js";

/** A row that was not measured. */
export interface Skipped {
  readonly name: string;
  readonly why: string;
}

/** The whole result, as `--json` writes it. */
export interface BenchReport extends MachineFacts {
  readonly schema: "shadowvq.microbench/1";
  readonly ratios: Record<string, RowResult>;
  readonly skipped: readonly Skipped[];
  readonly twin: {
    readonly compiler: string | null;
    readonly flags: Readonly<Record<string, string>> | null;
    readonly output_sha256_equal: boolean | null;
  };
  readonly noise: {
    /** Round trip of a cache line between two pinned threads, before and after; null where there are no two CPUs. */
    readonly pingpong_ns: readonly (number | null)[];
    readonly load: readonly number[];
    readonly noisy: readonly string[];
  };
  readonly baseline?: { readonly name: string; readonly changes: Readonly<Record<string, Change>> };
}

/** The table for people. */
export function reportTable(report: BenchReport, rows: readonly Row[], colour: boolean): string {
  const measured = rows.filter(({ name }) => report.ratios[name] !== undefined);
  const compared = report.baseline !== undefined;
  const titles = [
    "row",
    "ratio",
    "interval",
    "ours",
    "other",
    "per",
    "reach",
    "aim",
    ...(compared ? ["baseline"] : []),
  ];
  return textTable(
    {
      columns: titles.map((title) => ({ title })),
      rows: measured.map((row) => [...cellsOf(row, report.ratios[row.name]!), ...changeCell(report, row.name)]),
    },
    colour,
  );
}

/** What stands under the table. */
export function footnotes(report: BenchReport): string[] {
  const { twin, skipped, noise } = report;
  return [
    twin.compiler === null
      ? "no C twin"
      : `C twin: ${twin.compiler}; outputs ${twin.output_sha256_equal === null ? "not compared" : "equal"}`,
    `Node ${report.node}, ${report.cpu}, ${report.cores} cores; cache line round trip ${noise.pingpong_ns
      .map((ns) => formatNs(ns))
      .join(" before, ")} after; load ${noise.load.map((load) => load.toFixed(1)).join(" → ")}`,
    ...(noise.noisy.length > 0 ? [`noisy, repeated where there was time: ${noise.noisy.join(", ")}`] : []),
    ...skipped.map(({ name, why }) => `skipped ${name}: ${why}`),
  ];
}

function cellsOf(row: Row, result: RowResult): string[] {
  const [low, high] = result.interval;
  return [
    row.name,
    ratioText(result.value),
    `${ratioText(low)} … ${ratioText(high)}${result.noisy ? " noisy" : ""}`,
    formatNs(result.a_ns),
    formatNs(result.b_ns),
    row.unit,
    goalText(result.interval, row.reach),
    goalText(result.interval, row.aim),
  ];
}

function goalText(interval: readonly [number, number], goal: number | undefined): string {
  return goal === undefined ? "–" : `≤ ${goal} ${standing(interval, goal)}`;
}

function ratioText(value: number): string {
  return value < 0.1 ? value.toPrecision(2) : value.toFixed(2);
}

function changeCell(report: BenchReport, name: string): string[] {
  return report.baseline === undefined ? [] : [report.baseline.changes[name] ?? "new"];
}
