import type { TableContent } from "../report/table.js";
import { formatBytes, formatNs, formatRatio } from "../report/units.js";
import type { RealBenchResult, RealModeResult, RealRatio } from "./real-result.js";

/** The line above the table: who talks to whom. */
export function realHeadline({ peers, config }: RealBenchResult): string {
  const names = peers.map(({ name, version }) => `${name} ${version}`).join(", ");
  return `reads of ${config["request_bytes"]} bytes, our front end without a guest, ${names}: ${config["device"]}`;
}

/** What each way to the back end costs: one row for each mode and depth. */
export function realTable(result: RealBenchResult): TableContent {
  return {
    columns: [
      { title: "mode" },
      { title: "depth", align: "right" },
      { title: "ns/request", align: "right" },
      { title: "min…max", align: "right" },
      { title: "requests/s", align: "right" },
      { title: "of passthrough", align: "right" },
      { title: "relay CPU/request", align: "right" },
      { title: "syscalls/request", align: "right" },
      { title: "idle CPU", align: "right" },
      { title: "RSS", align: "right" },
    ],
    rows: result.modes.map((mode) => row(mode, result.ratios)),
  };
}

/** Words under the table: what was aimed at, what failed, how noisy it was. */
export function realNotes({ aims, failures, noise, ratios }: RealBenchResult): string[] {
  const floors = noise.floors.map(({ depth, interval }) => `depth ${depth} ${span(interval)}`).join(", ");
  const direct = ratios
    .filter(({ b }) => b === "direct")
    .map(({ depth, ratio }) => `depth ${depth} ${formatRatio(ratio)}`);
  const load = noise.load_average.map((value) => value.toFixed(1)).join("…");
  return [
    ...(floors === "" ? [] : [`noise: passthrough against itself ${floors}; load average ${load}`]),
    ...(direct.length === 0 ? [] : [`passthrough against no relay at all, requests/s: ${direct.join(", ")}`]),
    ...aims.map(({ name, aim, measured, met }) => `aim ${judged(met)}: ${name}: ${short(measured)} (${aim})`),
    ...failures.map((failure) => `FAILED ${failure}`),
  ];
}

function row(mode: RealModeResult, ratios: readonly RealRatio[]): (string | number | null)[] {
  const { name, depth, ns_per_request: ns, relay } = mode;
  const ratio = ratios.find(({ a, b, depth: at }) => a === name && b === "passthrough" && at === depth);
  const idle = relay?.idle_cpu_share ?? null;
  return [
    name,
    depth,
    ns.median.toFixed(0),
    `${ns.min.toFixed(0)}…${ns.max.toFixed(0)}`,
    Math.round(1e9 / ns.median).toLocaleString("en"),
    ratio === undefined
      ? name === "passthrough"
        ? "baseline"
        : "–"
      : `${formatRatio(ratio.ratio)} [${span(ratio.interval)}]`,
    mode.relay_cpu_ns_per_request === null ? null : formatNs(mode.relay_cpu_ns_per_request),
    mode.relay_syscalls_per_request?.toFixed(2) ?? null,
    idle === null ? null : `${(idle * 100).toFixed(2)} %`,
    relay === null ? null : formatBytes(relay.rss_bytes),
  ];
}

function span([low, high]: readonly [number, number]): string {
  return `${low.toFixed(2)}–${high.toFixed(2)}`;
}

function judged(met: boolean | null): string {
  if (met === null) return "not judged, too noisy or too short";
  return met ? "met" : "MISSED";
}

function short(value: number): string {
  return value < 10 ? value.toPrecision(2) : value.toFixed(0);
}
