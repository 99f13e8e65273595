import type { Accounting } from "../../ring/driver-ring.js";
import type { FaultReason } from "../../ring/peer-fault.js";
import type { VringAreas } from "../../ring/vring-areas.js";

/** Bytes that are contiguous for the device. */
export interface Piece {
  readonly iova: number;
  readonly bytes: number;
}

/** What a relay module is given; examples/relay-interface.d.ts says what each of them is for. */
export interface OwnParts {
  readonly guest: VringAreas;
  readonly shadow: VringAreas;
  readonly eventIdx: boolean;
  readonly indirect: boolean;
  readonly start: { readonly lastAvailIdx: number; readonly usedIdx: number };
  readonly translate: (
    gpa: number,
    bytes: number,
    writable: boolean,
  ) => readonly Piece[] | "address-unmapped" | "permission-denied";
  readonly copyTable: (gpa: number, bytes: number) => DataView | undefined;
  readonly mark: (gpa: number, bytes: number) => void;
  readonly markUsedEntries: (from: number, to: number) => void;
  readonly markEventWord: () => void;
  readonly kickDevice: () => void;
  readonly callGuest: () => void;
  readonly outcomeOf: (reason: FaultReason) => "quarantine" | "break-queue";
  readonly fault: (reason: FaultReason) => never;
}

/** What a relay module makes of it. */
export interface OwnRelay {
  step(): boolean;
  arm(): boolean;
  abandon(): void;
  accounting?(): Accounting;
}

/** What a relay module exports. */
export type CreateRelay = (parts: OwnParts) => OwnRelay;

/** Methods that no relay can do without. */
export const METHODS = ["step", "arm", "abandon"] as const;
