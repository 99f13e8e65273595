import { Worker } from "node:worker_threads";
import { type Arena, allocateArena, bellNumbers, COUNTER_BLOCKS } from "../machine/arena.js";
import { addressPlan, guestLayout } from "../machine/assemble.js";
import { checkedConfig, type MachineConfig } from "../machine/config.js";
import type { FaultPlan } from "../machine/faults.js";
import { deviceShare, driverShare } from "../machine/views.js";
import { Doorbell } from "../memory/bell.js";
import { RunBroken } from "../report/exit-codes.js";
import type { FlightRecorder } from "../report/flight-recorder.js";
import type { Accounting } from "../ring/driver-ring.js";
import { COUNTERS, type CounterSnapshot, counterBlock, snapshot } from "../telemetry/counters.js";
import { LATENCY_RECORDER_BYTES, LatencyRecorder } from "../telemetry/latency-recorder.js";
import type { Command, Report, WaitPolicy } from "../workers/messages.js";
import { workerUrl } from "../workers/worker-url.js";
import { ReportDesk } from "./report-desk.js";
import { describeMachine, whoIsStuck } from "./ring-dump.js";
import { allowedCpus, pinThread, type ThreadTimes, threadTimes } from "./threads.js";
import { planThreads, type ThreadPlan } from "./wait-policy.js";

/** Which worker runs which roles. */
type ThreadName = "driver" | "relay" | "device" | "fused" | "inline";

/** The input of a workload, loaded once and shared by all machines. */
export interface SharedInput {
  readonly buffer: SharedArrayBuffer;
  readonly bytes: number;
}

/** What a machine is started with beside its config. */
export interface MachineOptions {
  readonly input: SharedInput;
  /** Image under a blk device; the caller owns the file. */
  readonly image?: { readonly path: string; readonly bytes: number } | undefined;
  /** In a gate phase: a copy of guest RAM for the driver's stores, and page stamps for the device's. */
  readonly mirror?: readonly SharedArrayBuffer[] | undefined;
  readonly stamps?: readonly SharedArrayBuffer[] | undefined;
  readonly fault?: FaultPlan | undefined;
  /** Overrides the waiting of all threads. */
  readonly waiting?: "notified" | undefined;
  readonly recorder?: FlightRecorder | undefined;
}

/** One worker as main sees it. */
interface Thread {
  readonly name: ThreadName;
  readonly worker: Worker;
  readonly bell: Doorbell;
  tid: number | null;
  ended: boolean;
}

/** How often main looks whether a machine gets anywhere, and after how long it gives up. */
const WATCH_MS = 250;
const STUCK_MS = 4500;
const START_MS = 20_000;

/** A machine in which nothing moves although there is work; the message names who holds it up. */
export class Stuck extends RunBroken {}

/** A machine whose roles run in worker threads: started, pinned, given work, watched and always stopped. */
export class ThreadedMachine {
  readonly config: MachineConfig;
  readonly arena: Arena;
  readonly plan: ThreadPlan;
  readonly latency: LatencyRecorder;
  /** Whether every thread got the CPU it was to have; the reason where not. */
  pinning: { readonly pinned: boolean; readonly reason: string | undefined } = { pinned: false, reason: "not started" };
  /** Notifications that were lost, by the role that missed them. */
  readonly lost: string[] = [];
  /** Features that the guest is not offered, with reasons; known after start(). */
  refusals: readonly string[] = [];
  readonly #options: MachineOptions;
  readonly #latencyBuffer = new SharedArrayBuffer(LATENCY_RECORDER_BYTES);
  readonly #threads: Thread[] = [];
  readonly #desk = new ReportDesk();
  #stopping = false;
  #token = 0;

