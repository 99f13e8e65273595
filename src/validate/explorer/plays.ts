import type { ProfileName } from "../validation.js";
import type { ExploreOptions } from "./explore.js";

const MODELS = ["sc", "tso", "pso", "tso-seqcst"] as const;

/** What a profile explores: two requests are the least that shows anything. */
export function playsOf(profile: ProfileName): ExploreOptions[] {
  if (profile === "quick") return smallPlays([1]);
  return profile === "ci" ? smallPlays([1, 2]) : [...BIG_PLAYS, ...smallPlays([1, 2])];
}

/** Every order of stores, both ways of suppression, with and without marks. */
function smallPlays(rings: readonly number[]): ExploreOptions[] {
  return MODELS.flatMap((model) =>
    rings.flatMap((ring) =>
      [true, false].flatMap((eventIdx) => [true, false].map((log) => ({ model, ring, requests: 2, eventIdx, log }))),
    ),
  );
}

/** Where a publish is as in JavaScript: what is looked for is no fence, but what is remembered of whom. */
const SHIPPING = { model: "tso-seqcst", eventIdx: true, log: false } as const;
const CHAINS = { chain: 2, log: true } as const;
const TABLES = { ...CHAINS, indirect: true } as const;

/** The largest first, so that no thread is left alone with it at the end. */
const BIG_PLAYS: readonly ExploreOptions[] = [
  { ...SHIPPING, ring: 4, requests: 3, paths: ["svq", "notify"] },
  { ...SHIPPING, ring: 4, requests: 3, order: "any" },
  { ...SHIPPING, ring: 4, requests: 2, ...TABLES, order: "any", paths: ["svq", "svq"] },
  { ...SHIPPING, ring: 4, requests: 3, ...TABLES },
  { ...SHIPPING, ring: 4, requests: 3, log: true },
  { ...SHIPPING, ring: 4, requests: 3, eventIdx: false },
  { ...SHIPPING, ring: 4, requests: 3, ...CHAINS },
  { ...SHIPPING, ring: 2, requests: 2, paths: ["svq", "notify", "svq"] },
  { ...SHIPPING, ring: 2, requests: 2, order: "any", paths: ["svq", "notify"] },
  { ...SHIPPING, ring: 2, requests: 2, order: "any", paths: ["notify", "svq"] },
  ...MODELS.map((model) => ({ ...SHIPPING, model, ring: 1, requests: 3, log: true })),
];
