import { existsSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../../src/workers/worker-url.js";
import type { Evidence } from "./evidence.js";
import { QmpClient } from "./qmp-client.js";
import type { PeerProcess, PeerScope } from "./scope.js";

/** What a relay is started for. */
export interface SvqRelayOptions {
  /** The back end of each device. */
  readonly connect: readonly string[];
  readonly datapath?: "svq" | "passthrough" | "auto";
  /** Names the process and its sockets, where a test has more than one. */
  readonly name?: string;
  /** Features that the back end is not to have, so that it cannot log. */
  readonly mask?: string;
  /** A fault that it carries along. */
  readonly fault?: "drop-marks";
  readonly extra?: readonly string[];
  readonly deadlineMs?: number;
}

/** Masks of a back end that cannot tell what it writes: the one for which a relay is needed. */
export const NO_LOG = "log_all,log_shmfd";

/** What query-stats answers, as far as tests look at it. */
export interface RelayStats {
  readonly requests: number;
  readonly bytes: number;
  readonly switches: number;
  readonly faults: number;
  readonly dirty_marks: number;
  readonly messages: Readonly<Record<string, { readonly received: number; readonly sent: number }>>;
  readonly pauses: readonly { readonly ns: number; readonly why: string }[];
  readonly fds: number;
  readonly queues: readonly { readonly index: number; readonly requests: number }[];
}

/** What query-status answers, as far as tests look at it. */
interface RelayStatus {
  readonly state: string;
  readonly datapath: string;
  readonly connections: number;
  readonly pid: number;
}

/** `svq relay` as a process, asked and told through its control socket. */
export class SvqRelay {
  readonly process: PeerProcess;
  /** Where a front end connects, for each device. */
  readonly sockets: readonly string[];
  readonly controlPath: string;
  readonly control: QmpClient;

  private constructor(process: PeerProcess, sockets: readonly string[], controlPath: string, control: QmpClient) {
    this.process = process;
    this.sockets = sockets;
    this.controlPath = controlPath;
    this.control = control;
  }

  /** Starts the built command and returns when it listens. */
  static async start(scope: PeerScope, options: SvqRelayOptions): Promise<SvqRelay> {
    const { connect, name = "relay", deadlineMs = 300_000 } = options;
    const sockets = connect.map((_, index) => scope.path(`${name}${index}.sock`));
    const controlPath = scope.path(`${name}.ctl`);
    const svq = join(packageRoot(), "dist", "src", "cli", "svq.js");
    const args = ["--enable-source-maps", svq, "relay", ...argumentsOf(options, sockets, controlPath)];
    const started = scope.start(name, process.execPath, args, deadlineMs);
    await started.says(/^listening on /m, 60_000);
    const control = await QmpClient.connect(controlPath);
    scope.onClose(() => control.close());
    return new SvqRelay(started, sockets, controlPath, control);
  }

  /** The socket of the first device. */
  get socket(): string {
    return this.sockets[0]!;
  }

  stats(device = 0): Promise<RelayStats> {
    return this.control.execute("query-stats", { device });
  }

  status(device = 0): Promise<RelayStatus> {
    return this.control.execute("query-status", { device });
  }

  /** Asks for a data path; returns for how long the queues stood still, in nanoseconds. */
  async setDatapath(datapath: "svq" | "passthrough" | "auto", device = 0): Promise<number> {
    return (await this.control.execute<{ pause_ns: number }>("set-datapath", { device, datapath })).pause_ns;
  }

  /** Socket files of its that are there: none, once it has ended in order. */
  leftFiles(): readonly string[] {
    return [...this.sockets, this.controlPath].filter((path) => existsSync(path));
  }
}

/** A relay's counters as evidence has them. */
export function relayEvidence({ requests, bytes, switches }: RelayStats): NonNullable<Evidence["relay"]> {
  return { requests, bytes, switches };
}

function argumentsOf(options: SvqRelayOptions, sockets: readonly string[], controlPath: string): string[] {
  const { connect, datapath = "svq", mask, fault, extra = [] } = options;
  return [
    ...connect.flatMap((path, index) => ["--listen", sockets[index]!, "--connect", path]),
    ...["--datapath", datapath, "--control", controlPath],
    ...(mask === undefined ? [] : ["--mask-backend-features", mask]),
    ...(fault === undefined ? [] : ["--fault", fault]),
    ...extra,
  ];
}
