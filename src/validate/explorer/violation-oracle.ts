/** Who says that something is wrong: the oracles of this folder's README. */
export type Oracle = "O1" | "O2" | "O3" | "O4" | "O5" | "O6" | "hand-over" | "all";

/** By what a violation says; the first that fits. */
const SAYINGS: readonly (readonly [RegExp, Oracle])[] = [
  [/^asleep: /, "O5"],
  [/ at once$/, "hand-over"],
  [/where it may not write$/, "O6"],
  [/marked$/, "O4"],
  [/requests are used of \d+$/, "O3"],
  [/: request \d+ has length \d+$/, "O3"],
  [/: request \d+ comes back before \d+$/, "O3"],
  [/^used entry \d+ is of no request$/, "O3"],
  [/: request \d+ is \d+ × \d+ bytes at /, "O2"],
  [/ free and \d+ in flight of \d+$/, "O1"],
];

/** The oracle behind a violation; "all" for a PeerFault, a failed assertion, and what is remembered in secret. */
export function oracleOf(what: string): Oracle {
  return SAYINGS.find(([saying]) => saying.test(what))?.[1] ?? "all";
}
