import type { PlayedPath } from "./device-party.js";
import { Explorer, type Violation as Found } from "./explorer.js";
import { type PlayOptions, threePartyPlay } from "./play.js";
import type { MemoryModel } from "./positions.js";
import { REDUCTION_NAMES, type Reduction } from "./reductions.js";
import type { StoreOrder } from "./store-order.js";
import { STATES_MAX } from "./tables.js";
import { type Oracle, oracleOf } from "./violation-oracle.js";

/** What to explore, and how far. */
export interface ExploreOptions extends PlayOptions {
  readonly model: MemoryModel;
  /** Reductions that are switched off; none unless given. */
  readonly without?: readonly Reduction[] | undefined;
  /** Called now and then with the number of states so far. */
  readonly onProgress?: (states: number) => void;
  /** Gives up beyond so many states: the exploration is then not complete. */
  readonly statesMax?: number;
  /** Milliseconds, from anywhere. */
  readonly now?: () => number;
}

/** What went wrong, who says so, and a shortest way there, access by access. */
export interface Violation extends Found {
  readonly oracle: Oracle;
}

/** One exploration, as a report has it. */
export interface Exploration {
  readonly name: string;
  /** The order in which stores are seen. */
  readonly memory: StoreOrder;
  /** "seq_cst": a publish waits until all own stores are seen, as Atomics.store does. */
  readonly publish: "release" | "seq_cst";
  readonly ring: number;
  readonly requests: number;
  readonly event_idx: boolean;
  readonly log: boolean;
  /** Descriptors of a request, and whether they stand in an indirect table. */
  readonly chain: number;
  readonly indirect: boolean;
  /** The order in which the device completes: that of the offers, or every one. */
  readonly order: "fifo" | "any";
  /** What lies between driver and device, in turn; the relay moves on at any time. */
  readonly paths: readonly PlayedPath[];
  /** Every state was visited, and nothing was wrong in any. */
  readonly complete: boolean;
  readonly states: number;
  readonly transitions: number;
  /** Accesses on the shortest way to the state that is farthest from the beginning. */
  readonly depth: number;
  /** None, or the first: the search ends there. */
  readonly violations: readonly Violation[];
  /** What the search left out, because it cannot matter. */
  readonly reductions: readonly Reduction[];
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
    without = [],
    statesMax = STATES_MAX,
    now = () => performance.now(),
  } = options;
  const start = now();
  const found = new Explorer(threePartyPlay(options), model, without).search({ statesMax, onProgress });
  return {
    name: modelName(options),
    memory: model === "tso-seqcst" ? "tso" : model,
    publish: model === "tso-seqcst" ? "seq_cst" : "release",
    ring,
    requests,
    event_idx: eventIdx,
    log,
    chain: options.chain ?? 1,
    indirect: options.indirect ?? false,
    order: options.order ?? "fifo",
    paths: options.paths ?? ["svq"],
    complete: found.complete,
    states: found.states,
    transitions: found.transitions,
    depth: found.depth,
    violations: found.violation === undefined ? [] : [{ oracle: oracleOf(found.violation.what), ...found.violation }],
    reductions: REDUCTION_NAMES.filter((name) => !without.includes(name)),
    seconds: (now() - start) / 1000,
    bytes_per_state: found.stateBytes / found.states,
    images: found.images,
    image_bytes: found.imageBytes,
    positions: found.positions,
  };
}

/** The name of an exploration, by which it can be asked for again; what is as in the simplest play is not said. */
export function modelName({ model, ring, requests, eventIdx, log, chain, indirect, order, paths }: ExploreOptions) {
  const suppression = eventIdx ? "event idx" : "flags";
  const more = [
    ...(chain === 2 ? ["chains of 2"] : []),
    ...(indirect ? ["indirect"] : []),
    ...(order === "any" ? ["any order"] : []),
    ...(paths !== undefined && paths.length > 1 ? [paths.join(" to ")] : []),
  ];
  return [model, `${requests} × ${ring}`, suppression, `log ${log ? "on" : "off"}`, ...more].join(", ");
}
