import type { TableContent } from "../report/table.js";
import { formatNs, formatRatio } from "../report/units.js";
import type { BenchResult, Overhead, PathResult, Ratio } from "./bench-result.js";

/** The line above every table of an emulated machine: what the figures leave out. */
export function headline(kickNs: number | null, exitNs: number): string {
  const kick = kickNs === null ? "not measured" : formatNs(kickNs);
  const exit = exitNs === 0 ? "no vm exit" : `a vm exit is a busy ${formatNs(exitNs)}`;
  return `emulated: ${exit}; a kick is a futex, ${kick} here: compare shapes, not microseconds`;
}

/** The overhead table: one row for each path, read in ten seconds. */
export function overheadTable(result: BenchResult): TableContent {
  return {
    columns: [
      { title: "path" },
      { title: "ns/request", align: "right" },
      { title: "min…max", align: "right" },
      { title: "requests/s", align: "right" },
      { title: "p50", align: "right" },
      { title: "p99", align: "right" },
      { title: "cpu ns/request", align: "right" },
      { title: "kicks", align: "right" },
      { title: "calls", align: "right" },
      { title: "hops", align: "right" },
      { title: "overhead", align: "right" },
      { title: "p50 ratio", align: "right" },
      { title: "gates" },
    ],
    rows: result.paths.map((path) => row(path, overheadOf(result, path))),
  };
}

/** Words under the table: what is not compared and why, what failed, what was noisy. */
export function footnotes(result: BenchResult): string[] {
  const notes = [];
  for (const { path, placement, why } of result.overhead) {
    if (why !== undefined) notes.push(`${path}/${placement}: not compared: ${why}`);
  }
  for (const path of result.paths) {
    if (path.unsafe)
      notes.push(`${path.name}/${path.placement}: unsafe: identity-all lets the device write everywhere`);
    if (path.gates.missed_dirty_pages === null && path.gates.changed_pages > 0) {
      notes.push(
        `${path.name}/${path.placement}: marks nothing, so it cannot migrate ` +
          `(${path.gates.changed_pages} pages changed unseen)`,
      );
    }
    if (path.switches !== undefined)
      notes.push(`${path.name}/${path.placement}: ${path.switches} changes of data path under load`);
  }
  const probe = result.noise.pingpong_ns;
  const text =
    probe === null
      ? (result.noise.pingpong_why ?? "not run")
      : `${probe.p50.toFixed(0)} ns (${probe.min.toFixed(0)}…${probe.max.toFixed(0)})`;
  const unpinned = result.noise.pinned_why ?? "no timed phase";
  notes.push(
    `noise: cache-line ping-pong ${text}; ${result.noise.pinned ? "threads pinned" : `not pinned: ${unpinned}`}`,
  );
  notes.push(...result.failures.map((failure) => `FAILED ${failure}`));
  return notes;
}

function row(path: PathResult, overhead: Overhead | undefined): (string | number | null)[] {
  const { ns_per_request: ns, latency_ns: latency, per_request: per, gates } = path;
  const ok =
    gates.payload &&
    gates.lost === 0 &&
    gates.duplicated === 0 &&
    gates.lost_notifications === 0 &&
    !gates.missed_dirty_pages;
  return [
    `${path.name}/${path.placement}`,
    ns?.median.toFixed(0) ?? null,
    ns && `${ns.min.toFixed(0)}…${ns.max.toFixed(0)}`,
    ns && Math.round(1e9 / ns.median).toLocaleString("en"),
    latency && formatNs(latency["50"]!),
    latency && formatNs(latency["99"]!),
    path.cpu_ns_per_request && cpu(path),
    per && perRequest(per.kicks + per.relay_kicks),
    per && perRequest(per.calls + per.relay_calls),
    per && perRequest(per.hops),
    overhead === undefined ? (ns && path.name === "passthrough" ? "baseline" : "–") : interval(overhead.throughput),
    overhead === undefined ? "–" : interval(overhead.latency_p50),
    ok && gates.descriptors_balanced ? "ok" : "FAILED",
  ];
}

/** Driver, relay and device, or driver and the thread that the other two share. */
function cpu({ cpu_ns_per_request: cpu }: PathResult): string {
  const parts = [cpu!.driver, cpu!.relay, cpu!.device, cpu!.relay_device].filter((ns) => ns !== null);
  return parts.map((ns) => ns.toFixed(0)).join(" + ");
}

function perRequest(count: number): string {
  return count === 0 ? "0" : count < 0.01 ? count.toExponential(0) : count.toFixed(2);
}

function interval({ ratio, interval: [low, high] }: Ratio): string {
  return `${formatRatio(ratio)} [${low.toFixed(2)}–${high.toFixed(2)}]`;
}

function overheadOf(result: BenchResult, path: PathResult): Overhead | undefined {
  return result.overhead.find((overhead) => overhead.path === path.name && overhead.placement === path.placement);
}
