import { writeFileSync } from "node:fs";
import type { MachineConfig } from "../machine/config.js";
import { RunBroken, UsageError } from "../report/exit-codes.js";
import type { BenchResult } from "./bench-result.js";
import { settingOf } from "./settings.js";

/** One axis of a sweep: a setting and the values it takes. */
export interface Axis {
  readonly key: string;
  readonly field: keyof MachineConfig;
  readonly values: readonly (string | number | boolean)[];
}

/** One point of a sweep: a value for each axis. */
export type SweepPoint = Readonly<Record<string, string | number | boolean>>;

/** Reads an axis such as "queue_size=16,256,1024"; throws UsageError. */
export function parseAxis(text: string): Axis {
  const [key = "", values, ...more] = text.split("=");
  const setting = settingOf(key);
  if (setting === undefined) throw new UsageError(`sweep "${text}": unknown setting "${key}"`);
  if (values === undefined || values === "" || more.length > 0)
    throw new UsageError(`sweep "${text}": write ${key}=value,value,…`);
  return { key: setting.key, field: setting.field, values: values.split(",").map(setting.parse) };
}

/** Every combination of the axes' values; the last axis moves fastest. Throws UsageError for a key that comes twice. */
export function sweepPoints(axes: readonly Axis[]): SweepPoint[] {
  const twice = axes.find(({ key }, i) => axes.findIndex((axis) => axis.key === key) !== i);
  if (twice !== undefined) throw new UsageError(`sweep: ${twice.key} is given twice`);
  return axes.reduce<SweepPoint[]>(
    (points, { key, values }) => points.flatMap((point) => values.map((value) => ({ ...point, [key]: value }))),
    [{}],
  );
}

/** The part of a config that a point sets. */
export function askedOf(axes: readonly Axis[], point: SweepPoint): Partial<MachineConfig> {
  return Object.fromEntries(axes.map(({ key, field }) => [field, point[key]]));
}

const FIGURES = [
  "path",
  "placement",
  "ns_per_request",
  "min",
  "max",
  "p50_ns",
  "p99_ns",
  "ratio",
  "ratio_low",
  "ratio_high",
  "comparable",
  "verdict",
];

/** Writes the results of a sweep as CSV (RFC 4180): a line for each point and path; throws UsageError or RunBroken. */
export function writeCsv(
  file: string,
  axes: readonly Axis[],
  results: readonly { point: SweepPoint; result: BenchResult }[],
): void {
  const lines = [[...axes.map(({ key }) => key), ...FIGURES]];
  for (const { point, result } of results) {
    for (const path of result.paths) {
      const overhead = result.overhead.find((row) => row.path === path.name && row.placement === path.placement);
      const { ns_per_request: ns, latency_ns: latency } = path;
      const figures = [
        path.name,
        path.placement,
        ns?.median,
        ns?.min,
        ns?.max,
        latency?.["50"],
        latency?.["99"],
        overhead?.throughput.ratio,
        overhead?.throughput.interval[0],
        overhead?.throughput.interval[1],
        overhead?.comparable,
        result.verdict,
      ];
      lines.push([
        ...axes.map(({ key }) => String(point[key])),
        ...figures.map((value) => (value === undefined ? "" : String(value))),
      ]);
    }
  }
  try {
    writeFileSync(file, `${lines.map((line) => line.map(quoted).join(",")).join("\r\n")}\r\n`);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new (code === "ENOSPC" ? RunBroken : UsageError)(`csv ${file}: ${message}`);
  }
}

function quoted(value: string): string {
  return /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}
