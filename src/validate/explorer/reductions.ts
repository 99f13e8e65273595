/** What a search leaves out, by name, and why nobody can notice. */
const REDUCTIONS = {
  "stores-with-access": "a store goes into the own buffer with the access before it",
  "equal-steps": "equal states at the end of a step are one, whatever led there",
  "images-once": "what is asked of memory alone is asked once per image",
} as const;

/** The name of a reduction. */
export type Reduction = keyof typeof REDUCTIONS;

/** All names, in the order of the table. */
export const REDUCTION_NAMES = Object.keys(REDUCTIONS) as readonly Reduction[];
