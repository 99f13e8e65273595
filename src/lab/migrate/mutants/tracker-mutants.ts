import type { Mutant } from "../../../validate/mutants/mutant.js";

/** Ways in which a tracker can be wrong: M1 to M10 and M17 to M21 of the threads, each as a patch of the build. */
export const TRACKER_MUTANTS: readonly Mutant[] = [];

/** Who judges them: a built file below the sources. */
export const TRACKER_JUDGE = "lab/migrate/mutants/tracker-mutant.worker.js";
