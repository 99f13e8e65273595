import type { CrashPoint, Scenario } from "../crash/scenario.js";
import type { MemoryModel } from "../explorer/positions.js";

/** One exploration: all of it, or one order of it that was drawn. */
export interface AgainExplorer {
  readonly kind: "explorer";
  readonly memory: MemoryModel;
  readonly ring: number;
  readonly requests: number;
  readonly event_idx: boolean;
  readonly log: boolean;
}

/** One run in which relays were killed. */
export interface AgainCrash {
  readonly kind: "crash";
  readonly scenario: Scenario;
  readonly kills: readonly CrashPoint[];
}

/** What to look at once more. */
export type Again = AgainExplorer | AgainCrash;
