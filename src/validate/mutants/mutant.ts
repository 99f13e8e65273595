/** A passage of a built file, and what a mutant has in its place. */
export interface SourcePatch {
  /** Path below the built sources, as in "relay/shadow-virtqueue.js". */
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
}

/** One way in which a relay can be wrong, taken from the history of others. */
export interface Mutant {
  readonly name: string;
  /** Where it comes from: SVQ-6.n and SVQ-2.6.n are rows of the behaviour map, BI-n of the catalogue, S9 is a rule. */
  readonly row: string;
  /** The same by its number among the mutants of dirty tracking (M1 to M21), for those of the relay that are there. */
  readonly also?: string;
  /** What it does wrong. */
  readonly what: string;
  readonly patches: readonly SourcePatch[];
  /** Rows of the catalogue and kinds of faults that are tried first: where it ought to be caught. */
  readonly tries?: readonly string[];
}

/** The walk in both directions. */
const WALK = "relay/shadow-virtqueue.js";
/** Who is told, and when. */
export const NOTIFICATION = "ring/notification.js";

/** Replaces a passage of the relay's walk. */
export function inWalk(find: string, replace: string): SourcePatch {
  return { file: WALK, find, replace };
}
