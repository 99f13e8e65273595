import type { DifferentialReport } from "./differential/run-differential.js";
import type { FaultReport } from "./faults/run-faults.js";
import type { FuzzModeReport, FuzzReport } from "./fuzz/fuzz.js";
import type { PartReports } from "./parts.js";

/** Failing examples that are kept of each part; all are counted. */
const EXAMPLES_MAX = 8;

/** Joins what several threads found. */
export function mergeReports(a: PartReports, b: PartReports): PartReports {
  return {
    ...a,
    ...b,
    ...both("fuzz", a.fuzz, b.fuzz, mergeFuzz),
    ...both("differential", a.differential, b.differential, mergeDifferential),
    ...both("faults", a.faults, b.faults, mergeFaults),
  };
}

function both<K extends keyof PartReports, R>(
  name: K,
  a: R | undefined,
  b: R | undefined,
  merge: (a: R, b: R) => R,
): Partial<Record<K, R>> {
  if (a === undefined || b === undefined) return {};
  return { [name]: merge(a, b) } as Record<K, R>;
}

/** Joins two runs of the fuzzer; rates are for one core. */
function mergeFuzz(a: FuzzReport, b: FuzzReport): FuzzReport {
  return {
    executions: a.executions + b.executions,
    per_second: rate(a, b),
    failures: a.failures + b.failures,
    modes: byName(a.modes, b.modes, mergeModes),
    examples: [...a.examples, ...b.examples].slice(0, EXAMPLES_MAX),
  };
}

function mergeModes(a: FuzzModeReport, b: FuzzModeReport): FuzzModeReport {
  return {
    name: a.name,
    executions: a.executions + b.executions,
    per_second: rate(a, b),
    forwarded: a.forwarded + b.forwarded,
    returned: a.returned + b.returned,
    quarantined: a.quarantined + b.quarantined,
    completing: a.completing + b.completing,
    unbroken: a.unbroken + b.unbroken,
    broken: summed(a.broken, b.broken),
    refused: summed(a.refused, b.refused),
    failures: a.failures + b.failures,
  };
}

/** Joins two differential runs. */
function mergeDifferential(a: DifferentialReport, b: DifferentialReport): DifferentialReport {
  return {
    ...a,
    programs: a.programs + b.programs,
    differences: a.differences + b.differences,
    wirings: byName(a.wirings, b.wirings, (x, y) => ({
      ...x,
      programs: x.programs + y.programs,
      differences: x.differences + y.differences,
    })),
    examples: [...a.examples, ...b.examples].slice(0, EXAMPLES_MAX),
  };
}

/** Joins two runs of injected faults. */
function mergeFaults(a: FaultReport, b: FaultReport): FaultReport {
  const counts = (x: Counts, y: Counts): Counts => ({
    injections: x.injections + y.injections,
    lost: x.lost + y.lost,
    duplicated: x.duplicated + y.duplicated,
    missed_dirty_pages: x.missed_dirty_pages + y.missed_dirty_pages,
    hung: x.hung + y.hung,
  });
  const kinds = byName(a.kinds, b.kinds, (x, y) => ({
    name: x.name,
    timeouts: x.timeouts + y.timeouts,
    ...counts(x, y),
    failures: [...x.failures, ...y.failures].slice(0, EXAMPLES_MAX),
  }));
  return { kinds, ...counts(a, b) };
}

type Counts = Pick<FaultReport, "injections" | "lost" | "duplicated" | "missed_dirty_pages" | "hung">;

function rate(a: { executions: number; per_second: number }, b: { executions: number; per_second: number }): number {
  const seconds = a.executions / a.per_second + b.executions / b.per_second;
  return (a.executions + b.executions) / seconds;
}

function byName<T extends { readonly name: string }>(a: readonly T[], b: readonly T[], merge: (a: T, b: T) => T): T[] {
  const names = new Set([...a, ...b].map(({ name }) => name));
  return [...names].map((name) => {
    const [x, y] = [a.find((each) => each.name === name), b.find((each) => each.name === name)];
    return x !== undefined && y !== undefined ? merge(x, y) : (x ?? y)!;
  });
}

function summed(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): Record<string, number> {
  const sum = { ...a };
  for (const [name, count] of Object.entries(b)) sum[name] = (sum[name] ?? 0) + count;
  return sum;
}
