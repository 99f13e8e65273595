import type { MachineFacts } from "./machine-facts.js";
import { median, type Pair, ratioInterval } from "./statistics.js";

/** The ways from our front end to the real back end; passthrough stands twice, as its own noise floor. */
export const REAL_MODES = ["direct", "passthrough", "passthrough-2", "shadow"] as const;

/** The name of such a way. */
export type RealMode = (typeof REAL_MODES)[number];

/** The aim: requests a second through the shadow queue, against passthrough, at depth 32. */
const RATIO_AIM = 0.8;
/** The aim: nanoseconds of CPU time that the relay takes for a request, at depth 32. */
const CPU_AIM_NS = 3000;
/** The aim: CPU time of a data process with nothing to do, of one core. */
const IDLE_AIM = 0.01;
/** The aim: resident bytes of a data process. */
const RSS_AIM_BYTES = 120 * 2 ** 20;
/** How far from 1 the interval of passthrough against itself may reach. */
const NOISE_LIMIT = 0.15;
/** Runs into which the windows are put together for CPU time. */
const CPU_RUNS = 5;
/** Requests of a run below which its CPU time is shown and not judged. */
const CPU_RUN_REQUESTS = 100_000;
/** The depth of which the aims speak. */
const AIM_DEPTH = 32;

/** One timed window of a mode. */
export interface RealWindow {
  readonly ns_per_request: number;
  readonly requests: number;
  /** What the data process says of the window; null where there is none. */
  readonly relay: { readonly cpu_ns: number; readonly syscalls: number; readonly requests: number } | null;
}

/** A data process after all windows. */
export interface RelayFacts {
  /** Requests that went through its shadow queue in all windows of this depth. */
  readonly requests: number;
  readonly switches: number;
  readonly fds: number;
  readonly rss_bytes: number;
  /** CPU time of one core that it took with a front end connected and nothing to do, as a share. */
  readonly idle_cpu_share: number | null;
}

/** All windows of a mode at a depth, in the order in which they ran. */
export interface RealSeries {
  readonly name: RealMode;
  readonly depth: number;
  readonly windows: readonly RealWindow[];
  /** Requests whose data was not what the disk holds. */
  readonly wrong: number;
  readonly relay: RelayFacts | null;
}

/** One row of the result. */
export interface RealModeResult {
  readonly name: RealMode;
  readonly depth: number;
  readonly requests: number;
  readonly wrong: number;
  readonly ns_per_request: { median: number; min: number; max: number; samples: number[] };
  /** Median over the runs beside it; null where there is no relay. */
  readonly relay_cpu_ns_per_request: number | null;
  readonly relay_cpu_runs: { readonly requests: number; readonly ns_per_request: number }[];
  readonly relay_syscalls_per_request: number | null;
  readonly relay: RelayFacts | null;
}

/** Requests a second of one mode against another's; below 1 is slower. */
export interface RealRatio {
  readonly a: RealMode;
  readonly b: RealMode;
  readonly depth: number;
  readonly ratio: number;
  readonly interval: readonly [low: number, high: number];
  readonly pairs: number;
}

/** An aim, what was measured, and whether that is enough; null where the figure is too noisy or too short to say. */
interface RealAim {
  readonly name: string;
  readonly aim: number;
  readonly measured: number;
  readonly met: boolean | null;
}

/** A program of somebody else's that took part. */
interface RealPeer {
  readonly name: string;
  readonly version: string;
}

/** The document `svq bench --real --json` prints. */
export interface RealBenchResult extends MachineFacts {
  readonly schema: "shadowvq.bench-real/1";
  readonly peers: readonly RealPeer[];
  readonly seed: number;
  readonly config: Record<string, unknown>;
  readonly modes: readonly RealModeResult[];
  readonly ratios: readonly RealRatio[];
  readonly noise: {
    /** How far from 1 the interval of passthrough-2 against passthrough may reach before nothing is concluded. */
    readonly limit: number;
    readonly floors: readonly RealRatio[];
    /** Processes that wanted a core, before and after, averaged over a minute. */
    readonly load_average: readonly [before: number, after: number];
  };
  readonly aims: readonly RealAim[];
  readonly failures: readonly string[];
  readonly verdict: "ok" | "inconclusive" | "failed" | "aborted";
  readonly why?: string;
}

