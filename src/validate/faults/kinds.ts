import type { FaultKind } from "./fault-kind.js";
import { MEMORY_FAULTS } from "./memory-changes.js";
import { NOTIFICATION_FAULTS } from "./notifications.js";
import { RESTART_FAULTS } from "./restarts.js";
import { TIMING_FAULTS } from "./timing.js";

/** Every kind of fault there is. */
export const FAULT_KINDS: readonly FaultKind[] = [
  ...NOTIFICATION_FAULTS,
  ...TIMING_FAULTS,
  ...RESTART_FAULTS,
  ...MEMORY_FAULTS,
];
