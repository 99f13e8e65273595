import type { Program } from "../rig/program.js";
import { type MakeRelay, SHIPPING } from "../rig/rig.js";
import type { Case, Row } from "./case.js";
import { CATALOGUE } from "./catalogue.js";
import { NOT_YET } from "./not-yet.js";

/** A case that did not end as was written down. */
interface CatalogueFailure {
  /** The row. */
  readonly id: string;
  readonly name: string;
  readonly expected: string;
  readonly got: string;
  /** What to run again, where a rig ran it. */
  readonly program?: Program;
}

/** What came of the catalogue; plain data. */
export interface CatalogueReport {
  readonly rows: number;
  readonly cases: number;
  readonly failed: number;
  /** Cases that are legal, each one step away from something that is refused. */
  readonly legal_neighbours: number;
  /** Rows that have no case, and why. */
  readonly not_yet: readonly { readonly id: string; readonly why: string }[];
  readonly failures: readonly CatalogueFailure[];
}

/** What of the catalogue is run, and against what. */
export interface CatalogueOptions {
  /** Numbers of the rows, as in "BI-12"; all unless said. */
  readonly rows?: readonly string[];
  /** The relay that is to be judged; the shipping one unless said. */
  readonly make?: MakeRelay;
  /** Called after each row: rows done, and rows in all. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Tries every case of the catalogue and says which did not end as was written down before; never throws for a case. */
export function runCatalogue({ rows, make = SHIPPING, onProgress }: CatalogueOptions = {}): CatalogueReport {
  const chosen = CATALOGUE.filter(({ id }) => rows?.includes(id) ?? true);
  const failures: CatalogueFailure[] = [];
  let cases = 0;
  let neighbours = 0;
  for (const [done, row] of chosen.entries()) {
    for (const each of row.cases()) {
      cases += 1;
      if (each.kind === "neighbour") neighbours += 1;
      const failure = failureOf(row, each, make);
      if (failure !== undefined) failures.push(failure);
    }
    onProgress?.(done + 1, chosen.length);
  }
  const omitted = Object.entries(NOT_YET).filter(([id]) => rows?.includes(id) ?? true);
  return {
    rows: chosen.length,
    cases,
    failed: failures.length,
    legal_neighbours: neighbours,
    not_yet: omitted.map(([id, why]) => ({ id, why })),
    failures,
  };
}

function failureOf({ id }: Row, { name, expected, program, budget, run }: Case, make: MakeRelay) {
  let got: string;
  try {
    const { outcome, accesses } = run(make);
    if (outcome === expected && accesses <= budget) return undefined;
    got = outcome === expected ? `${outcome}, in ${accesses} accesses of ${budget}` : outcome;
  } catch (error) {
    got = `threw ${String(error)}`;
  }
  return { id, name, expected, got, ...(program === undefined ? {} : { program }) };
}