/** What a result is made of besides what was measured. */
export interface RealContext extends MachineFacts {
  readonly peers: readonly RealPeer[];
  readonly seed: number;
  readonly config: Record<string, unknown>;
  readonly load_average: readonly [before: number, after: number];
  /** Why the run ended before its time; undefined when it did not. */
  readonly aborted: string | undefined;
}

/** Makes the document of what was measured; series without a window are left out. */
export function realResult(measured: readonly RealSeries[], context: RealContext): RealBenchResult {
  const series = measured.filter(({ windows }) => windows.length > 0);
  const modes = series.map(modeOf);
  const ratios = ratiosOf(series);
  const floors = ratios.filter(({ a }) => a === "passthrough-2");
  const failures = series.flatMap(failuresOf);
  const { load_average, aborted, ...facts } = context;
  const { verdict, why } = judge(failures, floors, aborted);
  return {
    schema: "shadowvq.bench-real/1",
    ...facts,
    modes,
    ratios,
    noise: { limit: NOISE_LIMIT, floors, load_average },
    aims: aimsOf(modes, ratios),
    failures,
    verdict,
    ...(why === undefined ? {} : { why }),
  };
}

function judge(failures: readonly string[], floors: readonly RealRatio[], aborted: string | undefined) {
  if (failures.length > 0) return { verdict: "failed", why: failures[0] } as const;
  if (aborted !== undefined) return { verdict: "aborted", why: aborted } as const;
  const wide = floors.filter(isWide);
  if (wide.length === 0) return { verdict: "ok", why: undefined } as const;
  const depths = wide.map(({ depth }) => depth).join(" and ");
  const why = `at depth ${depths} passthrough differs from itself by more than ${NOISE_LIMIT * 100} %`;
  return { verdict: "inconclusive", why } as const;
}

function isWide({ interval: [low, high] }: RealRatio): boolean {
  return low < 1 - NOISE_LIMIT || high > 1 + NOISE_LIMIT;
}

function modeOf({ name, depth, windows, wrong, relay }: RealSeries): RealModeResult {
  const samples = windows.map(({ ns_per_request }) => ns_per_request);
  const runs = cpuRuns(windows);
  const requests = sum(windows, (window) => window.requests);
  return {
    name,
    depth,
    requests,
    wrong,
    ns_per_request: { median: median(samples), min: Math.min(...samples), max: Math.max(...samples), samples },
    relay_cpu_ns_per_request: runs.length === 0 ? null : median(runs.map(({ ns_per_request }) => ns_per_request)),
    relay_cpu_runs: runs,
    relay_syscalls_per_request: runs.length === 0 ? null : sum(windows, (one) => one.relay!.syscalls) / requests,
    relay,
  };
}

/** Windows next to each other put together: CPU time is counted too coarsely for a short one. */
function cpuRuns(windows: readonly RealWindow[]): RealModeResult["relay_cpu_runs"] {
  if (windows.some(({ relay }) => relay === null)) return [];
  const count = Math.min(CPU_RUNS, windows.length);
  return Array.from({ length: count }, (_, i) => {
    const run = windows.slice(Math.floor((i * windows.length) / count), Math.floor(((i + 1) * windows.length) / count));
    const requests = sum(run, (window) => window.requests);
    return { requests, ns_per_request: sum(run, ({ relay }) => relay!.cpu_ns) / requests };
  });
}

const COMPARED: readonly (readonly [RealMode, RealMode])[] = [
  ["passthrough-2", "passthrough"],
  ["passthrough", "direct"],
  ["shadow", "passthrough"],
];

