import type { Overhead, Ratio } from "./bench-result.js";
import { BASELINE, pathName } from "./paths.js";
import { ratioInterval } from "./statistics.js";
import type { Sample, WindowSeries } from "./windows.js";

/** Share of a window that a thread with its own core may wait to run before a row is not compared. */
const WAIT_SHARE_MAX = 0.1;

/** Compares every path with the baseline, window by window; empty when the baseline is not among them. */
export function overheadsOf(series: readonly WindowSeries[]): Overhead[] {
  const base = series.find(({ machine }) => pathName(machine.config) === pathName(BASELINE));
  if (base === undefined) return [];
  return series.filter((one) => one !== base).map((one) => overheadOf(one, base));
}

function overheadOf(one: WindowSeries, base: WindowSeries): Overhead {
  const { config } = one.machine;
  const why = reasonNotToCompare(one) ?? reasonNotToCompare(base);
  return {
    path: config.path,
    placement: config.placement,
    against: pathName(BASELINE),
    throughput: ratio(one.samples, base.samples, ({ ns_per_request }) => ns_per_request),
    latency_p50: ratio(one.samples, base.samples, ({ p50_ns }) => p50_ns),
    comparable: why === undefined,
    ...(why === undefined ? {} : { why }),
  };
}

function reasonNotToCompare({ machine, samples }: WindowSeries): string | undefined {
  const { plan, pinning } = machine;
  if (plan.why !== undefined) return plan.why;
  if (!pinning.pinned) return `not pinned: ${pinning.reason}`;
  const shared = new Set(Object.values(plan.cpus)).size < plan.threads;
  const waits = samples.map(({ run_queue_wait }) => run_queue_wait ?? 0);
  const worst = Math.max(...waits);
  if (!shared && worst > WAIT_SHARE_MAX)
    return `threads waited ${(worst * 100).toFixed(0)} % of a window for their cores`;
  return undefined;
}

function ratio(ours: readonly Sample[], base: readonly Sample[], of: (sample: Sample) => number): Ratio {
  const pairs = ours.map((sample, i) => ({ a: of(sample), b: of(base[i]!) }));
  const { ratio, interval, pairs: count } = ratioInterval(pairs);
  return { ratio, interval, pairs: count };
}
