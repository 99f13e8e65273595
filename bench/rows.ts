import { allowedCpus } from "../src/lab/threads.js";
import { planThreads } from "../src/lab/wait-policy.js";
import { DEFAULT_CONFIG } from "../src/machine/config.js";
import { MACHINE_WAITINGS, type Work } from "./inputs/record.js";
import { againstTwin, c, ours, type Row, withinC, withinUs } from "./row.js";

const RELAY = { kind: "relay", queueSize: 256, chain: 1, mappings: 1, batch: 256, log: false, queues: 1 } as const;
const RANDOM = { ...RELAY, buffers: "random" } as const;
const CONTIGUOUS = { ...RELAY, buffers: "contiguous" } as const;
const BITMAP = { kind: "bitmap", bytes: 2 ** 21 } as const;
const IOVA = { kind: "iova", verified: 512 } as const;
const RING = { kind: "ring", queueSize: 256 } as const;
const TRACKER = { kind: "tracker", pages: 2 ** 20, writes: 4096, runPages: 1 } as const;
const SENT = { kind: "tracker", pages: 2 ** 14, writes: 2 ** 14, runPages: 1 } as const;
const MACHINE = { kind: "machine", path: "svq" } as const;

const THREE_WORKERS = { ...MACHINE, placement: "threads", waiting: "auto" } as const;
const MACHINES = { unit: "request", processPairs: 6 } as const;

/** Ways of waiting, but for those that come to the same threads on this host as one before. */
function otherPolicies(cpus: readonly number[] = allowedCpus()): Work[] {
  const plans = new Set<string>();
  return MACHINE_WAITINGS.filter((waiting) => waiting !== "auto").flatMap((waiting) => {
    const { driver, relay, device, cpus: places } = planThreads({ ...DEFAULT_CONFIG, waiting }, cpus);
    const plan = JSON.stringify([driver, relay, device, places]);
    const known = plans.has(plan);
    plans.add(plan);
    return known ? [] : [{ ...THREE_WORKERS, waiting }];
  });
}

const SVQ = { ...RING, relayed: true } as const;
const PASSTHROUGH = { ...RING, relayed: false } as const;
const ONE = { outstanding: 1, batch: 1 } as const;
const DEEP = { outstanding: 256, batch: 1 } as const;
const BATCHED = { outstanding: 256, batch: 16 } as const;

