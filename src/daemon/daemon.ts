import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import { RunBroken } from "../report/exit-codes.js";
import { parseFeatureMask } from "../vhost-user/features.js";
import { packageRoot } from "../workers/worker-url.js";
import { type ControlEvent, type DataProcessOptions, type DeviceLogLine, logFields } from "./control-messages.js";
import { ControlSocket } from "./control-socket.js";
import { processesOf, type StartDevice, workersOf } from "./device-process.js";
import { Metrics } from "./metrics.js";
import { type MetricsAddress, MetricsServer } from "./metrics-server.js";
import { notifyManager } from "./notify.js";
import { Router } from "./router.js";
import { abandon, type RunningParts, shutDown } from "./shutdown.js";
import { Supervisor } from "./supervisor.js";
import { REAL_TIMERS } from "./timers.js";

/** What a daemon is started with. */
export interface DaemonOptions {
  readonly devices: readonly DataProcessOptions[];
  readonly version: string;
  readonly log: Logger;
  readonly control?: string | undefined;
  readonly metrics?: MetricsAddress | undefined;
  /** The built data process; dist/src/daemon/data/data-process.js unless given. */
  readonly dataProcess?: string | undefined;
  /** Whether each device has a process of its own; a worker of this process otherwise. */
  readonly isolate: boolean;
}

/** The relay as a daemon: data processes under supervision, a control socket, metrics. */
export class Daemon {
  /** Fires when a client asked the daemon to quit. */
  readonly quitAsked: Promise<void>;
  readonly #options: DaemonOptions;
  #parts: RunningParts;
  #metrics: Metrics;
  #quit: () => void = () => {};

  private constructor(options: DaemonOptions, startDevice: StartDevice) {
    this.#options = options;
    this.quitAsked = new Promise((resolve) => {
      this.#quit = resolve;
    });
    const event = (happened: ControlEvent) => this.#happened(happened);
    const heard = { event, log: (device: DataProcessOptions, line: DeviceLogLine) => this.#logged(device, line) };
    const supervisor = new Supervisor(options.devices, startDevice, heard, REAL_TIMERS);
    this.#metrics = new Metrics(supervisor.devices);
    this.#parts = { supervisor, control: undefined, metrics: undefined };
  }

  /**
   * Starts everything; resolves when every device listens.
   *
   * Throws UsageError or ConfigError for what cannot be used, RunBroken for a data process that died, or when `signal`
   * came first; nothing is left behind.
   */
  static async start(options: DaemonOptions, signal?: AbortSignal): Promise<Daemon> {
    for (const { maskBackendFeatures } of options.devices) parseFeatureMask(maskBackendFeatures);
    const daemon = new Daemon(options, await startOf(options));
    if (signal?.aborted === true) throw new RunBroken("stopped before it started");
    // Whatever ends this process, a second signal or a mistake of ours: what it made goes with it.
    process.once("exit", daemon.abandon);
    const interrupt = () => void daemon.#parts.supervisor.stop();
    signal?.addEventListener("abort", interrupt, { once: true });
    try {
      await daemon.#start();
    } catch (error) {
      await daemon.#closeSockets();
      process.off("exit", daemon.abandon);
      throw error;
    } finally {
      signal?.removeEventListener("abort", interrupt);
    }
    return daemon;
  }

  /** Where metrics are served, if they are. */
  get metricsUrl(): string | undefined {
    return this.#parts.metrics?.url;
  }

  /** Ends the daemon; false when a device had to be killed. */
  async stop(): Promise<boolean> {
    await this.#notify("STOPPING=1");
    const clean = await shutDown(this.#parts, this.#options.log);
    process.off("exit", this.abandon);
    return clean;
  }

  /** Kills the data processes and removes the socket files, at once. */
  readonly abandon = (): void => abandon(this.#parts);

  async #start(): Promise<void> {
    const { control, metrics, version, log } = this.#options;
    const { supervisor } = this.#parts;
    if (control !== undefined) {
      const router = new Router(supervisor.devices, () => this.#quit());
      this.#parts = { ...this.#parts, control: await ControlSocket.listen(control, router, version, log) };
    }
    if (metrics !== undefined) {
      this.#parts = { ...this.#parts, metrics: await MetricsServer.listen(this.#metrics, metrics) };
    }
    await supervisor.start();
    await this.#notify("READY=1");
  }

  async #closeSockets(): Promise<void> {
    await Promise.all([this.#parts.control?.close(), this.#parts.metrics?.close()]);
  }

  #happened(event: ControlEvent): void {
    this.#metrics.heard(event);
    this.#parts.control?.tell(event);
    const { device } = event.data;
    this.#options.log.info({ device, event: event.event, ...logFields(event.data) }, event.event);
  }

  #logged({ listen }: DataProcessOptions, { level, msg, fields }: DeviceLogLine): void {
    this.#options.log[level]({ ...fields, device: listen }, msg);
  }

  async #notify(state: string): Promise<void> {
    const trouble = await notifyManager(state);
    if (trouble !== undefined) this.#options.log.warn(trouble);
  }
}

async function startOf({ dataProcess, isolate }: DaemonOptions): Promise<StartDevice> {
  const file = dataProcess ?? join(packageRoot(), "dist", "src", "daemon", "data", "data-process.js");
  if (!existsSync(file)) throw new RunBroken(`${file} is missing; run "npm run build"`);
  if (isolate) return processesOf(file);
  const { UnixSocket } = await import("../sys/unix-socket.js");
  return workersOf(file, () => {
    const [ours, theirs] = UnixSocket.pair();
    return [ours.take().take(), theirs.take().take()];
  });
}
