import type { Parts } from "../memory/role.js";
import type { RingState } from "../ring/ring-state.js";

/** The ways in which a queue can reach its device. */
export const DATA_PATHS = ["passthrough", "notify", "svq", "used-only"] as const;
/** "passthrough": nothing; "notify": kicks and calls; "svq": descriptors too; "used-only": the used ring only. */
export type DataPathName = (typeof DATA_PATHS)[number];

/** What the relay does for one queue between the guest and the device. */
export interface DataPath {
  /** Moves what there is to move. */
  step(): boolean;
  /** Moves used buffers only, while the device is being stopped. */
  drain(): boolean;
  /** Asks the peers to notify, then looks again; true when sleeping is safe. */
  arm(): boolean;
  /** Ends it at a device that stopped at `base`; returns where the guest's ring stands. */
  stop(base: RingState): RingState;
  /** Gives up a broken queue whose device has let go of it: marks whatever that may have written. */
  abandon(): void;
  /** All that outlives a step. */
  parts(): Parts;
}
