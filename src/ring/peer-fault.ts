/**
 * What a peer can do wrong, by name, and what each costs it: a closed list.
 *
 * - "quarantine": the one chain is returned unused (length 0) and counted; the queue goes on.
 * - "break-queue": the queue stops, the err bell rings and DEVICE_NEEDS_RESET shows; other queues go on.
 * - "refuse": a set-up that is never started.
 */
export const PEER_FAULTS = {
  "avail-idx-overrun": "break-queue",
  "used-idx-overrun": "break-queue",
  "head-out-of-range": "break-queue",
  "head-outstanding": "break-queue",
  "next-out-of-range": "break-queue",
  "chain-too-long": "break-queue",
  "readable-after-writable": "break-queue",
  "indirect-not-negotiated": "break-queue",
  "indirect-nested": "break-queue",
  "indirect-with-next": "break-queue",
  "indirect-length": "break-queue",
  "used-id-unknown": "break-queue",
  "guest-ring-changed": "break-queue",
  "address-unmapped": "quarantine",
  "permission-denied": "quarantine",
  "chain-bytes-overflow": "quarantine",
  "chain-never-fits": "quarantine",
  "chain-empty": "quarantine",
  "queue-size": "refuse",
  "ring-misaligned": "refuse",
  "ring-outside-memory": "refuse",
  "ring-overlap": "refuse",
  "features-refused": "refuse",
} as const satisfies Record<string, FaultOutcome>;

/** How a fault ends. */
export type FaultOutcome = "quarantine" | "break-queue" | "refuse";
/** The name of a fault. */
export type FaultReason = keyof typeof PEER_FAULTS;

/** Thrown where a peer's lie is noticed; caught once, by the role, which carries out the outcome. */
export class PeerFault extends Error {
  readonly reason: FaultReason;

  constructor(reason: FaultReason, detail: string) {
    super(`${reason}: ${detail}`);
    this.name = "PeerFault";
    this.reason = reason;
  }

  /** What this fault costs the peer. */
  get outcome(): FaultOutcome {
    return PEER_FAULTS[this.reason];
  }
}

/** Faults as small integers, for loops that note one and go on to tidy up; 0 is none. */
const REASONS = Object.keys(PEER_FAULTS) as FaultReason[];

/** The small integer of a reason; never 0. */
export function faultCode(reason: FaultReason): number {
  return REASONS.indexOf(reason) + 1;
}

/** The reason behind a code that faultCode() gave. */
export function faultReason(code: number): FaultReason {
  const reason = REASONS[code - 1];
  if (reason === undefined) throw new RangeError(`no fault has code ${code}`);
  return reason;
}
