import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { type ControlEvent, isRecord } from "./control-messages.js";
import type { RoutedDevice } from "./router.js";

/** Milliseconds that a device has to answer a scrape; one that does not is shown as down. */
const ANSWER_MS = 1000;
/** Buckets of the pause of a switch, in seconds: from 100 µs to 10 s. */
const PAUSE_BUCKETS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];
/** Message names that one device may bring: each is a series. */
const MESSAGES_MAX = 256;

/** Counters of a device, by their names in query-stats. */
const DEVICE_COUNTERS = {
  switches: "Changes of the data path",
  faults: "Lies of a peer that were noticed",
  dirty_marks: "Marks made in the front end's dirty log",
  syscalls: "System calls of the data process",
} as const;

/** Counters of a queue, by their names in query-stats. */
const QUEUE_COUNTERS = {
  requests: "Requests handed on to the back end",
  bytes: "Bytes of their buffers",
  kicks: "Kicks of the back end; those of the guest are never counted, nor read",
  calls: "Calls to the guest",
} as const;

type Values = Readonly<Record<string, unknown>>;

/**
 * The metrics of all devices in Prometheus' text format.
 *
 * Counters are those of the data process: they start again at 0 with it, which Prometheus takes for a reset.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #devices: readonly RoutedDevice[];
  readonly #counters = new Map<string, Counter>();
  readonly #gauges = new Map<string, Gauge>();
  readonly #pauses: Histogram;
  #scrape: Promise<string> | undefined;

  constructor(devices: readonly RoutedDevice[]) {
    this.#devices = devices;
    for (const [name, help] of Object.entries(DEVICE_COUNTERS)) this.#counter(name, help);
    for (const [name, help] of Object.entries(QUEUE_COUNTERS)) this.#counter(`queue_${name}`, help, ["queue"]);
    for (const [name, help] of Object.entries(QUEUE_COUNTERS)) this.#counter(name, help);
    this.#counter("messages", "vhost-user messages by name", ["message", "direction"]);
    this.#counter("cpu_seconds", "CPU time of the data process");
    this.#counter("process_restarts", "Times the data process was started after a crash");
    this.#gauge("up", "1 while the data process answers");
    this.#gauge("running", "1 while queues run");
    this.#gauge("datapath", "1 for the data path that the queues take", ["datapath"]);
    this.#gauge("in_flight", "Requests that the back end holds", ["queue"]);
    this.#gauge("resident_bytes", "Resident memory of the data process");
    this.#gauge("open_fds", "Open file descriptors of the data process");
    this.#pauses = new Histogram({
      name: "svq_pause_seconds",
      help: "How long queues stood still while the data path changed",
      labelNames: ["device"],
      buckets: PAUSE_BUCKETS,
      registers: [this.#registry],
    });
  }

  /** The content type of text(). */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Counts the pause of a switch of data paths; other events pass. */
  heard({ event, data }: ControlEvent): void {
    const pauseNs = data["pause_ns"];
    if (event !== "DATAPATH_CHANGED" || !isAmount(pauseNs)) return;
    this.#pauses.observe({ device: String(data["device"]) }, pauseNs / 1e9);
  }

  /** Asks every device and writes what it says; those who ask meanwhile get the same answer. */
  text(): Promise<string> {
    this.#scrape ??= this.#fresh().finally(() => {
      this.#scrape = undefined;
    });
    return this.#scrape;
  }

  async #fresh(): Promise<string> {
    const answers = await Promise.all(this.#devices.map(async (device) => ({ device, ...(await asked(device)) })));
    for (const metric of [...this.#counters.values(), ...this.#gauges.values()]) metric.reset();
    for (const { device, stats, status, queues } of answers) {
      const { listen, restarts } = device.facts();
      this.#count("process_restarts", { device: listen }, restarts);
      this.#set("up", { device: listen }, stats === undefined ? 0 : 1);
      if (stats !== undefined) this.#stats(listen, stats);
      if (status !== undefined) this.#status(listen, status);
      for (const { index, in_flight } of queues)
        this.#set("in_flight", { device: listen, queue: `${index}` }, in_flight);
    }
    return this.#registry.metrics();
  }

  #stats(device: string, stats: Values): void {
    for (const name of [...Object.keys(DEVICE_COUNTERS), ...Object.keys(QUEUE_COUNTERS)]) {
      this.#count(name, { device }, stats[name]);
    }
    for (const queue of records(stats["queues"])) {
      for (const name of Object.keys(QUEUE_COUNTERS)) {
        this.#count(`queue_${name}`, { device, queue: `${queue["index"]}` }, queue[name]);
      }
    }
    const messages = isRecord(stats["messages"]) ? Object.entries(stats["messages"]).slice(0, MESSAGES_MAX) : [];
    for (const [message, counts] of messages) {
      if (!isRecord(counts)) continue;
      this.#count("messages", { device, message, direction: "received" }, counts["received"]);
      this.#count("messages", { device, message, direction: "sent" }, counts["sent"]);
    }
    const cpuNs = stats["cpu_ns"];
    this.#count("cpu_seconds", { device }, isAmount(cpuNs) ? cpuNs / 1e9 : undefined);
    this.#set("resident_bytes", { device }, stats["rss_bytes"]);
    this.#set("open_fds", { device }, stats["fds"]);
  }

  #status(device: string, { state, datapath }: Values): void {
    this.#set("running", { device }, state === "running" ? 1 : 0);
    for (const name of ["svq", "passthrough"])
      this.#set("datapath", { device, datapath: name }, datapath === name ? 1 : 0);
  }

  #counter(name: string, help: string, labels: readonly string[] = []): void {
    const labelNames = ["device", ...labels];
    this.#counters.set(name, new Counter({ name: `svq_${name}_total`, help, labelNames, registers: [this.#registry] }));
  }

  #gauge(name: string, help: string, labels: readonly string[] = []): void {
    const labelNames = ["device", ...labels];
    this.#gauges.set(name, new Gauge({ name: `svq_${name}`, help, labelNames, registers: [this.#registry] }));
  }

  /** A value that is no amount is left out: a data process may say anything. */
  #count(name: string, labels: Record<string, string>, value: unknown): void {
    if (isAmount(value)) this.#counters.get(name)!.inc(labels, value);
  }

  #set(name: string, labels: Record<string, string>, value: unknown): void {
    if (isAmount(value)) this.#gauges.get(name)!.set(labels, value);
  }
}

async function asked(device: RoutedDevice): Promise<{ stats?: Values; status?: Values; queues: Values[] }> {
  const ask = (name: string) => device.request(name, {}, ANSWER_MS).catch(() => undefined);
  const [stats, status, queues] = await Promise.all(["query-stats", "query-status", "query-vq-status"].map(ask));
  return {
    ...(isRecord(stats) ? { stats } : {}),
    ...(isRecord(status) ? { status } : {}),
    queues: isRecord(queues) ? records(queues["queues"]) : [],
  };
}

function records(value: unknown): Values[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

function isAmount(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}
