import type { FaultOutcome, FaultReason } from "../../ring/peer-fault.js";
import type { Program } from "../rig/program.js";
import type { MakeRelay } from "../rig/rig.js";

/** How an input is to end: everything goes through and comes back, or one named fault and what it costs. */
export type Outcome = "forward" | `${FaultOutcome} ${FaultReason}`;

/** How it ended; the outcome is in words where it is none of the four. */
export interface Verdict {
  readonly outcome: string;
  /** Accesses of the relay, where they were counted. */
  readonly accesses: number;
}

/** One concrete input, with the outcome that was written down before it was tried. */
export interface Case {
  readonly name: string;
  /** A neighbour is legal, and one step away from what the row refuses. */
  readonly kind: "case" | "neighbour";
  readonly expected: Outcome;
  /** What is run, where that is all there is to it. */
  readonly program?: Program;
  /** Accesses of the relay at most. */
  readonly budget: number;
  run(make: MakeRelay): Verdict;
}

/** One row of the catalogue: a kind of bad input that others fell for. */
export interface Row {
  /** Its number in the catalogue, as in "BI-12". */
  readonly id: string;
  readonly title: string;
  cases(): readonly Case[];
}
