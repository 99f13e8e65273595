import { type CatalogueReport, runCatalogue } from "./catalogue/run-catalogue.js";
import { type DifferentialReport, runDifferential } from "./differential/run-differential.js";
import { type FaultReport, runFaults } from "./faults/run-faults.js";
import { type FaultyRelay, faultyRelay } from "./faulty-relays.js";
import { isClean } from "./findings.js";
import { type FuzzReport, runFuzz } from "./fuzz/fuzz.js";
import { mergeReports } from "./merge.js";
import { type MakeRelay, SHIPPING } from "./rig/rig.js";

/** The parts of a validation, longest first: so that threads end at about the same time. */
export const PARTS = ["fuzz", "differential", "faults", "catalogue"] as const;
/** The name of a part. */
export type PartName = (typeof PARTS)[number];

/** What one thread is to do of a part; plain data. */
export interface PartJob {
  readonly part: PartName;
  readonly seed: number;
  /** Executions, programs or injections; the catalogue is one unit. */
  readonly units: number;
  /** Stands in for the shipping relay; not in injected faults, which are made to whole machines. */
  readonly faulty: FaultyRelay | undefined;
  /** Rows of the catalogue; all unless given. */
  readonly rows: readonly string[] | undefined;
  /** Folder of programs that are run first, and to which failing ones are added. */
  readonly corpus: string | undefined;
  /** No new piece of work is begun after so many milliseconds. */
  readonly limitMs: number;
}

/** What came of a part, or of several, so far. */
export interface PartReports {
  readonly catalogue?: CatalogueReport;
  readonly fuzz?: FuzzReport;
  readonly differential?: DifferentialReport;
  readonly faults?: FaultReport;
}

/** Units after which a job says how far it is: some tenths of a second, but for faults, where a machine is finished. */
const PIECE_UNITS: Readonly<Record<PartName, number>> = { fuzz: 2000, differential: 300, faults: 2000, catalogue: 1 };

/**
 * Does a job piece by piece; `said` gets what came of it so far, and how many of its units are done.
 *
 * A piece that found something is the last: whoever has to mend that is told at once.
 */
export function runPart(job: PartJob, said: (reports: PartReports, units: number) => void): void {
  const make = job.faulty === undefined ? SHIPPING : faultyRelay(job.faulty);
  const end = performance.now() + job.limitMs;
  let reports: PartReports = {};
  for (let done = 0; done < job.units && performance.now() < end && isClean(reports); ) {
    const units = Math.min(PIECE_UNITS[job.part], job.units - done);
    reports = mergeReports(reports, piece(job, make, (job.seed + done) >>> 0, units, done === 0));
    done += units;
    said(reports, done);
  }
}

function piece(job: PartJob, make: MakeRelay, seed: number, units: number, first: boolean): PartReports {
  const corpus = first && job.corpus !== undefined ? { corpusDir: job.corpus } : {};
  switch (job.part) {
    case "catalogue":
      return { catalogue: runCatalogue({ make, ...(job.rows === undefined ? {} : { rows: job.rows }) }) };
    case "fuzz":
      return { fuzz: runFuzz({ seed, executions: units, make, now: () => performance.now(), ...corpus }) };
    case "differential":
      return { differential: runDifferential({ seed, programs: units, make: { svq: make } }) };
    case "faults":
      return { faults: runFaults({ seed, injections: units }) };
  }
}
