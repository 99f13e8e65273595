import { ALWAYS, FORMS, TEST_FIRST_HANDED_OVER } from "./forms.js";

/** What one form came to. */
export interface FormResult {
  readonly name: string;
  readonly rounds: number;
  /** Rounds in which at least one page was lost. */
  readonly lost: number;
  readonly seconds: number;
}

/** The answer in a word or two; "sound here" is about this machine and this run only. */
export type VerdictWord = "sound here" | "unsound" | "inconclusive" | "bench broken";

/** The answer and its reason. */
export interface Verdict {
  readonly word: VerdictWord;
  readonly text: string;
}

/** Stands under every verdict. */
export const CAVEAT =
  "A litmus run is evidence for this machine only; the relay that ships marks unconditionally until an exhaustive " +
  "exploration agrees.";

/** Says what the forms came to; only controls that lost in the same run make silence worth anything. */
export function verdictOf(results: readonly FormResult[]): Verdict {
  const lostOf = (name: string) => results.find((result) => result.name === name)?.lost;
  const asked = TEST_FIRST_HANDED_OVER.name;
  const always = lostOf(ALWAYS.name);
  if (always !== undefined && always > 0) {
    return { word: "bench broken", text: `"${ALWAYS.name}" lost a page in ${always} rounds: nothing else here counts` };
  }
  const lost = lostOf(asked);
  if (lost !== undefined && lost > 0) return { word: "unsound", text: `${asked}: lost a page in ${lost} rounds` };
  const unplayed = [ALWAYS.name, asked].find((name) => lostOf(name) === undefined);
  if (unplayed !== undefined) return { word: "inconclusive", text: `"${unplayed}" was not played` };
  const controls = FORMS.filter(({ role }) => role === "control, must lose").map(({ name }) => name);
  const silent = controls.find((name) => !lostOf(name));
  if (silent !== undefined) {
    return { word: "inconclusive", text: `the control "${silent}" lost nothing in this run` };
  }
  const losses = controls.map((name) => `"${name}" lost ${lostOf(name)}`).join(", ");
  const text = `${asked}: nothing lost while the controls lost (${losses}): sound on this machine by this run`;
  return { word: "sound here", text };
}
