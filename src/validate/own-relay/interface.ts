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
  /** What save() of a relay gave: the new one goes on from there. */
  readonly saved?: unknown;
  /** Where to keep what is in flight; nobody asks for it unless it is there. */
  readonly record?: OwnRecord;
}

/** Which heads are in flight, in memory that outlives the relay: InflightRecord, but for its beginning. */
export interface OwnRecord {
  forwarding(heads: readonly number[]): void;
  returning(heads: readonly number[]): void;
  returned(heads: readonly number[], usedIdx: number): void;
  recover(usedIdx: number): readonly number[];
}

/** What a relay module makes of it. */
export interface OwnRelay {
  step(): boolean;
  arm(): boolean;
  abandon(): void;
  accounting?(): Accounting;
  /** All that it remembers, as data that can be cloned: with it, every order can be explored. */
  save?(): unknown;
  /** Takes the place of one that died, before its first step: with it, the relay can be killed at every store. */
  recover?(): void;
}

/** What a relay module exports. */
export type CreateRelay = (parts: OwnParts) => OwnRelay;

/** Methods that no relay can do without. */
export const METHODS = ["step", "arm", "abandon"] as const;

/** Methods that a relay may offer. */
export const OFFERS = ["accounting", "save", "recover"] as const;