function ratiosOf(series: readonly RealSeries[]): RealRatio[] {
  const depths = [...new Set(series.map(({ depth }) => depth))];
  return depths.flatMap((depth) =>
    COMPARED.flatMap(([a, b]) => {
      const [ours, base] = [a, b].map((name) => series.find((one) => one.name === name && one.depth === depth));
      const pairs = pairsOf(ours, base);
      if (pairs.length === 0) return [];
      const { ratio, interval, pairs: count } = ratioInterval(pairs);
      return [{ a, b, depth, ratio, interval, pairs: count }];
    }),
  );
}

/** Requests a second, window by window. */
function pairsOf(ours: RealSeries | undefined, base: RealSeries | undefined): Pair[] {
  const count = Math.min(ours?.windows.length ?? 0, base?.windows.length ?? 0);
  return Array.from({ length: count }, (_, i) => ({
    a: 1e9 / ours!.windows[i]!.ns_per_request,
    b: 1e9 / base!.windows[i]!.ns_per_request,
  }));
}

/** What makes figures worthless: data that is wrong, and a relay that was not where it is said to be. */
function failuresOf({ name, depth, windows, wrong, relay }: RealSeries): string[] {
  const failures = [];
  const where = `${name}, depth ${depth}`;
  const through = sum(windows, (window) => window.relay?.requests ?? 0);
  const expected = name === "shadow" ? sum(windows, (window) => window.requests) : 0;
  if (wrong > 0) failures.push(`${where}: ${wrong} requests returned data that the disk does not hold`);
  if (through !== expected) failures.push(`${where}: ${through} requests in the shadow queue, and not ${expected}`);
  if ((relay?.switches ?? 0) !== 0) failures.push(`${where}: the data path changed under way`);
  return failures;
}

function aimsOf(modes: readonly RealModeResult[], ratios: readonly RealRatio[]): RealAim[] {
  const relays = modes.flatMap(({ relay }) => relay ?? []);
  const idle = relays.flatMap(({ idle_cpu_share }) => idle_cpu_share ?? []);
  const resident = relays.map(({ rss_bytes }) => rss_bytes);
  return [
    ...ratioAim(ratios.filter(({ depth }) => depth === AIM_DEPTH)),
    ...cpuAim(modes.find(({ name, depth }) => name === "shadow" && depth === AIM_DEPTH)),
    ...atMost("idle CPU of a data process", IDLE_AIM, idle),
    ...atMost("resident bytes of a data process", RSS_AIM_BYTES, resident),
  ];
}

/** The upper end of the shadow queue's interval; wide intervals reach anything, so nothing is said of them. */
function ratioAim(ratios: readonly RealRatio[]): RealAim[] {
  const measured = ratios.find(({ a }) => a === "shadow")?.interval[1];
  if (measured === undefined) return [];
  const steady = ratios.some((ratio) => ratio.a === "passthrough-2" && !isWide(ratio));
  const name = `shadow/passthrough requests a second at depth ${AIM_DEPTH}, upper end`;
  return [{ name, aim: RATIO_AIM, measured, met: steady ? measured >= RATIO_AIM : null }];
}

function cpuAim(shadow: RealModeResult | undefined): RealAim[] {
  const measured = shadow?.relay_cpu_ns_per_request ?? undefined;
  if (shadow === undefined || measured === undefined) return [];
  const runs = shadow.relay_cpu_runs;
  const long = runs.length === CPU_RUNS && runs.every(({ requests }) => requests >= CPU_RUN_REQUESTS);
  const name = `relay CPU ns a request at depth ${AIM_DEPTH}`;
  return [{ name, aim: CPU_AIM_NS, measured, met: long ? measured <= CPU_AIM_NS : null }];
}

function atMost(name: string, aim: number, values: readonly number[]): RealAim[] {
  if (values.length === 0) return [];
  const measured = Math.max(...values);
  return [{ name, aim, measured, met: measured <= aim }];
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
