import type { BenchResult, PathResult } from "../../src/lab/bench-result.js";

/** Says what is wrong with a value; nothing when it is as it has to be. */
type Check = (value: unknown, at: string) => string[];

const isA =
  (what: string, holds: (value: never) => boolean): Check =>
  (value, at) =>
    holds(value as never) ? [] : [`${at} is ${JSON.stringify(value)}, not ${what}`];
const count = isA("a count", (value: number) => Number.isSafeInteger(value) && value >= 0);
const amount = isA("an amount", (value: number) => Number.isFinite(value) && value >= 0);
const positive = isA("above 0", (value: number) => Number.isFinite(value) && value > 0);
const share = isA("a share", (value: number) => Number.isFinite(value) && value >= 0 && value <= 1);
const text = isA("a text", (value: string) => typeof value === "string" && value !== "");
const flag = isA("true or false", (value: boolean) => typeof value === "boolean");
const sha256 = isA("a SHA-256", (value: string) => typeof value === "string" && /^[0-9a-f]{64}$/.test(value));
const oneOf = (...values: string[]) => isA(values.join(" or "), (value: string) => values.includes(value));
const orNull =
  (check: Check): Check =>
  (value, at) =>
    value === null ? [] : check(value, at);
const optional =
  (check: Check): Check =>
  (value, at) =>
    value === undefined ? [] : check(value, at);
const listOf =
  (check: Check, least = 0): Check =>
  (value, at) => {
    if (!Array.isArray(value)) return [`${at} is no list`];
    const short = value.length < least ? [`${at} has ${value.length} of at least ${least} entries`] : [];
    return [...short, ...value.flatMap((item, i) => check(item, `${at}[${i}]`))];
  };
/** An object with these keys; there may be more. */
const record =
  (keys: Record<string, Check>): Check =>
  (value, at) => {
    if (typeof value !== "object" || value === null) return [`${at} is no object`];
    return Object.entries(keys).flatMap(([key, check]) =>
      check((value as Record<string, unknown>)[key], `${at}.${key}`),
    );
  };

const RATIO = record({ ratio: positive, interval: listOf(positive, 2), pairs: count });
const ROW = record({
  name: oneOf("passthrough", "notify", "svq", "used-only"),
  placement: oneOf("threads", "fused", "inline"),
  waiting: text,
  iova_policy: text,
  unsafe: flag,
  threads: positive,
  requests: count,
  sha256: orNull(sha256),
  ns_per_request: orNull(record({ median: positive, min: positive, max: positive, samples: listOf(positive, 1) })),
  latency_ns: orNull(record({ "50": amount, "99": amount, "99.9": amount })),
  cpu_ns_per_request: orNull(
    record({ driver: orNull(amount), relay: orNull(amount), device: orNull(amount), relay_device: orNull(amount) }),
  ),
  per_request: orNull(
    record({
      kicks: amount,
      calls: amount,
      relay_kicks: amount,
      relay_calls: amount,
      descriptors: amount,
      dirty_marks: amount,
    }),
  ),
  gates: record({
    payload: flag,
    lost: count,
    duplicated: count,
    lost_notifications: count,
    changed_pages: count,
    missed_dirty_pages: orNull(count),
    over_report_ratio: orNull(share),
  }),
  switches: optional(count),
});

/** The document of `svq bench --json`, as programs rely on it. */
const DOCUMENT = record({
  schema: oneOf("shadowvq.bench/1"),
  node: text,
  v8: text,
  cpu: text,
  cores: positive,
  git: orNull(record({ commit: text, dirty: flag })),
  seed: count,
  config: record({ queue_size: count, depth: count, event_idx: flag, indirect: flag, paths: listOf(text, 1) }),
  input: record({ path: text, bytes: positive, sha256 }),
  noise: record({
    pingpong_ns: orNull(record({ p50: positive, min: positive, max: positive })),
    pinned: flag,
    cpu_tick_ns: orNull(positive),
  }),
  paths: listOf(ROW),
  overhead: listOf(
    record({
      path: text,
      placement: text,
      against: oneOf("passthrough/threads"),
      throughput: RATIO,
      latency_p50: RATIO,
      comparable: flag,
      why: optional(text),
    }),
  ),
  switches: optional(count),
  failures: listOf(text),
  verdict: oneOf("ok", "failed", "aborted"),
  why: optional(text),
});

/** Checks the type of every field of a document and returns it; throws what is wrong with which. */
export function checkedBench(document: unknown): BenchResult {
  const wrong = DOCUMENT(document, "document");
  if (wrong.length > 0) throw new Error(wrong.join("\n"));
  return document as BenchResult;
}

/** The names of the gates of a row that do not hold. */
export function failedGates({ gates }: PathResult): string[] {
  const { payload, lost, duplicated, lost_notifications, missed_dirty_pages, descriptors_balanced } = gates;
  const counts = { lost, duplicated, lost_notifications, missed_dirty_pages: missed_dirty_pages ?? 0 };
  const flags = { payload, descriptors_balanced };
  return [
    ...Object.entries(flags).flatMap(([name, holds]) => (holds ? [] : [name])),
    ...Object.entries(counts).flatMap(([name, n]) => (n > 0 ? [name] : [])),
  ];
}

/** The name of a row as users write it. */
export function rowName({ name, placement }: PathResult): string {
  return `${name}/${placement}`;
}
