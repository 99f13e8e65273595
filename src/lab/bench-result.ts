import type { DataPathName } from "../relay/data-path.js";
import type { Gates } from "./gates.js";
import type { MachineFacts } from "./machine-facts.js";
import type { CpuPerRequest, PerRequest, Sample } from "./windows.js";

/** One row of the result. */
export interface PathResult {
  readonly name: DataPathName;
  readonly placement: string;
  readonly waiting: string;
  readonly iova_policy: string;
  readonly unsafe: boolean;
  /** Features the guest is not offered, with reasons. */
  readonly refused_features: readonly string[];
  readonly threads: number;
  readonly requests: number;
  readonly sha256: string | null;
  readonly ns_per_request: { median: number; min: number; max: number; samples: number[] } | null;
  readonly latency_ns: Record<string, number> | null;
  readonly cpu_ns_per_request: CpuPerRequest | null;
  readonly per_request: PerRequest | null;
  readonly samples: readonly Sample[];
  readonly gates: Gates;
  readonly switches?: number;
}

/** How one path compares with the baseline. */
export interface Overhead {
  readonly path: DataPathName;
  readonly placement: string;
  readonly against: string;
  readonly throughput: Ratio;
  readonly latency_p50: Ratio;
  readonly comparable: boolean;
  readonly why?: string;
}

/** A ratio of this path to the baseline; above 1 is slower. */
export interface Ratio {
  readonly ratio: number;
  readonly interval: readonly [number, number];
  readonly pairs: number;
}

/** The document `svq bench --json` prints. */
export interface BenchResult extends MachineFacts {
  readonly schema: "shadowvq.bench/1";
  readonly seed: number;
  readonly config: Record<string, unknown>;
  readonly input: { readonly path: string; readonly bytes: number; readonly sha256: string };
  readonly noise: {
    readonly pingpong_ns: { p50: number; min: number; max: number } | null;
    readonly pingpong_why: string | null;
    readonly pinned: boolean;
    readonly pinned_why: string | undefined;
    readonly cpu_tick_ns: number | null;
  };
  readonly paths: PathResult[];
  readonly overhead: Overhead[];
  readonly switches?: number;
  failures: string[];
  verdict: "ok" | "failed" | "aborted";
  /** Why the run ended before its time. */
  why?: string;
}
