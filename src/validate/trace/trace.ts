import type { FaultReason } from "../../ring/peer-fault.js";
import type { OracleId } from "../oracles/violation.js";
import type { Program } from "../rig/program.js";
import { ACCESS } from "../rig/watched-memory.js";

/** What happens in a run: the relay's accesses, its turns, and what the other sides do. */
export const EVENT = { ...ACCESS, guest: 9, device: 10, migration: 11, turn: 12, spring: 13 } as const;

/** The index words after an event. */
export type Indices = readonly [
  guestAvail: number,
  guestUsed: number,
  shadowAvail: number,
  shadowUsed: number,
  deviceLastAvail: number,
  deviceUsed: number,
];

/** One thing that happened. */
export interface TraceEvent {
  readonly kind: number;
  readonly space: number;
  readonly offset: number;
  readonly bytes: number;
  readonly value: number;
  readonly action: number;
  /** An oracle refused the access before it took effect. */
  readonly refused: boolean;
  readonly indices: Indices;
}

/** What an oracle said. */
export interface Finding {
  readonly oracle: OracleId;
  /** Number of the invariant it breaks; 0 where none says it. */
  readonly invariant: number;
  readonly message: string;
}

/** How a run ended, and what it had moved by then. */
export interface TraceEnd {
  readonly violation: Finding | undefined;
  /** Why the relay gave the queue up. */
  readonly broken: FaultReason | undefined;
  /** Index of the action at which it ended; the number of actions when it ran to its end. */
  readonly action: number;
  readonly forwarded: number;
  readonly returned: number;
  readonly quarantined: number;
}

/** One run, whole. */
export interface Trace {
  readonly program: Program;
  readonly events: readonly TraceEvent[];
  readonly end: TraceEnd;
}

const MESSAGE_CHARS_MAX = 1000;

/** Text for a terminal: without control characters, and no longer than a trace keeps. */
export function oneLine(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, " ").slice(0, MESSAGE_CHARS_MAX);
}
