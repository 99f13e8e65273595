import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { RealMode, RealSeries, RealWindow, RelayFacts } from "../../lab/real-result.js";
import { UsageError } from "../../report/exit-codes.js";
import { Daemon } from "../daemon.js";
import { QmpClient } from "../qmp-client.js";
import { BLOCK_BYTES, CheckedReads, diskBytes } from "./checked-reads.js";
import { StorageDaemon } from "./storage-daemon.js";

/** How a measurement of the real relay is made. */
export interface RealBenchOptions {
  /** The program qemu-storage-daemon. */
  readonly program: string;
  /** Whether it answers by itself, with zeros, instead of reading an image. */
  readonly nullNode: boolean;
  /** Where the image goes: a folder in memory, so that no disk is part of the figures. */
  readonly imageFolder: string;
  /** Whether VIRTIO_RING_F_EVENT_IDX is agreed on, as Linux guests do. */
  readonly eventIdx: boolean;
  readonly rounds: number;
  readonly depths: readonly DepthPlan[];
  /** A window ends after so long, whatever it has done. */
  readonly windowMsMax: number;
  /** Nothing is done for so long, to see what an idle relay takes. */
  readonly idleMs: number;
  readonly seed: number;
  readonly version: string;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Told how far it is, from 0 to 1, and what runs. */
  readonly progress: (done: number, what: string) => void;
}

/** Requests in flight, and requests of one timed window. */
export interface DepthPlan {
  readonly depth: number;
  readonly windowRequests: number;
}

/** What query-stats says, as far as it is looked at here. */
interface Stats {
  readonly requests: number;
  readonly switches: number;
  readonly syscalls: number;
  readonly cpu_ns: number;
  readonly rss_bytes: number;
  readonly fds: number;
}

/** A way to the back end: which export, and which of the daemon's devices is in between. */
interface Way {
  readonly name: RealMode;
  readonly path: string;
  readonly device: number | undefined;
}

const IMAGE_BLOCKS = 4096;
/** A part of a window, so that buffers, rings and code are warm. */
const WARM_UP_SHARE = 0.5;

/**
 * What the real relay costs: the same reads directly and through three relays, in turn, window by window.
 *
 * The relays are what users run, a daemon with a data process each. All that is made is gone when run() is over.
 */
export class RealBench {
  /** What has been measured so far; also there when run() ended early. */
  readonly series: RealSeries[] = [];
  /** The node that is read, as the storage daemon has it. */
  node = "";
  readonly #options: RealBenchOptions;
  readonly #disk: Uint8Array;

  constructor(options: RealBenchOptions) {
    this.#options = options;
    this.#disk = diskBytes({ blocks: IMAGE_BLOCKS, numbered: !options.nullNode });
  }

  /** Measures, or as much as there is time for until the signal; throws UsageError, RunBroken, BackEndLost. */
  async run(): Promise<void> {
    const { imageFolder } = this.#options;
    const folder = temporary(tmpdir());
    let images = "";
    const remove = () => {
      for (const path of [folder, images]) if (path !== "") rmSync(path, { recursive: true, force: true });
    };
    process.once("exit", remove);
    try {
      images = temporary(imageFolder);
      await this.#withPeers(folder, join(images, "disk.img"));
    } finally {
      remove();
      process.off("exit", remove);
    }
  }

  async #withPeers(folder: string, image: string): Promise<void> {
    const { program, nullNode, signal, version, log } = this.#options;
    if (!nullNode) writeFileSync(image, this.#disk);
    const source = { image: nullNode ? undefined : image, imageBytes: this.#disk.byteLength };
    const storage = await StorageDaemon.start({ program, folder, exports: 4, ...source }, signal);
    this.node = storage.node;
    try {
      const ways = waysOf(storage.sockets, folder);
      const devices = ways.flatMap(({ name, path, device: index }, i) => {
        if (index === undefined) return [];
        const datapath = name === "shadow" ? ("svq" as const) : ("passthrough" as const);
        const connect = storage.sockets[i]!;
        return [{ index, listen: path, connect, datapath, maskBackendFeatures: "", graceMs: 5_000 }];
      });
      const control = join(folder, "control.sock");
      const daemon = await Daemon.start({ devices, version, log, control, isolate: true }, signal);
      try {
        await this.#withClient(await QmpClient.connect(control, { event() {}, gone() {} }), ways);
      } finally {
        await daemon.stop();
      }
    } finally {
      await storage.stop();
    }
  }

  async #withClient(client: QmpClient, ways: readonly Way[]): Promise<void> {
    const { depths, signal } = this.#options;
    try {
      for (const [index, plan] of depths.entries()) {
        if (!signal.aborted) await this.#atDepth(client, ways, plan, index);
      }
    } finally {
      client.close();
    }
  }

