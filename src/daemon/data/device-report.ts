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
