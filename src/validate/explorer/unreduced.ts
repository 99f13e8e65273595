import { assert } from "../../memory/assert.js";
import type { ProfileName } from "../validation.js";
import { castWith } from "./cast.js";
import { type Exploration, type ExploreOptions, explore, modelName } from "./explore.js";
import { optionsFor } from "./judge-twins.js";
import type { MemoryModel } from "./positions.js";
import { REDUCTION_NAMES, type Reduction } from "./reductions.js";
import type { StoreOrder } from "./store-order.js";
import { TWINS, type Twin } from "./twin-list.js";

/** One exploration that is to be made with and without a reduction. */
export interface Comparison {
  readonly options: ExploreOptions;
  readonly reduction: Reduction;
  readonly twin?: Twin;
}

/** What came of both. */
export interface UnreducedRow {
  readonly name: string;
  readonly twin: string | null;
  /** The one that was switched off. */
  readonly reduction: Reduction;
  readonly states: number;
  readonly reduced_states: number;
  /** "complete", or the oracle that found something; of the search without the reduction. */
  readonly verdict: string;
  readonly reduced_verdict: string;
  readonly agrees: boolean;
}

/** Twins that are found soon enough without any reduction, and where: one or two of each kind. */
const TRIED: readonly (readonly [name: string, order: StoreOrder])[] = [
  ["driver-avail-plain", "pso"],
  ["marks-late", "pso"],
  ["used-twice", "pso"],
  ["device-reads-back", "pso"],
  ["driver-kick-no-fence", "tso"],
  ["relay-avail-no-second-look", "tso"],
];
const TRIED_QUICK = 3;

/** Without a buffer no store waits, so that `sc` has nothing to switch off there. */
const MODELS: Readonly<Record<Reduction, readonly MemoryModel[]>> = {
  "stores-with-access": ["tso", "pso", "tso-seqcst"],
  "equal-steps": ["sc", "tso", "pso", "tso-seqcst"],
  "images-once": ["sc", "tso", "pso", "tso-seqcst"],
};

/** Explores with and without the reduction, and compares the verdicts; `search` stands in for explore(). */
export async function compare(
  { options, reduction, twin }: Comparison,
  search: typeof explore = explore,
): Promise<UnreducedRow> {
  const played = twin === undefined ? options : { ...options, make: await castWith(twin) };
  const reduced = search(played);
  const unreduced = search({ ...played, without: [reduction] });
  const verdict = verdictOf(unreduced);
  return {
    name: modelName(options),
    twin: twin?.name ?? null,
    reduction,
    states: unreduced.states,
    reduced_states: reduced.states,
    verdict,
    reduced_verdict: verdictOf(reduced),
    agrees: verdict === verdictOf(reduced) && verdict !== NEITHER,
  };
}

/** What a profile compares: rings of one, both ways of suppression, and twins so that both verdicts occur. */
export function comparisonsOf(profile: ProfileName): Comparison[] {
  const quick = profile === "quick";
  const twins = TRIED.slice(0, quick ? TRIED_QUICK : TRIED.length);
  return REDUCTION_NAMES.flatMap((reduction) => {
    // Where equal steps are told apart by all that went before, two requests are too many.
    const requests = quick || reduction === "equal-steps" ? 1 : 2;
    return [...MODELS[reduction].flatMap((model) => shipping(model, requests, reduction)), ...twins.map(played)];
    function played([name, order]: readonly [string, StoreOrder]): Comparison {
      const twin = TWINS.find((each) => each.name === name);
      assert(twin !== undefined, "a twin that is tried is in the list");
      return { options: optionsFor(twin, order), reduction, twin };
    }
  });
}

function shipping(model: MemoryModel, requests: number, reduction: Reduction): Comparison[] {
  return [true, false].map((eventIdx) => ({ options: { model, ring: 1, requests, eventIdx, log: true }, reduction }));
}

const NEITHER = "not all of it";

function verdictOf({ complete, violations }: Exploration): string {
  return violations[0]?.oracle ?? (complete ? "complete" : NEITHER);
}
