import { openFdCount } from "../../sys/process.js";
import { COUNTERS } from "../../telemetry/counters.js";
import { featureNames } from "./feature-names.js";
import type { LiveQueue } from "./live-queue.js";
import type { VhostDevice } from "./vhost-device.js";

/** Numbers of one queue, for people who watch it. */
export function queueStatus(queue: LiveQueue, device: VhostDevice): object {
  const { index, session, state, path, broken } = queue;
  return {
    index,
    num: session.num,
    enabled: session.enabled,
    running: session.running,
    datapath: queue.live ? device.path : null,
    last_avail_idx: state?.lastAvailIdx ?? session.base,
    used_idx: state?.guestUsedIdx ?? null,
    shadow_avail_idx: state?.shadowAvailIdx ?? null,
    shadow_used_idx: state?.lastUsedIdx ?? null,
    in_flight: path?.inFlight ?? null,
    ...(broken !== undefined && { broken }),
  };
}

/** What has passed through one queue so far. */
export function queueStats({ index, counters }: LiveQueue): Record<"index" | QueueCount, number> {
  return {
    index,
    requests: counters[COUNTERS.chains]!,
    bytes: counters[COUNTERS.relayedBytes]!,
    kicks: counters[COUNTERS.relayKicks]!,
    calls: counters[COUNTERS.relayCalls]!,
    dirty_marks: counters[COUNTERS.dirtyMarks]!,
    batches: counters[COUNTERS.availBatches]!,
    quarantined: counters[COUNTERS.quarantined]!,
  };
}

const QUEUE_COUNTS = ["requests", "bytes", "kicks", "calls", "dirty_marks", "batches", "quarantined"] as const;
type QueueCount = (typeof QUEUE_COUNTS)[number];
/** Sums over the queues of a device. */
export type QueueTotals = Record<QueueCount, number>;

/** No requests yet. */
export function noTotals(): QueueTotals {
  return Object.fromEntries(QUEUE_COUNTS.map((name) => [name, 0])) as QueueTotals;
}

/** Adds what passed through the queues of a device. */
export function addTotals(totals: QueueTotals, queues: readonly LiveQueue[]): QueueTotals {
  const sum = { ...totals };
  for (const queue of queues) {
    const stats = queueStats(queue);
    for (const name of QUEUE_COUNTS) sum[name] += stats[name];
  }
  return sum;
}

/** The chains that each queue lost for good, those of queues that were given up. */
export function lossesOf(queues: readonly LiveQueue[]): { queue: number; count: number; reason: string }[] {
  const lossy = queues.filter(({ lostCount }) => lostCount > 0);
  return lossy.map(({ index, lostCount: count }) => {
    const what = count === 1 ? "a chain that" : `${count} chains that`;
    return { queue: index, count, reason: `the back end kept ${what} no guest offers again: it returned younger ones` };
  });
}

/** What this process costs; null where it has no descriptor left to look with. */
export function processReport(): {
  readonly cpu_ns: number;
  readonly rss_bytes: number | null;
  readonly fds: number | null;
} {
  const { user, system } = process.cpuUsage();
  return { cpu_ns: (user + system) * 1000, rss_bytes: orNull(process.memoryUsage.rss), fds: orNull(openFdCount) };
}

function orNull(look: () => number): number | null {
  try {
    return look();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EMFILE" && code !== "ENFILE") throw error;
    return null;
  }
}

/** What the device sees of memory, by its addresses. */
export function iovaMappings(device: VhostDevice | undefined): object[] {
  return [...(device?.memory?.tree.entries() ?? [])].map(({ iova, bytes, perm, target }) => ({
    iova,
    bytes,
    perm,
    ...(target.kind === "guest" ? { gpa: target.gpa } : { host: "shadow-rings" }),
  }));
}

/** Who has which features, and what is masked, by name and with the reason. */
export function featureReport({ offer, session }: VhostDevice): object {
  return {
    backend: featureNames(offer.backFeatures, "features"),
    offered: featureNames(offer.features, "features"),
    accepted: featureNames(session.featuresAcked ?? 0n, "features"),
    masked: offer.masked,
    protocol: {
      backend: featureNames(offer.backProtocolFeatures, "protocol"),
      offered: featureNames(offer.protocolFeatures, "protocol"),
      accepted: featureNames(session.protocolFeaturesAcked ?? 0n, "protocol"),
      masked: offer.maskedProtocol,
    },
  };
}
