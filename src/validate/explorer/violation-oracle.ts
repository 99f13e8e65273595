import type { OracleId } from "../oracles/violation.js";

/** Who says that something is wrong: the oracles of this folder's README. */
export type Oracle = "O1" | "O2" | "O3" | "O4" | "O5" | "O6" | "hand-over" | "all";

/** What a relay has broken: one of all the validator's oracles, and the number of its invariant or 0. */
export interface BrokenOracle {
  readonly id: OracleId;
  readonly invariant: number;
}

/** The oracle behind a violation; "all" for a PeerFault, a failed assertion, and what is remembered in secret. */
export function oracleOf(what: string): Oracle {
  return saying(what)[1];
}

/** What the relay between a driver and a device that follow the rules has broken, where a violation says this. */
export function brokenBy(what: string): BrokenOracle {
  const [, id, invariant] = /\b(O\d)(?: \(invariant (\d+)\))?: /.exec(what) ?? [];
  if (id !== undefined) return { id: id as OracleId, invariant: Number(invariant ?? 0) };
  const [, , brokenId, brokenInvariant] = saying(what);
  return { id: brokenId, invariant: brokenInvariant };
}

function saying(what: string): (typeof SAYINGS)[number] {
  return SAYINGS.find(([pattern]) => pattern.test(what))!;
}

/** By what a violation says; the first that fits. What a relay throws may say anything, so that comes early. */
const SAYINGS: readonly (readonly [RegExp, Oracle, OracleId, number])[] = [
  [/where it may not write$/, "O6", "O6", 5],
  [/a step remembers what is not in its state$/, "all", "O9", 0],
  [/ free and \d+ in flight of \d+$/, "O1", "O1", 2],
  [/^relay: /, "all", "O8", 36],
  [/^asleep: /, "O5", "O5", 25],
  // Bytes of one side that the other still has: of a used ring it is the return that is misled, else the chain.
  [/ used .* at once$/, "hand-over", "O3", 8],
  [/ at once$/, "hand-over", "O2", 6],
  [/marked$/, "O4", "O4", 20],
  [/requests are used of \d+$/, "O3", "O3", 8],
  [/: request \d+ has length \d+$/, "O3", "O3", 39],
  [/: request \d+ comes back before \d+$/, "O3", "O3", 8],
  [/^used entry \d+ is of no request$/, "O3", "O3", 8],
  [/: request \d+ is \d+ × \d+ bytes at /, "O2", "O2", 6],
  [/^driver: /, "all", "O3", 8],
  [/^device: /, "all", "O2", 6],
  [/./, "all", "O8", 36],
];
