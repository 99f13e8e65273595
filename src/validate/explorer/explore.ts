import { Explorer, type Violation } from "./explorer.js";
import { type PlayOptions, threePartyPlay } from "./play.js";
import type { MemoryModel } from "./positions.js";
import { STATES_MAX } from "./tables.js";

/** What to explore, and how far. */
export interface ExploreOptions extends PlayOptions {
  readonly model: MemoryModel;
  /** Called now and then with the number of states so far. */
  readonly onProgress?: (states: number) => void;
  /** Gives up beyond so many states: the exploration is then not complete. */
  readonly statesMax?: number;
  /** Milliseconds, from anywhere. */
  readonly now?: () => number;
}

/** One exploration, as a report has it. */
export interface Exploration {
  readonly name: string;
  readonly memory: MemoryModel;
  readonly ring: number;
  readonly requests: number;
  readonly event_idx: boolean;
  readonly log: boolean;
  /** Every state was visited, and nothing was wrong in any. */
  readonly complete: boolean;
  readonly states: number;
  readonly transitions: number;
  /** Accesses on the shortest way to the state that is farthest from the beginning. */
  readonly depth: number;
  /** None, or the first: the search ends there. */
  readonly violations: readonly Violation[];
  readonly seconds: number;
  /** Of the set of states, its index and unused room included. */
  readonly bytes_per_state: number;
  /** Different contents of memory, their bytes, and different places where a party can stand: interned once each. */
  readonly images: number;
  readonly image_bytes: number;
  readonly positions: number;
}

/** Explores driver, relay and device in every order of their accesses and of their stores being seen. */
export function explore(options: ExploreOptions): Exploration {
  const {
    model,
    ring,
    requests,
    eventIdx,
    log,
    onProgress,
    statesMax = STATES_MAX,
    now = () => performance.now(),
  } = options;
  const start = now();
  const found = new Explorer(threePartyPlay(options), model).search({ statesMax, onProgress });
  return {
    name: `${model}, ${requests} × ${ring}, ${eventIdx ? "event idx" : "flags"}, log ${log ? "on" : "off"}`,
    memory: model,
    ring,
    requests,
    event_idx: eventIdx,
    log,
    complete: found.complete,
    states: found.states,
    transitions: found.transitions,
    depth: found.depth,
    violations: found.violation === undefined ? [] : [found.violation],
    seconds: (now() - start) / 1000,
    bytes_per_state: found.stateBytes / found.states,
    images: found.images,
    image_bytes: found.imageBytes,
    positions: found.positions,
  };
}
