import { setImmediate as nextTurn } from "node:timers/promises";
import { SocketPathError } from "../../sys/socket-address.js";
import type { UnixSocket } from "../../sys/unix-socket.js";
import { DATAPATHS } from "../control-messages.js";
import { BackEndLost } from "./back-end.js";
import { Connection } from "./connection.js";
import type { Command, ControlLine } from "./control-line.js";
import { Courtesy } from "./courtesy.js";
import type { DataOptions } from "./data-options.js";
import type { Datapath } from "./device-events.js";
import {
  addTotals,
  featureReport,
  iovaMappings,
  lossesOf,
  noTotals,
  processReport,
  queueStats,
  queueStatus,
} from "./device-report.js";
import { FdLoop } from "./fd-loop.js";
import { FrontEndGone } from "./front-end.js";
import { FrontListener } from "./front-listener.js";
import { Patience } from "./patience.js";
import { isPeerTrouble } from "./trouble.js";

/** Turns of the queues between two looks at the sockets, while there is work. */
const STEPS_A_TURN = 64;
/** Between two attempts to tell a main process that does not read. */
const UNREAD_MS = 100;
/** What poll takes: a wait that something ends. */
const FOREVER_MS = 0x7fff_ffff;

/**
 * What one data process does: listens, serves one front end at a time, moves its queues, and sleeps in one place.
 *
 * Whatever a peer does costs at most the connection: the process listens on.
 */
export class DataLoop {
  readonly #options: DataOptions;
  readonly #line: ControlLine;
  readonly #loop = new FdLoop();
  readonly #listener: FrontListener;
  readonly #patience: Patience;
  readonly #courtesy = new Courtesy();
  readonly #messages = new Map<string, { received: number; sent: number }>();
  #connection: Connection | undefined;
  #connections = 0;
  #ended = false;
  /** Whether memory may have been let go of since the engine could clean up behind it. */
  #untidy = false;
  #totals = noTotals();
  #switches = 0;
  #faults = 0;
  readonly #startedMs = performance.now();

  /** Listens; throws SocketPathError and NativeError. */
  constructor(options: DataOptions, line: ControlLine) {
    this.#options = options;
    this.#line = line;
    const { backendTimeoutMs: timeoutMs, graceMs } = options;
    this.#patience = new Patience({ timeoutMs, graceMs, stopAsked: () => line.stopAsked() });
    this.#listener = new FrontListener(options.listen, (why) => line.event("PEER_REFUSED", { why }));
    this.#loop.watch(this.#listener.fd, () => this.#accept());
    this.#loop.watch(line.fd, () => this.#readCommands());
    line.event("DEVICE_READY", { listen: options.listen });
  }

  /**
   * Runs until it is told to stop, or the main process is gone; returns how many chains the last guest lost by that.
   *
   * It hardly ever returns to Node's event loop, where Node frees what it keeps for each view of memory that is gone:
   * it does so when messages have come, which alone make and drop views.
   */
  async run(): Promise<number> {
    try {
      while (!this.#ended) {
        this.#turn();
        if (this.#line.hasCommands) this.#readCommands();
        if (this.#untidy) await nextTurn();
        this.#untidy = false;
      }
      return this.#disconnect("the relay stops");
    } finally {
      this.#disconnect("the relay stops");
      this.#listener.close();
      this.#line.close();
      this.#loop.close();
    }
  }

  #turn(): void {
    let worked = false;
    try {
      for (let step = 0; step < STEPS_A_TURN; step++) {
        const moved = this.#connection?.device.step() === true;
        this.#courtesy.looked(moved);
        if (moved) {
          worked = true;
          continue;
        }
        if (worked && this.#courtesy.giveWay()) {
          worked = false;
          continue;
        }
        // Nothing moved: whoever sleeps now has asked all peers to ring, and looked once more.
        const safe = this.#connection?.device.arm() ?? true;
        const awake = this.#line.flush() ? FOREVER_MS : UNREAD_MS;
        this.#loop.turn(safe && !this.#line.hasCommands ? awake : 0);
        return;
      }
      this.#loop.turn(0);
    } catch (error) {
      this.#endOver(error);
    }
  }

  #accept(): void {
    const socket = this.#listener.accept();
    if (socket === undefined) return;
    // A front end that comes again has left before: its leaving may not have been read yet.
    if (this.#connection !== undefined) this.#readLeaving();
    if (this.#connection !== undefined) {
      socket.close();
      this.#line.event("PEER_REFUSED", { why: "another front end is connected" });
      return;
    }
    this.#connect(socket);
  }

  #readLeaving(): void {
    try {
      this.#connection?.front.read();
    } catch (error) {
      this.#endOver(error);
    }
  }

  #connect(socket: UnixSocket): void {
    const number = ++this.#connections;
    const onMessage = (name: string, way: "received" | "sent") => this.#count(name, way);
    const ground = { loop: this.#loop, options: this.#options, patience: this.#patience, events: this.#events(number) };
    try {
      this.#connection = Connection.open(socket, { number, onMessage, ...ground });
      this.#line.event("CONNECTED", { connection: number });
    } catch (error) {
      if (!isPeerTrouble(error) && !(error instanceof BackEndLost) && !(error instanceof SocketPathError)) throw error;
      this.#line.event("BACKEND_LOST", { connection: number, why: messageOf(error) });
    }
  }

