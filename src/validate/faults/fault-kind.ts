import type { MachineConfig } from "../../machine/config.js";
import type { FaultRun } from "./fault-run.js";

/** What there was in a run without a fault: each of them is a place at which a fault can strike. */
export interface RunCounts {
  /** Steps of all roles, initialisation included. */
  readonly steps: number;
  /** Kicks, of the driver and of the relay. */
  readonly kicks: number;
  /** Calls, of the device and of the relay. */
  readonly calls: number;
  /** Requests that the device served. */
  readonly requests: number;
}

/** A kind of fault, as data: at which positions of a run it can strike, and what it does there. */
export interface FaultKind {
  readonly name: string;
  /** What it does, in one sentence. */
  readonly does: string;
  /** What every machine it is tried on has in common. */
  readonly needs: Partial<MachineConfig>;
  /** Sleeps that may end by their time limit: one where a notification goes astray, none elsewhere. */
  readonly timeouts: number;
  readonly positions: (counts: RunCounts) => number;
  /** Prepares a run that has not begun; the fault strikes when the run gets to the position. */
  readonly inject: (run: FaultRun, position: number) => void;
}
