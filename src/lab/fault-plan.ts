import type { MachineConfig } from "../machine/config.js";
import type { FaultKind, FaultPlan } from "../machine/faults.js";
import { UsageError } from "../report/exit-codes.js";
import { marksPages } from "./gates.js";

/** Pages of one word of the dirty log: as many as a single mark may cover. */
const PAGES_PER_MARK = 32;

/**
 * Chooses by seed where a fault strikes in a pass over `inputBytes`: early enough that there is something to strike.
 *
 * Throws UsageError when the path has nothing of the kind to break.
 */
export function planFault(kind: FaultKind, config: MachineConfig, inputBytes: number): FaultPlan {
  if (kind === "drop-mark" && !marksPages(config)) {
    const why = config.dirtyLog ? `path ${config.path} marks no pages` : "without a dirty log nothing is marked";
    throw new UsageError(`fault drop-mark: ${why} (try svq or used-only)`);
  }
  if (kind === "lose-call" && config.placement === "inline") {
    throw new UsageError("fault lose-call: inline nobody sleeps, so no call can be missed (try threads or fused)");
  }
  if (config.device === "null" && kind !== "double-used" && kind !== "lose-call") {
    throw new UsageError(`fault ${kind}: the null device writes no data (try device blk or net)`);
  }
  return { kind, at: (2 + (Math.abs(config.seed) % 5)) % chances(kind, config, inputBytes) };
}

/** How often at least a pass offers something to break: each read is one, each round brings a call and a used index. */
function chances(kind: FaultKind, config: MachineConfig, inputBytes: number): number {
  const { device, requestBytes, nullRequests, depth, queues } = config;
  const reads = device === "null" ? nullRequests : Math.ceil(inputBytes / requestBytes);
  if (kind === "flip-byte") return reads;
  if (kind === "drop-mark") return Math.ceil(reads / PAGES_PER_MARK);
  return Math.ceil((device === "blk" ? 2 * reads + 2 : reads) / (depth * queues));
}