  #events(connection: number) {
    return {
      pathChanged: (from: string, to: string, why: string, pauseNs: number) => {
        this.#line.event("DATAPATH_CHANGED", { connection, from, to, why, pause_ns: pauseNs });
      },
      logging: (on: boolean) => this.#line.event(on ? "LOGGING_STARTED" : "LOGGING_STOPPED", { connection }),
      queueBroken: (queue: number, reason: string) => this.#line.event("QUEUE_BROKEN", { connection, queue, reason }),
    };
  }

  /** Ends the connection over what a peer did; anything else is a mistake of ours, and ends the process. */
  #endOver(error: unknown): void {
    if (error instanceof BackEndLost) {
      this.#line.event("BACKEND_LOST", { connection: this.#connection?.number, why: error.message });
    } else if (!(error instanceof FrontEndGone) && !isPeerTrouble(error)) {
      throw error;
    }
    this.#disconnect(messageOf(error), !(error instanceof BackEndLost));
  }

  /** Ends the connection, if there is one; returns how many chains its guest lost for good. */
  #disconnect(why: string, hasBackEnd = true): number {
    if (this.#connection === undefined) return 0;
    const connection = this.#connection;
    const { number, device } = connection;
    this.#connection = undefined;
    const lost = connection.stop(hasBackEnd);
    if (lost !== undefined) this.#line.event("BACKEND_LOST", { connection: number, why: lost.message });
    this.#totals = addTotals(this.#totals, device.queues);
    this.#switches += device.switches;
    this.#faults += device.faults;
    connection.close();
    const losses = lossesOf(device.queues);
    for (const { queue, reason } of losses) this.#line.event("QUEUE_BROKEN", { connection: number, queue, reason });
    this.#line.event("DISCONNECTED", { connection: number, why });
    return losses.reduce((sum, { count }) => sum + count, 0);
  }

  #count(name: string, way: "received" | "sent"): void {
    this.#untidy = true;
    const counts = this.#messages.get(name) ?? { received: 0, sent: 0 };
    counts[way] += 1;
    this.#messages.set(name, counts);
  }

  #readCommands(): void {
    const commands = this.#line.read();
    if (commands === undefined) this.#ended = true;
    let lost: unknown;
    for (const command of commands ?? []) lost = this.#answer(command) ?? lost;
    if (lost !== undefined) this.#endOver(lost);
  }

  /** Answers a command, whatever becomes of it; returns the error over which the connection then has to end. */
  #answer({ execute, arguments: given, id }: Command): BackEndLost | undefined {
    const answer = Object.hasOwn(this.#answers, execute) ? this.#answers[execute] : undefined;
    if (answer === undefined) {
      this.#line.refuse(id, `there is no command ${execute}`, "CommandNotFound");
      return undefined;
    }
    try {
      this.#line.answer(id, answer(given));
    } catch (error) {
      const lost = error instanceof BackEndLost;
      if (!lost && !isPeerTrouble(error) && !(error instanceof CommandError)) throw error;
      this.#line.refuse(id, messageOf(error), error instanceof CommandError ? error.kind : "GenericError");
      if (lost) return error;
    }
    return undefined;
  }

  readonly #answers: Readonly<Record<string, (given: Readonly<Record<string, unknown>>) => object>> = {
    "query-status": () => this.#status(),
    "query-vq-status": () => ({ queues: this.#inUse().map((queue) => queueStatus(queue, this.#connection!.device)) }),
    "query-iova-tree": () => ({ mappings: iovaMappings(this.#connection?.device) }),
    "query-features": () => featureReport(this.#connected().device),
    "query-stats": () => this.#stats(),
    "set-datapath": (given) => this.#setDatapath(given["datapath"]),
    stop: () => {
      this.#ended = true;
      return {};
    },
  };

  #setDatapath(wanted: unknown): object {
    if (!DATAPATHS.includes(wanted as Datapath)) {
      throw new CommandError("GenericError", `"datapath" is one of ${DATAPATHS.join(", ")}`);
    }
    const { device } = this.#connected();
    const pause = device.setPath(wanted as Datapath, "by command");
    return { datapath: device.path, pause_ns: pause };
  }

  #status(): object {
    const device = this.#connection?.device;
    const running = device?.queues.some(({ live }) => live) ?? false;
    return {
      listen: this.#options.listen,
      connect: this.#options.connect,
      state: device === undefined ? "listening" : running ? "running" : "connected",
      datapath: device?.path ?? this.#options.datapath,
      logging: device?.logging ?? false,
      connections: this.#connections,
      pid: process.pid,
      uptime_seconds: Math.round(performance.now() - this.#startedMs) / 1000,
    };
  }

  #stats(): object {
    const device = this.#connection?.device;
    const totals = addTotals(this.#totals, device?.queues ?? []);
    return {
      ...totals,
      switches: this.#switches + (device?.switches ?? 0),
      faults: this.#faults + (device?.faults ?? 0),
      syscalls: this.#loop.waits + this.#courtesy.count + totals.kicks + totals.calls,
      messages: Object.fromEntries(this.#messages),
      pauses: device?.pauses ?? [],
      ...processReport(),
      queues: this.#inUse().map(queueStats),
    };
  }

  #inUse() {
    return this.#connection?.device.queues.filter(({ session }) => session.num > 0) ?? [];
  }

  #connected(): Connection {
    if (this.#connection === undefined) throw new CommandError("DeviceNotActive", "no front end is connected");
    return this.#connection;
  }
}

/** A command that cannot be carried out now, or makes no sense. */
class CommandError extends Error {
  readonly kind: "GenericError" | "DeviceNotActive";

  constructor(kind: CommandError["kind"], desc: string) {
    super(desc);
    this.kind = kind;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