  /** Checks everything that can be checked before a thread starts; throws ConfigError. */
  constructor(config: MachineConfig, options: MachineOptions) {
    this.config = checkedConfig(config);
    guestLayout(config);
    addressPlan(config, config.path);
    this.#options = options;
    this.arena = allocateArena(config);
    const plan = planThreads(config, allowedCpus());
    this.plan = options.waiting === undefined ? plan : withWaiting(plan, options.waiting);
    this.latency = new LatencyRecorder(this.#latencyBuffer);
  }

  /** Starts and pins the threads, and waits until the driver has gone through its eight steps. */
  async start(): Promise<void> {
    const shown = this.#desk.expect((report) => report.kind === "offered");
    const live = this.#desk.expect((report) => report.kind === "live");
    const ready = this.#spawn();
    await withDeadline(ready, START_MS, () => this.#stuck("threads did not start"));
    this.pinning = this.#pin();
    await withDeadline(Promise.all([shown, live]), START_MS, () => this.#stuck("the driver did not reach DRIVER_OK"));
  }

  /** Gives a thread a command and waits for the report that answers it; rejects when nothing moves for 5 s. */
  async ask<K extends Report["kind"]>(
    to: "driver" | "relay" | "device",
    command: Command,
    answer: K,
  ): Promise<Extract<Report, { kind: K }>> {
    const reply = this.#desk.expect((report) => report.kind === answer);
    this.tell(to, command);
    return (await this.#watched(reply)) as Extract<Report, { kind: K }>;
  }

  /** Posts a command and rings; for commands that need no answer. */
  tell(to: "driver" | "relay" | "device", command: Command): void {
    const thread = this.#threadOf(to);
    thread.worker.postMessage(command);
    thread.bell.ring();
  }

  /** Waits until every thread has finished the step it is in; returns where the descriptors of all rings are. */
  async sync(): Promise<Accounting[]> {
    const accounting: Accounting[] = [];
    for (const thread of this.#threads) {
      const token = ++this.#token;
      const reply = this.#desk.expect((report) => report.kind === "synced" && report.token === token);
      thread.worker.postMessage({ kind: "sync", token } satisfies Command);
      thread.bell.ring();
      const synced = await this.#watched(reply);
      if (synced.kind === "synced") accounting.push(...synced.accounting);
    }
    return accounting;
  }

  /** The counters of one role. */
  counters(role: keyof typeof COUNTER_BLOCKS): CounterSnapshot {
    return snapshot(counterBlock(this.arena.counters, COUNTER_BLOCKS[role]));
  }

  /** Time on CPU and in run queues, by thread; null where the kernel does not say. */
  times(): Partial<Record<ThreadName, ThreadTimes | null>> {
    return Object.fromEntries(
      this.#threads.map(({ name, tid }) => [name, tid === null ? null : threadTimes("self", tid)]),
    );
  }

  /** Stops all threads and waits for their end; ends those that do not within 2 s. Never throws. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#desk.break(new RunBroken("stopped"));
    await Promise.all(
      this.#threads.map(async (thread) => {
        if (thread.ended) return;
        const ended = new Promise<void>((resolve) => thread.worker.once("exit", () => resolve()));
        thread.worker.postMessage({ kind: "stop" } satisfies Command);
        thread.bell.ring();
        await withDeadline(ended, 2000, () => new Error("late")).catch(() => thread.worker.terminate());
      }),
    );
  }

  async #spawn(): Promise<void> {
    const { config, plan } = this;
    const { input, image, mirror, stamps, fault } = this.#options;
    const driver = {
      config,
      wait: plan.driver,
      fault,
      share: driverShare(this.arena),
      latency: this.#latencyBuffer,
      input: input.buffer,
      inputBytes: input.bytes,
      mirror,
    };
    const relay = { config, wait: plan.relay, fault, share: this.arena };
    const device = { config, wait: plan.device, fault, share: deviceShare(this.arena), image, stamps };
    const bells = bellNumbers(config.placement);
    if (config.placement === "inline") {
      await this.#launch("inline", { config, wait: plan.driver, driver, relay, device }, bells.driver);
    } else if (config.placement === "fused") {
      const fused = this.#launch("fused", { config, wait: plan.device, relay, device }, bells.device);
      await Promise.all([fused, this.#launch("driver", driver, bells.driver)]);
    } else {
      const threads = [
        this.#launch("device", device, bells.device),
        this.#launch("relay", relay, bells.relay),
        this.#launch("driver", driver, bells.driver),
      ];
      await Promise.all(threads);
    }
  }

  #launch(name: ThreadName, workerData: unknown, bell: number): Promise<void> {
    const worker = new Worker(workerUrl(name), { workerData, name: `svq-${name}` });
    const thread: Thread = { name, worker, bell: new Doorbell(this.arena.bells, bell), tid: null, ended: false };
    this.#threads.push(thread);
    worker.on("error", (error) =>
      this.#desk.break(new RunBroken(`${name} worker threw: ${error.message}`, { cause: error })),
    );
    worker.on("exit", (code) => {
      thread.ended = true;
      if (!this.#stopping) this.#desk.break(new RunBroken(`${name} worker ended by itself with ${code}`));
    });
    return new Promise((resolve, reject) => {
      this.#desk.onBreak(reject);
      worker.on("message", (report: Report) => {
        if (report.kind === "ready") {
          thread.tid = report.tid;
          resolve();
        }
        this.#hear(name, report);
      });
    });
  }

  #hear(name: ThreadName, report: Report): void {
    const lost = report.kind === "lost-notification";
    this.#options.recorder?.record({
      at_ns: performance.now() * 1e6,
      source: name,
      event: report.kind,
      detail: { report: JSON.stringify(report), ...(lost && { rings: describeMachine(this.config, this.arena) }) },
    });
    if (report.kind === "failed")
      this.#desk.break(new RunBroken(`${name}: ${report.message}`, { cause: report.stack }));
    if (report.kind === "host-error") this.#desk.break(new RunBroken(`device: ${report.message}`));
    if (report.kind === "peer-fault")
      this.#desk.break(new RunBroken(`${report.role} broke a queue: ${report.message}`));
    if (report.kind === "offered") this.refusals = report.refusals;
    if (lost) this.lost.push(report.role);
    this.#desk.hear(report);
  }

  /** Rejects when neither driver nor a bell gets anywhere for STUCK_MS, naming who holds up the work. */
  async #watched<T>(reply: Promise<T>): Promise<T> {
    let seen = -1;
    let since = performance.now();
    const watch = setInterval(() => {
      const progress = counterBlock(this.arena.counters, COUNTER_BLOCKS.driver)[COUNTERS.requests]!;
      if (progress !== seen) {
        seen = progress;
        since = performance.now();
      } else if (performance.now() - since > STUCK_MS) {
        this.#desk.break(this.#stuck(`no progress for ${STUCK_MS / 1000} s`));
      }
    }, WATCH_MS);
    try {
      return await reply;
    } finally {
      clearInterval(watch);
    }
  }

  #stuck(what: string): Stuck {
    const { config, arena } = this;
    return new Stuck(`${what}: ${whoIsStuck(config, arena)}; ${describeMachine(config, arena)}`);
  }

  #pin(): { pinned: boolean; reason: string | undefined } {
    const { cpus } = this.plan;
    const target = {
      driver: cpus.driver,
      relay: cpus.relay,
      device: cpus.device,
      fused: cpus.device,
      inline: cpus.driver,
    };
    for (const { name, tid } of this.#threads) {
      const cpu = target[name];
      if (tid === null || cpu === undefined) return { pinned: false, reason: "no thread ids on this system" };
      const result = pinThread(tid, cpu);
      if (!result.pinned) return { pinned: false, reason: result.reason };
    }
    return { pinned: true, reason: undefined };
  }

  #threadOf(role: "driver" | "relay" | "device"): Thread {
    const names: Record<typeof role, ThreadName[]> = {
      driver: ["driver", "inline"],
      relay: ["relay", "fused", "inline"],
      device: ["device", "fused", "inline"],
    };
    return this.#threads.find(({ name }) => names[role].includes(name))!;
  }
}

function withWaiting(plan: ThreadPlan, waiting: "notified"): ThreadPlan {
  const change = (policy: WaitPolicy): WaitPolicy => ({ ...policy, waiting });
  return { ...plan, driver: change(plan.driver), relay: change(plan.relay), device: change(plan.device) };
}

async function withDeadline<T>(work: Promise<T>, ms: number, late: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), ms);
  });
  try {
    return await Promise.race([work, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
