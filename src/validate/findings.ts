import type { PartReports } from "./parts.js";
import type { Program } from "./rig/program.js";

/** Something that is wrong, and how to see it again. */
export interface Finding {
  /** Where it was found, such as "catalogue BI-12" or "fuzz hostile-guest". */
  readonly where: string;
  readonly what: string;
  /** The shrunk program that shows it; undefined where a rig did not run it. */
  readonly program: Program | undefined;
}

/** Everything that the parts found, the catalogue first; not more than are kept of each part. */
export function findingsOf({ catalogue, fuzz, differential, faults }: PartReports): Finding[] {
  const findings: Finding[] = [];
  for (const { id, name, expected, got, program } of catalogue?.failures ?? []) {
    findings.push({ where: `catalogue ${id}`, what: `${name}: ${got} instead of ${expected}`, program });
  }
  for (const { mode, program, violation } of fuzz?.examples ?? []) {
    findings.push({ where: `fuzz ${mode}`, what: violation.message, program });
  }
  for (const { seed, index, what } of differential?.examples ?? []) {
    findings.push({ where: `differential, seed ${seed}, program ${index}`, what, program: undefined });
  }
  for (const { name, failures } of faults?.kinds ?? []) {
    for (const { seed, position, what } of failures) {
      findings.push({ where: `fault ${name}, seed ${seed}, position ${position}`, what, program: undefined });
    }
  }
  return findings;
}

/** Whether nothing at all was found. */
export function isClean({ catalogue, fuzz, differential, faults }: PartReports): boolean {
  const faulty = faults === undefined ? 0 : faults.lost + faults.duplicated + faults.missed_dirty_pages + faults.hung;
  const failures = faults?.kinds.reduce((sum, kind) => sum + kind.failures.length, 0) ?? 0;
  return (catalogue?.failed ?? 0) + (fuzz?.failures ?? 0) + (differential?.differences ?? 0) + faulty + failures === 0;
}
