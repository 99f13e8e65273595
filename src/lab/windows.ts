import { COUNTER_BLOCKS } from "../machine/arena.js";
import type { MachineConfig } from "../machine/config.js";
import type { CounterSnapshot } from "../telemetry/counters.js";
import { difference } from "../telemetry/counters.js";
import { LatencyRecorder } from "../telemetry/latency-recorder.js";
import type { WindowResult } from "../workers/messages.js";
import { median } from "./statistics.js";
import type { ThreadedMachine } from "./threaded-machine.js";

/** Percentiles of latency that are reported. */
export const PERCENTILES = ["50", "99", "99.9"] as const;

/** What one timed window of one path came to. */
export interface Sample {
  readonly ns_per_request: number;
  readonly p50_ns: number;
  readonly requests: number;
  /** Share of the window that threads with a core of their own waited to run; null where the kernel does not say. */
  readonly run_queue_wait: number | null;
}

/** Counts per request, over all windows. */
export interface PerRequest {
  readonly kicks: number;
  readonly calls: number;
  readonly relay_kicks: number;
  readonly relay_calls: number;
  readonly descriptors: number;
  readonly dirty_marks: number;
  /** Notifications that crossed from one thread to another. */
  readonly hops: number;
}

/** Nanoseconds on a CPU per request, by thread; null where a role has no thread of its own. */
export interface CpuPerRequest {
  readonly driver: number | null;
  readonly relay: number | null;
  readonly device: number | null;
  readonly relay_device: number | null;
}

type Role = keyof typeof COUNTER_BLOCKS;

/** Takes timed windows of one machine and keeps what they came to. */
export class WindowSeries {
  readonly machine: ThreadedMachine;
  readonly samples: Sample[] = [];
  /** Of what the last window brought back; null before it. */
  sha256: string | null = null;
  readonly #latency = new LatencyRecorder();
  readonly #results: WindowResult[] = [];
  readonly #counts = new Map<Role, CounterSnapshot[]>();
  readonly #onCpu: Record<string, number> = {};
  #pass = 0;

  constructor(machine: ThreadedMachine) {
    this.machine = machine;
  }

  /** Runs whole passes for at least `minNs`; the warm-up is not kept. */
  async take(minNs: number, keep: boolean): Promise<void> {
    const { machine } = this;
    machine.latency.reset();
    const before = { counts: this.#snapshot(), times: machine.times() };
    const { result } = await machine.ask("driver", { kind: "window", minNs, firstPass: this.#pass }, "window");
    const times = machine.times();
    this.#pass += result.passes;
    this.sha256 = result.sha256;
    this.#results.push(result);
    if (!keep) return;
    for (const role of Object.keys(COUNTER_BLOCKS) as Role[]) {
      const list = this.#counts.get(role) ?? [];
      list.push(difference(machine.counters(role), before.counts[role]));
      this.#counts.set(role, list);
    }
    let waited = 0;
    let known = true;
    for (const [thread, now] of Object.entries(times)) {
      const then = before.times[thread as keyof typeof times];
      if (now == null || then == null) {
        known = false;
        continue;
      }
      this.#onCpu[thread] = (this.#onCpu[thread] ?? 0) + now.on_cpu_ns - then.on_cpu_ns;
      waited += now.run_queue_wait_ns - then.run_queue_wait_ns;
    }
    this.#latency.merge(machine.latency);
    this.samples.push({
      ns_per_request: result.ns / result.requests,
      p50_ns: machine.latency.percentile(50),
      requests: result.requests,
      run_queue_wait: known ? waited / result.ns : null,
    });
  }

  /** Requests in the windows that count. */
  get requests(): number {
    return this.samples.reduce((sum, { requests }) => sum + requests, 0);
  }

  /** Median, extremes and every sample of nanoseconds per request. */
  nsPerRequest() {
    const samples = this.samples.map(({ ns_per_request }) => ns_per_request);
    return { median: median(samples), min: Math.min(...samples), max: Math.max(...samples), samples };
  }

  /** Latency over all windows that count. */
  latencyNs(): Record<(typeof PERCENTILES)[number], number> {
    const at = (p: (typeof PERCENTILES)[number]) => this.#latency.percentile(Number(p));
    return { "50": at("50"), "99": at("99"), "99.9": at("99.9") };
  }

  /** CPU time by thread. */
  cpuPerRequest(config: MachineConfig): CpuPerRequest {
    const of = (thread: string) => (this.#onCpu[thread] === undefined ? null : this.#onCpu[thread] / this.requests);
    const passive = config.path === "passthrough";
    return {
      driver: of("driver") ?? of("inline"),
      relay: passive ? null : of("relay"),
      device: of("device"),
      relay_device: of("fused"),
    };
  }

  /** Notifications, descriptors and marks. */
  perRequest(): PerRequest {
    const sum = (role: Role, counter: keyof CounterSnapshot) =>
      (this.#counts.get(role) ?? []).reduce((total, counts) => total + counts[counter], 0) / this.requests;
    const kicks = sum("driver", "kicks");
    const calls = sum("device", "calls");
    const relay_kicks = sum("relay", "relayKicks");
    const relay_calls = sum("relay", "relayCalls");
    return {
      kicks,
      calls,
      relay_kicks,
      relay_calls,
      descriptors: sum("relay", "descriptors"),
      dirty_marks: sum("relay", "dirtyMarks"),
      hops: hops(this.machine.config.placement, kicks + relay_calls, relay_kicks + calls),
    };
  }

  /** A count over all windows, the warm-up included. */
  total(of: "lost" | "duplicated" | "refused"): number {
    return this.#results.reduce((sum, result) => sum + result[of], 0);
  }

  /** The gates of the timed phase: all but the dirty one. */
  failures(expectedSha256: string | null): string[] {
    const failures = [];
    const unequal =
      this.#results.some(({ equal }) => !equal) ||
      (expectedSha256 !== null && this.sha256 !== null && this.sha256 !== expectedSha256);
    if (unequal) failures.push("payload: what came back in a timed window differs from what was sent");
    const [lost, duplicated, refused] = [this.total("lost"), this.total("duplicated"), this.total("refused")];
    if (lost > 0) failures.push(`lost: ${lost} requests of timed windows never came back`);
    if (duplicated > 0) failures.push(`duplicated: ${duplicated} completions in timed windows`);
    if (refused > 0) failures.push(`payload: the device refused ${refused} requests`);
    if (this.machine.lost.length > 0) failures.push(`lost_notifications: ${this.machine.lost.length} in timed windows`);
    const fault = this.#results.find(({ fault }) => fault !== undefined)?.fault;
    if (fault !== undefined) failures.push(`fault: ${fault}`);
    return failures;
  }

  #snapshot(): Record<Role, CounterSnapshot> {
    const { machine } = this;
    return { driver: machine.counters("driver"), relay: machine.counters("relay"), device: machine.counters("device") };
  }
}

/** What relay and device tell each other crosses threads only where each has one; inline nothing does. */
function hops(placement: MachineConfig["placement"], outer: number, inner: number): number {
  if (placement === "inline") return 0;
  return placement === "threads" ? outer + inner : outer;
}

/** Has pollers sleep until the next command (sync() is one): machines take turns, and the others need the cores. */
export function restPollers(machine: ThreadedMachine): void {
  if (machine.config.waiting !== "polled") return;
  for (const role of ["driver", "relay", "device"] as const) machine.tell(role, { kind: "rest" });
}
