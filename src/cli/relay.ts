import { resolve } from "node:path";
import { Command, Option } from "commander";
import type { DataProcessOptions } from "../daemon/control-messages.js";
import type { Daemon, DaemonOptions } from "../daemon/daemon.js";
import { EXIT, UsageError } from "../report/exit-codes.js";
import { writeText } from "../report/json.js";
import { LOG_LEVELS, openLog } from "../report/logging.js";
import { parseDurationNs } from "../report/units.js";
import { noOperands } from "./options.js";
import { Interruptible } from "./signals.js";
import { VERSION } from "./version.js";

const EXAMPLES = `
Examples:
  svq relay --listen /run/guest.sock --connect /run/disk.sock                     a shadow virtqueue
  svq relay --listen /run/guest.sock --connect /run/disk.sock --datapath passthrough
                                                   out of the data path, switchable live
  svq relay --listen /run/guest.sock --connect /run/disk.sock --control /run/svq.sock --metrics 127.0.0.1:9464
  svq relay --listen /run/a.sock --connect /run/a-disk.sock --listen /run/b.sock --connect /run/b-disk.sock
                                                   two devices: the first --listen goes with the first --connect
`;

interface RelayOptions {
  readonly listen: readonly string[];
  readonly connect: readonly string[];
  readonly datapath: DataProcessOptions["datapath"];
  readonly control?: string;
  readonly metrics?: string;
  readonly isolate: boolean;
  readonly iovaPolicy: "tree" | "gpa";
  readonly shadowQueueSize: number;
  readonly fault?: "drop-marks";
  readonly maskBackendFeatures: string;
  readonly grace: number;
  readonly logLevel: string;
  readonly dataProcess?: string;
}

/** svq relay: the daemon between a virtual machine and its vhost-user device. */
export function relayCommand(): Command {
  const command = new Command("relay")
    .description("Relay between a vhost-user front end (QEMU) and a back end, with a shadow virtqueue in between.")
    .option("--listen <path>", "socket for the front end; once for every device", oneMore, [])
    .option("--connect <path>", "socket of the back end; as often as --listen", oneMore, [])
    .addOption(
      new Option("--datapath <path>", "auto: svq only while the front end logs")
        .choices(["svq", "passthrough", "auto"])
        .default("svq"),
    )
    .option("--control <path>", "control socket, for svq console and programs")
    .option("--metrics <host:port>", "serve Prometheus metrics on this address only")
    .option("--isolate", "a process for every device", true)
    .option("--no-isolate", "a thread for every device: a fault costs all of them")
    .addOption(
      new Option("--iova-policy <policy>", "addresses of guest memory for the back end: allocated, or the guest's own")
        .choices(["tree", "gpa"])
        .default("tree"),
    )
    .option("--shadow-queue-size <entries>", "of a shadow ring, unless the guest's is larger", queueSize, 1024)
    .option(
      "--mask-backend-features <names>",
      "features taken from the back end's offer, such as log_all,log_shmfd",
      "",
    )
    .option("--grace <duration>", "how long a clean stop may take", parseDurationNs, 5e9)
    .addOption(new Option("--log-level <level>", "what is logged on stderr").choices(LOG_LEVELS).default("info"))
    .addOption(new Option("--fault <fault>", "carry a fault along, for tests").choices(["drop-marks"]).hideHelp())
    .addOption(new Option("--data-process <file>", "another program as data process").hideHelp())
    .addHelpText("after", EXAMPLES);
  return command.action(async () => {
    noOperands(command);
    process.exitCode = await relay(command.opts<RelayOptions>());
  });
}

async function relay(options: RelayOptions): Promise<number> {
  const interruptible = new Interruptible();
  try {
    const asked = await daemonOptions(options);
    const { Daemon } = await import("../daemon/daemon.js");
    const daemon = await startedUnless(interruptible, () => Daemon.start(asked, interruptible.signal));
    if (daemon === undefined) return EXIT.done;
    await writeText(`${readyLine(options, daemon)}\n`);
    await Promise.race([daemon.quitAsked, aborted(interruptible.signal)]);
    return (await daemon.stop()) ? EXIT.done : EXIT.broken;
  } finally {
    interruptible.dispose();
  }
}

/** A start that a signal ends is no failure: nothing was there to lose. */
async function startedUnless(interruptible: Interruptible, start: () => Promise<Daemon>): Promise<Daemon | undefined> {
  try {
    return await start();
  } catch (error) {
    if (interruptible.signal.aborted) return undefined;
    throw error;
  }
}

/** Checks the options against each other; throws UsageError. */
async function daemonOptions(options: RelayOptions): Promise<DaemonOptions> {
  const { parseMetricsAddress } = await import("../daemon/metrics-server.js");
  await checkPaths(options);
  if (options.grace < 1e6) throw new UsageError("--grace: at least 1ms");
  const devices = options.listen.map((listen, index) => ({
    index,
    listen,
    connect: options.connect[index]!,
    datapath: options.datapath,
    maskBackendFeatures: options.maskBackendFeatures,
    graceMs: Math.round(options.grace / 1e6),
    iovaPolicy: options.iovaPolicy,
    shadowQueueSize: options.shadowQueueSize,
    fault: options.fault,
  }));
  return {
    devices,
    version: VERSION,
    log: openLog({ level: options.logLevel }),
    control: options.control,
    metrics: options.metrics === undefined ? undefined : parseMetricsAddress(options.metrics),
    dataProcess: options.dataProcess,
    isolate: options.isolate,
  };
}

async function checkPaths({ listen, connect, control }: RelayOptions): Promise<void> {
  const { checkSocketPath } = await import("../daemon/socket-file.js");
  if (listen.length === 0) throw new UsageError("--listen is missing: the socket for the front end");
  if (listen.length !== connect.length) {
    throw new UsageError(`${listen.length} --listen and ${connect.length} --connect: each device has one of both`);
  }
  for (const path of listen) checkSocketPath("--listen", path);
  for (const path of connect) checkSocketPath("--connect", path);
  if (control !== undefined) checkSocketPath("--control", control);
  const ours = [...listen, ...(control === undefined ? [] : [control])].map((path) => resolve(path));
  const twice = ours.find((path, i) => ours.indexOf(path) !== i);
  if (twice !== undefined) throw new UsageError(`${twice} is given twice: every socket has a path of its own`);
  const loop = connect.find((path) => ours.includes(resolve(path)));
  if (loop !== undefined) throw new UsageError(`--connect: ${loop} is a socket of this relay itself`);
}

function readyLine({ listen, datapath, control }: RelayOptions, { metricsUrl }: Daemon): string {
  const where = listen.map((path) => `${path} (${datapath})`).join(", ");
  const rest = [
    ...(control === undefined ? [] : [`control ${control}`]),
    ...(metricsUrl === undefined ? [] : [`metrics ${metricsUrl}`]),
  ];
  return [`listening on ${where}`, ...rest].join(", ");
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

function oneMore(path: string, before: readonly string[]): string[] {
  return [...before, path];
}

function queueSize(text: string): number {
  const entries = Number(text);
  const fits = Number.isInteger(entries) && entries >= 1 && entries <= 32_768 && (entries & (entries - 1)) === 0;
  if (!fits) throw new UsageError(`--shadow-queue-size: ${text} is no power of two from 1 to 32768`);
  return entries;
}
