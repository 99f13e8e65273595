import type { TwinName } from "./harness/twin.js";
import type { Work } from "./inputs/record.js";

/** One side of a comparison: our kernel, or a C program with the same input. */
export type Side =
  | { readonly by: "ours"; readonly work: Work }
  | { readonly by: "c"; readonly program: TwinName; readonly work: Work; readonly options: readonly string[] };

/** One row of the table: A is ours, B what it is compared with. */
export interface Row {
  readonly name: string;
  readonly family: "relay" | "dirty" | "iova" | "ring" | "threads" | "trackers";
  readonly a: Side;
  /** Several where the best of them counts. */
  readonly b: readonly Side[];
  /** Greatest ratio that is good enough, and the one to aim at; absent where a row only reports. */
  readonly reach?: number;
  readonly aim?: number;
  /** Whether --quick takes it: three rows of each family. */
  readonly quick: boolean;
  /** Pairs of processes, where that is not the run's: what differs from process to process takes more of them. */
  readonly processPairs?: number;
  /** Whether both sides must have written the same bytes before they are timed. */
  readonly twins: boolean;
  /** What one operation is. */
  readonly unit: string;
}

/** Our side of a comparison. */
export const ours = (work: Work): Side => ({ by: "ours", work });
/** The C program's side. */
export const c = (program: TwinName, work: Work, ...options: string[]): Side => ({ by: "c", program, work, options });

interface Goals {
  readonly reach: number;
  readonly aim: number;
}

/** Makes a row against the C twin, which does the same work; without goals it only reports. */
export function againstTwin(name: string, work: Work, goals: Goals | undefined, rest: Partial<Row> = {}): Row {
  const program = work.kind as TwinName;
  const family = work.kind === "bitmap" ? "dirty" : (work.kind as Row["family"]);
  return { name, family, a: ours(work), b: [c(program, work)], ...goals, quick: true, twins: true, unit: "", ...rest };
}

/** Makes a row in which both sides are ours. */
export function withinUs(name: string, family: Row["family"], a: Work, b: Work | Work[], rest: Partial<Row> = {}): Row {
  const others = Array.isArray(b) ? b : [b];
  return { name, family, a: ours(a), b: others.map(ours), quick: false, twins: false, unit: "", ...rest };
}

/** Makes a row in which both sides are the twin: what the work and the machine allow, whoever does it. */
export function withinC(name: string, a: Work, b: Work, unit: string): Row {
  const [program, family] = [a.kind as TwinName, a.kind as Row["family"]];
  return { name, family, a: c(program, a), b: [c(program, b)], quick: false, twins: false, unit };
}