/** Every row, in the order of the table. */
export const ROWS: readonly Row[] = [
  againstTwin("relay_1d_1map_vs_c", RANDOM, { reach: 3.0, aim: 2.2 }, { unit: "chain" }),
  againstTwin(
    "relay_3d_64map_dirty_vs_c",
    { ...RANDOM, chain: 3, mappings: 64, log: true },
    { reach: 2.5, aim: 1.9 },
    { unit: "chain" },
  ),
  withinUs(
    "relay_100k_vs_64",
    "relay",
    { ...RANDOM, mappings: 100_000 },
    { ...RANDOM, mappings: 64 },
    {
      reach: 1.6,
      aim: 1.3,
      unit: "chain",
      quick: true,
    },
  ),
  // What the memory of this machine makes of it: the same comparison between the twins.
  withinC("c_100k_vs_64", { ...RANDOM, mappings: 100_000 }, { ...RANDOM, mappings: 64 }, "chain"),
  withinUs(
    "relay_8queues_vs_1",
    "relay",
    { ...RANDOM, mappings: 64, queues: 8 },
    { ...RANDOM, mappings: 64 },
    {
      reach: 1.15,
      aim: 1.05,
      unit: "chain",
    },
  ),
  withinUs("dirty_on_vs_off", "dirty", { ...CONTIGUOUS, log: true }, CONTIGUOUS, {
    reach: 1.25,
    aim: 1.1,
    unit: "chain",
    quick: true,
  }),
  withinUs(
    "dirty_on_vs_off_scattered",
    "dirty",
    { ...RANDOM, mappings: 64, log: true },
    { ...RANDOM, mappings: 64 },
    { reach: 1.7, aim: 1.3, unit: "chain" },
  ),
  withinUs(
    "svq_fused_latency_vs_passthrough",
    "ring",
    { ...SVQ, ...ONE },
    { ...PASSTHROUGH, ...ONE },
    {
      reach: 1.2,
      aim: 1.08,
      unit: "round trip",
      quick: true,
    },
  ),
  againstTwin("svq_fused_latency_vs_c", { ...SVQ, ...ONE }, undefined, { unit: "round trip", quick: false }),
  // What this machine makes of it: the same comparison between the twins.
  withinC("c_fused_latency_vs_c_passthrough", { ...SVQ, ...ONE }, { ...PASSTHROUGH, ...ONE }, "round trip"),
  withinUs(
    "svq_fused_batch16_vs_passthrough",
    "ring",
    { ...SVQ, ...BATCHED },
    { ...PASSTHROUGH, ...BATCHED },
    {
      reach: 2.0,
      aim: 1.5,
      unit: "request",
      quick: true,
    },
  ),
  withinUs(
    "svq_fused_batch1_vs_passthrough",
    "ring",
    { ...SVQ, ...DEEP },
    { ...PASSTHROUGH, ...DEEP },
    {
      unit: "request",
    },
  ),
  againstTwin(
    "passthrough_batch16_vs_c_seqcst",
    { ...PASSTHROUGH, ...BATCHED },
    { reach: 1.8, aim: 1.4 },
    {
      unit: "request",
      quick: false,
    },
  ),
  againstTwin(
    "passthrough_batch1_vs_c_seqcst",
    { ...PASSTHROUGH, ...DEEP },
    { reach: 1.25, aim: 1.05 },
    {
      unit: "request",
      quick: false,
    },
  ),
  withinUs("three_workers_auto_vs_best_policy", "threads", THREE_WORKERS, otherPolicies(), {
    reach: 1.25,
    aim: 1.1,
    ...MACHINES,
    quick: true,
  }),
  withinUs(
    "three_workers_vs_fused",
    "threads",
    THREE_WORKERS,
    { ...MACHINE, placement: "fused", waiting: "auto" },
    { ...MACHINES, quick: true },
  ),
  withinUs(
    "three_workers_vs_passthrough",
    "threads",
    THREE_WORKERS,
    { ...MACHINE, path: "passthrough", placement: "threads", waiting: "auto" },
    { ...MACHINES, quick: true },
  ),
  againstTwin(
    "ring_pingpong_vs_c_seqcst",
    { ...PASSTHROUGH, ...ONE },
    { reach: 1.15, aim: 1.05 },
    {
      unit: "round trip",
    },
  ),
  withinUs(
    "iova_alloc_1m_vs_1k",
    "iova",
    { ...IOVA, live: 1_000_000 },
    { ...IOVA, live: 1000 },
    {
      reach: 3,
      aim: 2,
      unit: "allocation",
      quick: false,
    },
  ),
  againstTwin("iova_alloc_vs_c", { ...IOVA, live: 100_000 }, { reach: 1.8, aim: 1.4 }, { unit: "allocation" }),
  {
    name: "iova_alloc_vs_gtree_100k",
    family: "iova",
    a: ours({ ...IOVA, live: 100_000 }),
    b: [c("walk", { ...IOVA, live: 100_000 }, "tree")],
    reach: 0.005,
    aim: 0.002,
    quick: true,
    twins: true,
    unit: "allocation",
  },
  {
    name: "iova_alloc_vs_array_100k",
    family: "iova",
    a: ours({ ...IOVA, live: 100_000 }),
    b: [c("walk", { ...IOVA, live: 100_000 }, "array")],
    quick: true,
    twins: true,
    unit: "allocation",
  },
  againstTwin("bitmap_scan_empty_vs_c", { ...BITMAP, dirtyPerMillion: 0 }, { reach: 1.9, aim: 1.2 }, { unit: "take" }),
  againstTwin(
    "bitmap_scan_1pct_vs_c",
    { ...BITMAP, dirtyPerMillion: 10_000 },
    { reach: 2.5, aim: 1.3 },
    {
      unit: "take",
    },
  ),
  withinUs(
    "tracker_mark_vs_bare_rmw",
    "trackers",
    { ...TRACKER, operation: "mark", runPages: 512 },
    { ...TRACKER, operation: "bare-rmw", runPages: 512 },
    { reach: 1.3, aim: 1.1, unit: "word", quick: true, twins: true },
  ),
  withinUs(
    "tracker_mark_scattered_vs_bare_rmw",
    "trackers",
    { ...TRACKER, operation: "mark" },
    { ...TRACKER, operation: "bare-rmw" },
    { reach: 1.3, aim: 1.1, unit: "word", twins: true },
  ),
  withinUs(
    "tracker_harvest_clean_vs_sum",
    "trackers",
    { ...TRACKER, operation: "harvest", writes: 16 },
    { ...TRACKER, operation: "sum", writes: 16 },
    { reach: 2, aim: 1, unit: "harvest", quick: true, twins: true },
  ),
  withinUs(
    "page_sender_vs_set",
    "trackers",
    { ...SENT, operation: "send" },
    { ...SENT, operation: "set" },
    { reach: 1 / 0.6, aim: 1.4, unit: "page", quick: true, twins: true },
  ),
];
