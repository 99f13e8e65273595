import { PAGE_BYTES } from "../../memory/address.js";
import type { Element } from "../rig/program.js";
import { BUFFERS_GPA, RIG_REGIONS, type RigSetup } from "../rig/world.js";

/** What a run is about. */
export interface Scenario {
  /** Chains in flight at most. */
  readonly chains: number;
  readonly form: "direct" | "indirect";
  readonly eventIdx: boolean;
  /** Entries of the shadow ring: with few, chains wait in the guest's ring for room. */
  readonly shadowNum: number;
}

/** Where in a run the relay dies. */
export interface CrashPoint {
  /** Which of its stores to shared memory, from 1; in a second death, of those of the relay that took over. */
  readonly store: number;
  /** Whether the store took effect. */
  readonly side: "before" | "after";
}

/** What happens in a run, one thing at a time. */
export type Step = "offer" | "offer-one" | "relay" | "take" | "use-last" | "use-rest" | "harvest" | "reap";

/**
 * Fills the queue, gets the newest chain back first, fills it up again, gets the rest back as one batch, and goes on.
 *
 * The log is taken in between, so that no mark stands in for a later one.
 */
export const STEPS: readonly Step[] = [
  ...(["offer", "relay", "take", "harvest"] as const),
  ...(["use-last", "relay", "reap", "harvest"] as const),
  ...(["offer-one", "relay", "take", "harvest"] as const),
  ...(["use-rest", "relay", "reap", "harvest"] as const),
  // A head that is still recorded though it was returned does harm only when another is offered.
  ...(["offer-one", "relay"] as const),
];

/** Bytes that the device writes to each chain. */
export const WRITTEN_BYTES = 64;

/** All scenarios with so many chains in flight and such shadow rings. */
export function scenariosOf(chainCounts: readonly number[], shadowNums: readonly number[]): Scenario[] {
  return chainCounts.flatMap((chains) =>
    (["direct", "indirect"] as const).flatMap((form) =>
      [false, true].flatMap((eventIdx) =>
        shadowNums.map((shadowNum): Scenario => ({ chains, form, eventIdx, shadowNum })),
      ),
    ),
  );
}

/** The rig of a scenario: a guest's ring with room for all its chains, and indices that wrap. */
export function setupOf({ eventIdx, shadowNum }: Scenario): RigSetup {
  return { num: 16, shadowNum, eventIdx, indirect: true, log: true, map: "flat", start: 0xfffe };
}

/** The elements of the nth chain of a run; no two share a byte. */
export function elementsOf(nth: number): Element[] {
  const within = (nth % 4) * PAGE_BYTES + nth * 64;
  return [
    { gpa: BUFFERS_GPA + 4 * PAGE_BYTES + nth * 64, bytes: 16, writable: false },
    { gpa: BUFFERS_GPA + within, bytes: WRITTEN_BYTES / 2, writable: true },
    { gpa: RIG_REGIONS[1].gpa + within, bytes: WRITTEN_BYTES / 2, writable: true },
  ];
}
