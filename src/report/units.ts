/** Quantities in words: printed for people, parsed from options. Results for programs carry plain numbers. */
import { UsageError } from "./exit-codes.js";

interface Unit {
  readonly name: string;
  readonly factor: number;
}

const TIMES: readonly Unit[] = [
  { name: "ns", factor: 1 },
  { name: "µs", factor: 1e3 },
  { name: "ms", factor: 1e6 },
  { name: "s", factor: 1e9 },
];

const SIZES: readonly Unit[] = [
  { name: "B", factor: 1 },
  { name: "KiB", factor: 2 ** 10 },
  { name: "MiB", factor: 2 ** 20 },
  { name: "GiB", factor: 2 ** 30 },
  { name: "TiB", factor: 2 ** 40 },
];

/** Prints nanoseconds in the unit that fits, such as "1.9 µs"; "–" for null and what is not finite. */
export function formatNs(ns: number | null): string {
  return scaled(ns, TIMES);
}

/** Prints bytes in powers of two, such as "64 KiB"; "–" for null and what is not finite. */
export function formatBytes(bytes: number | null): string {
  return scaled(bytes, SIZES);
}

/** Prints a ratio with two decimals, such as "1.25×"; "–" for null and what is not finite. */
export function formatRatio(ratio: number | null): string {
  return ratio === null || !Number.isFinite(ratio) ? "–" : `${ratio.toFixed(2)}×`;
}

const SIZE_FACTORS: Readonly<Record<string, number>> = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/**
 * Reads a size such as "4096", "64k", "2M" or "1G", in bytes; suffixes are powers of two, in either case.
 *
 * Throws UsageError for anything else, and for 2^53 bytes or more.
 */
export function parseSizeBytes(text: string): number {
  const [, digits = "", suffix = ""] = /^(\d+)([kmg]?)$/i.exec(text.trim()) ?? [];
  const bytes = Number(digits) * SIZE_FACTORS[suffix.toLowerCase()]!;
  if (digits === "") throw new UsageError(`"${text}" is not a size: write a whole number, with k, M or G if you like`);
  if (!Number.isSafeInteger(bytes)) throw new UsageError(`size "${text}" is too large: at most 2^53 - 1 bytes`);
  return bytes;
}

const TIME_FACTORS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9 };

/**
 * Reads a duration such as "250us", "1.5s" or "2m" (minutes), in nanoseconds.
 *
 * Throws UsageError for anything else: also without a unit, which would be a guess.
 */
export function parseDurationNs(text: string): number {
  const [, digits = "", unit = ""] = /^(\d+(?:\.\d+)?)\s*([a-zµμ]*)$/.exec(text.trim()) ?? [];
  // The micro sign and the Greek letter look the same.
  const factor = TIME_FACTORS[unit.replace("μ", "µ")];
  if (digits === "" || factor === undefined) {
    throw new UsageError(`"${text}" is not a duration: write a number and ns, us, ms, s or m`);
  }
  const ns = Math.round(Number(digits) * factor);
  if (!Number.isSafeInteger(ns)) throw new UsageError(`duration "${text}" is too long: at most 104 days`);
  return ns;
}

function scaled(value: number | null, units: readonly Unit[]): string {
  if (value === null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  // Rounding may carry into the next unit: 999.96 ns is 1 µs.
  const fits = (unit: Unit, next: Unit | undefined) =>
    next === undefined || rounded(size / unit.factor) * unit.factor < next.factor;
  const unit = units.find((candidate, index) => fits(candidate, units[index + 1]))!;
  return `${value < 0 ? "-" : ""}${rounded(size / unit.factor)} ${unit.name}`;
}

function rounded(value: number): number {
  return value >= 99.95 ? Math.round(value) : Math.round(value * 10) / 10;
}
