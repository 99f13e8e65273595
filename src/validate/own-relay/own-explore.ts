import type { Heartbeat } from "../../memory/heartbeat.js";
import { Explorer, type Violation } from "../explorer/explorer.js";
import { threePartyPlay } from "../explorer/play.js";
import type { MemoryModel } from "../explorer/positions.js";
import { randomOrders } from "../explorer/random-orders.js";
import { Stage } from "../explorer/stage.js";
import { brokenBy } from "../explorer/violation-oracle.js";
import type { AgainExplorer } from "./again.js";
import { exploredSteps } from "./explored-steps.js";
import type { CreateRelay } from "./interface.js";
import type { Broken, OwnProfile } from "./judge.js";
import { ownParty } from "./own-party.js";

/** One exploration, as a report has it. */
export interface OwnExploration {
  readonly memory: MemoryModel;
  readonly ring: number;
  readonly requests: number;
  readonly event_idx: boolean;
  readonly log: boolean;
  /** Every state was visited, and nothing was wrong in any. */
  readonly complete: boolean;
  /** Something was wrong, and it ended there. */
  readonly broken: boolean;
  /** States visited; null where orders were drawn. */
  readonly states: number | null;
  /** Random orders; null where all were explored. */
  readonly orders: number | null;
}

/** What to explore of a relay. */
export interface OwnExploreOptions {
  readonly createRelay: CreateRelay;
  /** Whether it offers save(). */
  readonly saves: boolean;
  readonly seed: number;
  readonly profile: OwnProfile;
  readonly heart: Heartbeat;
}

const REQUESTS = 2;
const MODELS = ["sc", "tso", "pso"] as const;
/** A relay like the minimal one has 4.1 million at most. */
const STATES_MAX = 12_000_000;
/** Random orders of each exploration, for a relay without save(). */
const ORDERS = { quick: 500, ci: 5_000, full: 50_000 } as const;

/** Explores what a profile asks for; a fault ends the exploration that shows it. */
export function exploreOwn(options: OwnExploreOptions): { broken: Broken[]; explorations: OwnExploration[] } {
  const broken: Broken[] = [];
  const explorations: OwnExploration[] = [];
  for (const { ring, log } of stagesOf(options.profile)) {
    for (const event_idx of [true, false]) {
      for (const memory of MODELS) {
        const again: AgainExplorer = { kind: "explorer", memory, ring, requests: REQUESTS, event_idx, log };
        const { found, ...exploration } = exploreOne(options, again);
        explorations.push(exploration);
        if (found !== undefined) broken.push(found);
      }
    }
  }
  return { broken, explorations };
}

/** Explores one play, under one model of memory. */
export function exploreOne(options: OwnExploreOptions, again: AgainExplorer): OwnExploration & { found?: Broken } {
  const { createRelay, saves, seed, profile, heart } = options;
  const { kind: _, ...what } = again;
  const { memory, ring, requests, event_idx: eventIdx, log } = what;
  const play = threePartyPlay({
    ring,
    requests,
    eventIdx,
    log,
    relay: (seat) => ownParty(createRelay, seat, heart),
  });
  const onProgress = () => heart.beat();
  if (saves) {
    const { complete, states, violation } = new Explorer(play, memory).search({ statesMax: STATES_MAX, onProgress });
    return { ...what, complete, broken: violation !== undefined, states, orders: null, ...foundBy(violation, again) };
  }
  const { orders, violation } = randomOrders(play, memory, { seed, orders: ORDERS[profile], onProgress });
  const broken = violation !== undefined;
  return { ...what, complete: false, broken, states: null, orders, ...foundBy(violation, again, seed) };
}

function foundBy(violation: Violation | undefined, again: AgainExplorer, seed?: number): { found?: Broken } {
  if (violation === undefined) return {};
  const { what, moves } = violation;
  const { memory, ring, event_idx, log } = again;
  const where = `explorer, ${memory}, ring of ${ring}, ${event_idx ? "event idx" : "flags"}, log ${log ? "on" : "off"}`;
  const steps = exploredSteps(moves, new Stage({ ring, logged: log, tables: false, paths: ["svq"] }));
  return { found: { ...brokenBy(what), where, what, steps, again, ...(seed === undefined ? {} : { seed }) } };
}

/** A mark is a full fence, and hides what lacks one: so most is explored without a log, and the marks by themselves. */
function stagesOf(profile: OwnProfile): readonly { ring: number; log: boolean }[] {
  const quick = [
    { ring: 1, log: false },
    { ring: 2, log: false },
    { ring: 1, log: true },
  ];
  return profile === "quick" ? quick : [...quick, { ring: 2, log: true }];
}
