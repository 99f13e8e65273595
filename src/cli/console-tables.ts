import { textTable } from "../report/table.js";

type Values = Readonly<Record<string, unknown>>;

/** What a device counted, and when it was asked, in milliseconds. */
export interface Counted {
  readonly stats: Values;
  readonly atMs: number;
}

const COUNTERS = ["requests", "bytes", "kicks", "calls"] as const;

/** The queues of query-stats with rates since `before`; undefined when the wanted queue is not there. */
export function statsText(
  counted: Counted,
  before: Counted | undefined,
  queue: number | undefined,
): string | undefined {
  const queues = records(counted.stats["queues"]).filter(({ index }) => queue === undefined || index === queue);
  if (queues.length === 0 && queue !== undefined) return undefined;
  const earlier = records(before?.stats["queues"]);
  const seconds = before === undefined ? 0 : (counted.atMs - before.atMs) / 1000;
  const rows = queues.map((now) => {
    const then = earlier.find(({ index }) => index === now["index"]);
    const rate = (name: string) => perSecond(now[name], then?.[name], seconds);
    return [cell(now["index"]), ...COUNTERS.map((name) => cell(now[name])), rate("requests"), rate("bytes")];
  });
  return table(["queue", ...COUNTERS, "requests/s", "bytes/s"], rows);
}

/** The queues of query-vq-status, a row for each. */
export function queuesText(answer: Values): string {
  const columns = [
    "index",
    "num",
    "enabled",
    "running",
    "datapath",
    "guest_avail_idx",
    "last_avail_idx",
    "used_idx",
    "shadow_avail_idx",
    "shadow_used_idx",
    "in_flight",
    "broken",
  ];
  return table(
    columns,
    records(answer["queues"]).map((queue) => columns.map((name) => cell(queue[name]))),
  );
}

/** The mappings of query-iova-tree, a row for each. */
export function iovaText(answer: Values): string {
  const rows = records(answer["mappings"]).map(({ iova, bytes, gpa, host, perm }) => [
    hex(iova),
    hex(bytes),
    hex(gpa),
    hex(host),
    cell(perm),
  ]);
  return table(["iova", "bytes", "gpa", "host", "perm"], rows);
}

/** The features of query-features: who has which, and what was masked why. */
export function featuresText(answer: Values): string {
  const { protocol, ...features } = answer;
  return [featureLines("", features), featureLines("protocol ", isRecord(protocol) ? protocol : {})].join("\n");
}

/** Names and values, a line for each. */
export function statusText(answer: Values): string {
  const names = Object.keys(answer);
  const width = Math.max(0, ...names.map((name) => name.length));
  return names.map((name) => printable(`${name.padEnd(width)}  ${cell(answer[name]) ?? "–"}`)).join("\n");
}

function featureLines(prefix: string, { masked, ...sets }: Values): string {
  const lines = Object.entries(sets).map(([name, names]) => `${prefix}${name}: ${list(names) || "none"}`);
  const taken = records(masked).map(
    ({ name, bit, why }) => `${prefix}masked: ${cell(name)} (bit ${cell(bit)}): ${cell(why)}`,
  );
  return [...lines, ...taken].map(printable).join("\n");
}

function list(names: unknown): string {
  return Array.isArray(names) ? names.map(String).join(", ") : "";
}

/** Null when there is nothing to compare with, or when the process counts from 0 again. */
function perSecond(now: unknown, then: unknown, seconds: number): number | null {
  if (typeof now !== "number" || typeof then !== "number" || seconds <= 0 || now < then) return null;
  return Math.round((now - then) / seconds);
}

function hex(value: unknown): string | number | null {
  return typeof value === "number" ? `0x${value.toString(16)}` : cell(value);
}

function cell(value: unknown): string | number | null {
  if (value === undefined || value === null) return null;
  if (typeof value === "number") return value;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function table(titles: readonly string[], rows: (string | number | null)[][]): string {
  return textTable({ columns: titles.map((title) => ({ title })), rows });
}

function records(value: unknown): Values[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

function isRecord(value: unknown): value is Values {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Names come from peers: an escape sequence among them would reach the terminal. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, " ");
}