  /** All windows of a depth, one of each mode in turn; the first mode of a round is another one each time. */
  async #atDepth(client: QmpClient, ways: readonly Way[], plan: DepthPlan, index: number): Promise<void> {
    const { rounds, windowMsMax, seed, eventIdx, signal, progress, depths } = this.#options;
    const reads = { depth: plan.depth, eventIdx, disk: this.#disk, seed };
    const fronts: CheckedReads[] = [];
    const windows = ways.map((): RealWindow[] => []);
    try {
      for (const { path } of ways) fronts.push(new CheckedReads(path, reads));
      const before = await Promise.all(ways.map((way) => statsOf(client, way)));
      const warmUp = Math.ceil(plan.windowRequests * WARM_UP_SHARE);
      for (const front of fronts) await front.run(warmUp, windowMsMax, signal);
      for (let round = 0; round < rounds && !signal.aborted; round++) {
        progress((index + round / rounds) / depths.length, `depth ${plan.depth}`);
        const taken = await this.#round(client, ways, fronts, plan, round);
        // A round counts as a whole, so that all modes have the same windows.
        if (!signal.aborted) for (const [i, window] of taken.entries()) windows[i]!.push(window!);
      }
      const facts = await this.#facts(client, ways, before);
      for (const [i, { name }] of ways.entries()) {
        this.series.push({
          name,
          depth: plan.depth,
          windows: windows[i]!,
          wrong: fronts[i]!.wrong,
          relay: facts[i]!,
        });
      }
    } finally {
      for (const front of fronts) front.close();
    }
  }

  async #round(
    client: QmpClient,
    ways: readonly Way[],
    fronts: readonly CheckedReads[],
    { windowRequests }: DepthPlan,
    round: number,
  ): Promise<(RealWindow | undefined)[]> {
    const { windowMsMax, signal } = this.#options;
    const taken: (RealWindow | undefined)[] = ways.map(() => undefined);
    for (let turn = 0; turn < ways.length; turn++) {
      const i = (round + turn) % ways.length;
      const before = await statsOf(client, ways[i]!);
      const { requests, nsPerRequest } = await fronts[i]!.run(windowRequests, windowMsMax, signal);
      const after = await statsOf(client, ways[i]!);
      taken[i] = { ns_per_request: nsPerRequest, requests, relay: differenceOf(before, after) };
    }
    return taken;
  }

  /** What the data processes are like with nothing to do, and what went through them since `before`. */
  async #facts(
    client: QmpClient,
    ways: readonly Way[],
    before: readonly (Stats | undefined)[],
  ): Promise<(RelayFacts | null)[]> {
    const { idleMs, signal } = this.#options;
    const start = await Promise.all(ways.map((way) => statsOf(client, way)));
    const startMs = performance.now();
    // Ends early without an error: then nothing is said of idle time.
    await sleep(idleMs, undefined, { signal }).catch(() => {});
    const end = await Promise.all(ways.map((way) => statsOf(client, way)));
    const ns = (performance.now() - startMs) * 1e6;
    return end.map((stats, i) => {
      if (stats === undefined) return null;
      const { requests, switches, fds, rss_bytes } = stats;
      return {
        requests: requests - before[i]!.requests,
        switches,
        fds,
        rss_bytes,
        idle_cpu_share: signal.aborted ? null : (stats.cpu_ns - start[i]!.cpu_ns) / ns,
      };
    });
  }
}

/** Facts of the workload that a result names beside its figures. */
export const REAL_WORKLOAD = { request_bytes: BLOCK_BYTES, image_bytes: IMAGE_BLOCKS * BLOCK_BYTES } as const;

function waysOf(disks: readonly string[], folder: string): Way[] {
  const names = ["direct", "passthrough", "passthrough-2", "shadow"] as const;
  return names.map((name, i) =>
    name === "direct"
      ? { name, path: disks[i]!, device: undefined }
      : { name, path: join(folder, `${name}.sock`), device: i - 1 },
  );
}

async function statsOf(client: QmpClient, { device }: Way): Promise<Stats | undefined> {
  return device === undefined ? undefined : ((await client.execute("query-stats", { device })) as Stats);
}

function differenceOf(before: Stats | undefined, after: Stats | undefined): RealWindow["relay"] {
  if (before === undefined || after === undefined) return null;
  return {
    cpu_ns: after.cpu_ns - before.cpu_ns,
    syscalls: after.syscalls - before.syscalls,
    requests: after.requests - before.requests,
  };
}

function temporary(parent: string): string {
  try {
    return mkdtempSync(join(parent, "svq-real-"));
  } catch (error) {
    throw new UsageError(`${parent}: ${(error as NodeJS.ErrnoException).code}`, { cause: error });
  }
}
