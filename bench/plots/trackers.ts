import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { linearRegression, linearRegressionLine, rSquared } from "simple-statistics";
import { machineFacts } from "../../src/lab/machine-facts.js";
import { type Curve, type Plot, svgOf } from "../../src/report/plot.js";
import { textTable } from "../../src/report/table.js";
import { formatBytes, formatNs } from "../../src/report/units.js";
import { packageRoot } from "../../src/workers/worker-url.js";
import { type Phases, phasesOf } from "./phases.js";
import { type SyncCost, TrackerRig } from "./tracker-rig.js";

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const PAGE_BYTES = 4096;
const TRACKERS = [
  "vhost-log",
  "device-bitmap",
  "device-seqack",
  "device-queue",
  "vq-pull",
  "iommu-4k",
  "iommu-2m",
  "kvm-ring",
] as const;
const RAM_BYTES = [16 * MIB, 64 * MIB, 256 * MIB, GIB, 4 * GIB, 16 * GIB, 64 * GIB, 256 * GIB];
/** Leaves of 4 KiB are kept one by one: 8 bytes for each page. */
const RAM_BYTES_MAX: Readonly<Record<string, number>> = { "iommu-4k": 16 * GIB };
const DENSITIES = [0, 0.1, 1, 10, 100];
const DEVICES = [1, 2, 4, 8];
const EVENTS = [100, 1000, 10_000, 100_000, 1_000_000];
/** Of so many syncs or more the quickest counts. */
const TIMES = 5;

/** One measured sync, and what it was of. */
interface Sample extends SyncCost {
  readonly tracker: string;
  readonly ramBytes: number;
  readonly devices: number;
}

/** T = a + b·GiB over the sizes of RAM from 1 GiB, by density (specification 1, row A12). */
interface Fit {
  readonly tracker: string;
  readonly densityPercent: number;
  readonly aNs: number;
  readonly bNsPerGib: number;
  readonly r2: number;
  /** RAM at which the part that grows is as large as the fixed one. */
  readonly crossoverGib: number;
}

/** Measures what a sync costs by RAM, density, devices and events; writes plots and figures, and returns tables. */
export function drawTrackerPlots(say: (line: string) => void): string {
  const say2 = (what: string) => say(`Trackers: ${what}`);
  say2("RAM, nothing dirty");
  const clean = byRam(0);
  say2("RAM, 0.1 % dirty");
  const dirty = byRam(0.1);
  say2("density");
  const density = sweep(DENSITIES, (tracker, percent) => sample(tracker, GIB, 1, pagesOf(GIB, percent)));
  say2("devices");
  const devices = sweep(
    DEVICES,
    (tracker, count) => sample(tracker, GIB, count, pagesOf(GIB, 1)),
    (name) => !name.startsWith("kvm-"),
  );
  say2("events");
  const events = sweep(
    EVENTS,
    (tracker, count) => sample(tracker, 4 * GIB, 1, count),
    (name) => name !== "iommu-4k",
  );
  say2("phases");
  const phases = [...phasesAt("4k"), ...phasesAt("2m")];
  const fits = [...fitsOf(clean, 0), ...fitsOf(dirty, 0.1)];
  save({ clean, dirty, density, devices, events }, fits, phases);
  return [fitTable(fits), "", phaseTable(phases), "", eventTable(events), ""].join("\n");
}

/** By x: one sample of each tracker. */
type Sweep = readonly (readonly [x: number, sample: Sample])[];

function byRam(percent: number): Sweep {
  return TRACKERS.flatMap((tracker) =>
    RAM_BYTES.filter((bytes) => bytes <= (RAM_BYTES_MAX[tracker] ?? bytes)).map((bytes): [number, Sample] => [
      bytes / GIB,
      sample(tracker, bytes, 1, pagesOf(bytes, percent)),
    ]),
  );
}

function sweep(
  values: readonly number[],
  measure: (tracker: string, value: number) => Sample,
  takes: (tracker: string) => boolean = () => true,
): Sweep {
  return TRACKERS.filter(takes).flatMap((tracker) =>
    values.map((value): [number, Sample] => [value, measure(tracker, value)]),
  );
}

function sample(tracker: string, ramBytes: number, devices: number, dirtyPages: number): Sample {
  return { tracker, ramBytes, devices, ...new TrackerRig(tracker, ramBytes, devices).least(dirtyPages, TIMES) };
}

function pagesOf(ramBytes: number, percent: number): number {
  return Math.round((ramBytes / PAGE_BYTES) * (percent / 100));
}

function phasesAt(leaf: Phases["leaf"]): Phases[] {
  return DENSITIES.map((percent) => phasesOf(leaf, GIB / PAGE_BYTES, percent));
}

