/** The oracles, and what each of them holds a relay to. */
export const ORACLES = {
  O1: "conservation: every chain and every descriptor is in exactly one place",
  O2: "payload: the device sees the bytes of the guest's chain, in its order and direction",
  O3: "exactly once: each exposed head is returned once, with the length the device told",
  O4: "dirty: what was written is marked by the time it may be looked for",
  O5: "liveness: nobody sleeps while there is work that was told of",
  O6: "containment: no store outside of the relay's own ring, the used ring and the log",
  O7: "boundedness: a turn ends within its budget, whatever it reads",
  O8: "honesty: every input ends in exactly one named outcome, the one the book says",
  O9: "replay: the same program gives the same trace",
} as const;
/** The name of an oracle. */
export type OracleId = keyof typeof ORACLES;

/** What an oracle found; thrown where it is noticed, so that the trace ends there. */
export class Violation extends Error {
  override readonly name = "Violation";
  readonly oracle: OracleId;
  /** Number of the invariant it breaks, of 40; 0 where none says it. */
  readonly invariant: number;

  constructor(oracle: OracleId, invariant: number, what: string) {
    super(`${oracle}${invariant === 0 ? "" : ` (invariant ${invariant})`}: ${what}`);
    this.oracle = oracle;
    this.invariant = invariant;
  }
}
