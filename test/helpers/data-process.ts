import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DataProcessOptions } from "../../src/daemon/control-messages.js";
import { UnixSocket } from "../../src/sys/unix-socket.js";
import { packageRoot, workerUrl } from "../../src/workers/worker-url.js";
import type { BackEndManners, BackEndPlan } from "./vhost-back-end.js";

/** Longest wait for anything that comes at once when all is well, in milliseconds. */
const PATIENCE_MS = 30_000;

/** An event or an answer of a data process. */
export type Told = Readonly<Record<string, unknown>>;

/** A data process and the control line to it, which is spoken without the event loop. */
export class DataProcess {
  readonly options: DataProcessOptions;
  /** Events that came, oldest first. */
  readonly events: { readonly event: string; readonly data: Told }[] = [];
  readonly #child: ChildProcess;
  readonly #line: UnixSocket;
  readonly #exit: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  readonly #piece = new Uint8Array(65_536);
  #kept = Buffer.alloc(0);
  #id = 0;
  #stderr = "";

  /** With `fdLimit`, the process may have so many descriptors and no more. */
  constructor(options: DataProcessOptions, fdLimit?: number) {
    // Refuses a build older than its sources.
    workerUrl("driver");
    this.options = options;
    const [ours, theirs] = UnixSocket.pair();
    const file = join(packageRoot(), "dist/src/daemon/data/data-process.js");
    const limit = fdLimit === undefined ? ":" : `ulimit -n ${fdLimit}`;
    const command = ["-c", `${limit} && exec "$0" "$@"`, process.execPath, file, JSON.stringify(options)];
    this.#child = spawn("sh", command, {
      stdio: ["ignore", "ignore", "pipe", theirs.fd],
    });
    theirs.close();
    this.#line = ours;
    this.#child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
    });
    this.#exit = new Promise((resolve) => void this.#child.on("close", (code, signal) => resolve({ code, signal })));
    this.waitFor("DEVICE_READY");
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Sends a command; returns what it returns, throws what it refuses with. */
  ask(execute: string, args: Told = {}): Told {
    const id = this.send(execute, args);
    for (;;) {
      const answer = this.#read();
      if (answer["id"] !== id) continue;
      if (answer["return"] !== undefined) return answer["return"] as Told;
      const { class: kind, desc } = answer["error"] as Record<string, string>;
      throw new Error(`${kind}: ${desc}`);
    }
  }

  /** Sends a command and does not wait; returns its id. */
  send(execute: string, args: Told = {}): number {
    this.#id += 1;
    const bytes = Buffer.from(`${JSON.stringify({ execute, arguments: args, id: this.#id })}\n`);
    if (this.#line.send(bytes, [], PATIENCE_MS) !== bytes.length) throw new Error("the data process takes no command");
    return this.#id;
  }

  /** Takes the events up to the next of this name, which it returns; `from` is how many were there before. */
  waitFor(event: string, from = 0): Told {
    for (;;) {
      const found = this.events.slice(from).find((told) => told.event === event);
      if (found !== undefined) return found.data;
      this.#read();
    }
  }

  /** Events of a name so far. */
  heard(event: string): Told[] {
    this.ask("query-status");
    return this.events.filter((told) => told.event === event).map(({ data }) => data);
  }

  /** Asks it to stop; returns how it ended and what it said on stderr. */
  async stop(): Promise<{ code: number | null; signal: string | null; stderr: string }> {
    try {
      this.send("stop");
    } catch {
      // It is gone already.
    }
    return this.ended();
  }

  /** Waits until it has ended, and ends it if it does not. */
  async ended(): Promise<{ code: number | null; signal: string | null; stderr: string }> {
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), PATIENCE_MS);
    const exit = await this.#exit;
    clearTimeout(timer);
    if (this.#line.isOpen) this.#drain();
    this.#line.close();
    return { ...exit, stderr: this.#stderr };
  }

  /** Takes what is left of a process that has ended. */
  #drain(): void {
    try {
      for (;;) this.#read();
    } catch {
      // The end of the line, whole or cut.
    }
  }

  #read(): Told {
    for (;;) {
      const end = this.#kept.indexOf(10);
      if (end >= 0) {
        const told = JSON.parse(this.#kept.subarray(0, end).toString()) as Told;
        this.#kept = this.#kept.subarray(end + 1);
        if (typeof told["event"] !== "string") return told;
        this.events.push({ event: told["event"], data: told["data"] as Told });
        return told;
      }
      const received = this.#line.receive(this.#piece, PATIENCE_MS);
      if (received.kind !== "bytes") throw new Error(`the data process is silent (${received.kind})`);
      this.#kept = Buffer.concat([this.#kept, this.#piece.subarray(0, received.bytes)]);
    }
  }
}

/** A back end of the tests' own, in a process. */
export class BackEndProcess {
  readonly #child: ChildProcess;
  readonly #exit: Promise<void>;
  stderr = "";

  constructor(plan: BackEndPlan) {
    const file = join(packageRoot(), "dist/test/helpers/vhost-back-end.js");
    this.#child = spawn(process.execPath, [file, JSON.stringify(plan)], { stdio: ["pipe", "pipe", "pipe"] });
    this.#child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    this.#exit = new Promise((resolve) => void this.#child.on("close", () => resolve()));
  }

  ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#child.stdout!.once("data", () => resolve());
      this.#child.once("close", (code) => reject(new Error(`the back end ended with ${code}: ${this.stderr}`)));
    });
  }

  async stop(): Promise<void> {
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 5000);
    this.#child.stdin!.end();
    await this.#exit;
    clearTimeout(timer);
  }
}

/** A data process between a socket for front ends and a back end, for the duration of a test. */
export interface Relayed {
  readonly relay: DataProcess;
  /** Where front ends connect. */
  readonly path: string;
  readonly folder: string;
}

/** What is unusual about the two. */
export interface RelayedOptions extends Partial<DataProcessOptions> {
  readonly queues?: number;
  readonly diskBytes?: number;
  readonly sessions?: readonly BackEndManners[];
  /** Descriptors that the data process may have. */
  readonly fdLimit?: number;
}

/** Runs `use` with a data process and a back end; both have ended well, and nothing is left, when it returns. */
export async function withRelayed(options: RelayedOptions, use: (relayed: Relayed) => unknown): Promise<void> {
  const { queues = 1, diskBytes = 1 << 20, sessions = [], fdLimit, ...given } = options;
  const folder = mkdtempSync(join(tmpdir(), "test-data-"));
  const [listen, connect] = [join(folder, "guest.sock"), join(folder, "disk.sock")];
  const back = new BackEndProcess({ path: connect, queues, diskBytes, sessions });
  let relay: DataProcess | undefined;
  try {
    await back.ready();
    const usual = { index: 0, listen, connect, datapath: "svq", maskBackendFeatures: "", graceMs: 5000 } as const;
    relay = new DataProcess({ ...usual, ...given }, fdLimit);
    await use({ relay, path: listen, folder });
    const end = await relay.stop();
    if (end.code !== 0) throw new Error(`the data process ended with ${end.code ?? end.signal}: ${end.stderr}`);
  } catch (error) {
    const end = await relay?.stop();
    throw new Error(`${(error as Error).message}\n${end?.stderr ?? ""}\n${back.stderr}`, { cause: error });
  } finally {
    await back.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