function fitsOf(samples: Sweep, densityPercent: number): Fit[] {
  return TRACKERS.map((tracker) => {
    const points = samples
      .filter(([gib, one]) => one.tracker === tracker && gib >= 1)
      .map(([gib, { harvestNs }]): [number, number] => [gib, harvestNs]);
    const { m, b } = linearRegression(points);
    const r2 = rSquared(points, linearRegressionLine({ m, b }));
    // The least RAM is where the fixed part is seen best; a line through 256 GiB says little about it.
    const smallest = samples.find(([, one]) => one.tracker === tracker)![1].harvestNs;
    const aNs = Math.max(0, smallest - (m * RAM_BYTES[0]!) / GIB);
    return { tracker, densityPercent, aNs, bNsPerGib: m, r2, crossoverGib: aNs / m };
  });
}

function save(sweeps: Readonly<Record<string, Sweep>>, fits: readonly Fit[], phases: readonly Phases[]): void {
  const folder = join(packageRoot(), "bench", "results");
  mkdirSync(folder, { recursive: true });
  const facts = machineFacts();
  const machine = `Node ${facts.node}, ${facts.cpu}, ${facts.cores} cores, commit ${facts.git?.commit ?? "unknown"}`;
  const note = `${machine}; quickest of ${TIMES} syncs or more`;
  const harvest = ({ harvestNs }: Sample) => harvestNs;
  const drawings: readonly [file: string, of: string, y: (one: Sample) => number, yTitle: string, xTitle: string][] = [
    ["tracker-harvest-by-ram", "dirty", harvest, "ns per sync", "RAM in GiB, 0.1 % of the pages dirty"],
    ["tracker-harvest-by-ram-clean", "clean", harvest, "ns per sync", "RAM in GiB, nothing dirty"],
    ["tracker-footprint-by-ram", "dirty", (one) => one.footprintBytes, "bytes of the host's memory", "RAM in GiB"],
    ["tracker-harvest-by-density", "density", harvest, "ns per sync", "percent of the pages of 1 GiB dirty"],
    [
      "tracker-marshalled-by-density",
      "density",
      (one) => one.marshalledBytes,
      "bytes marshalled per sync",
      "percent of the pages of 1 GiB dirty",
    ],
    ["tracker-harvest-by-devices", "devices", harvest, "ns per sync", "devices that share 1 % of the pages of 1 GiB"],
    ["tracker-footprint-by-devices", "devices", (one) => one.footprintBytes, "bytes of the host's memory", "devices"],
    ["tracker-event-by-events", "events", perEvent, "ns per event: mark and harvest", "events per sync, 4 GiB"],
  ];
  for (const [file, of, y, yTitle, xTitle] of drawings) {
    const title = `Trackers: ${yTitle} by ${xTitle.split(/[ ,]/)[0]}`;
    const plot: Plot = { title, xTitle, yTitle, curves: curvesOf(sweeps[of]!, y), note, yScale: "log" };
    writeFileSync(join(folder, `${file}.svg`), svgOf(plot));
  }
  const document = { schema: "shadowvq.tracker-plots/1", ...facts, times: TIMES, sweeps, fits, phases };
  writeFileSync(join(folder, "trackers.json"), `${JSON.stringify(document, null, 1)}\n`);
}

function curvesOf(samples: Sweep, y: (one: Sample) => number): Curve[] {
  return TRACKERS.map((label) => ({
    label,
    points: samples.filter(([x, one]) => one.tracker === label && x > 0).map(([x, one]) => ({ x, y: y(one) })),
  })).filter(({ points }) => points.length > 0);
}

function perEvent({ markNs, harvestNs, dirtyPages }: Sample): number {
  return (markNs + harvestNs) / Math.max(1, dirtyPages);
}

function fitTable(fits: readonly Fit[]): string {
  const columns = ["tracker", "dirty", "a", "b per GiB", "R²", "a = b·GiB at"].map((title) => ({ title }));
  const rows = fits.map(({ tracker, densityPercent, aNs, bNsPerGib, r2, crossoverGib }) => [
    tracker,
    `${densityPercent} %`,
    formatNs(aNs),
    formatNs(bNsPerGib),
    r2.toFixed(4),
    `${crossoverGib.toPrecision(2)} GiB`,
  ]);
  return textTable({ columns, rows });
}

function phaseTable(phases: readonly Phases[]): string {
  const titles = ["leaves", "dirty", "scan", "set", "copy", "sum / total", "copied", "copied, sparse"];
  const rows = phases.map(({ leaf, densityPercent, scanNs, setNs, copyNs, totalNs, copiedBytes, sparseBytes }) => [
    leaf,
    `${densityPercent} %`,
    formatNs(scanNs),
    formatNs(setNs),
    formatNs(copyNs),
    ((scanNs + setNs + copyNs) / totalNs).toFixed(2),
    formatBytes(copiedBytes),
    formatBytes(sparseBytes),
  ]);
  return textTable({ columns: titles.map((title) => ({ title })), rows });
}

function eventTable(events: Sweep): string {
  const names = [...new Set(events.map(([, { tracker }]) => tracker))];
  const columns = ["events per sync", ...names].map((title) => ({ title }));
  const rows = EVENTS.map((count) => [
    `${count}`,
    ...names.map((name) => formatNs(perEvent(events.find(([x, one]) => x === count && one.tracker === name)![1]))),
  ]);
  return textTable({ columns, rows });
}
