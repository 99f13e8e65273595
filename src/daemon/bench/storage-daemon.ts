import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { RunBroken } from "../../report/exit-codes.js";

/** Milliseconds that the storage daemon has to export, and to end. */
const START_MS = 30_000;
const END_MS = 5_000;
const LOOK_EVERY_MS = 10;
const STDERR_BYTES_MAX = 4096;

/** What a storage daemon is to export. */
export interface StorageOptions {
  /** The built program. */
  readonly program: string;
  /** Folder for sockets and its pid file. */
  readonly folder: string;
  /** The image to serve; undefined for a node that answers by itself, with zeros (null-co). */
  readonly image: string | undefined;
  readonly imageBytes: number;
  /** Exports of the one node, each for one front end. */
  readonly exports: number;
}

/** A qemu-storage-daemon that exports one node several times over vhost-user-blk. */
export class StorageDaemon {
  readonly sockets: readonly string[];
  /** The node, as the result names it. */
  readonly node: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, sockets: readonly string[], node: string) {
    this.#child = child;
    this.sockets = sockets;
    this.node = node;
  }

  /** Starts it with the fastest way to read that works here; throws RunBroken when none does, or `signal` fires. */
  static async start(options: StorageOptions, signal: AbortSignal): Promise<StorageDaemon> {
    const nodes = nodesOf(options);
    for (const [index, { name, blockdev }] of nodes.entries()) {
      try {
        return await started(options, blockdev, name, signal, (...parts) => new StorageDaemon(...parts));
      } catch (error) {
        if (index === nodes.length - 1 || signal.aborted) throw error;
      }
    }
    throw new RunBroken("there is nothing to export");
  }

  /** Ends it and waits until it is gone. */
  async stop(): Promise<void> {
    await ended(this.#child);
  }

  /** Ends it at once, from the end of this process. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

function nodesOf({ image, imageBytes }: StorageOptions): { name: string; blockdev: string }[] {
  if (image === undefined) {
    return [{ name: "null-co", blockdev: `driver=null-co,node-name=disk,size=${imageBytes},read-zeroes=on` }];
  }
  const file = (aio: string) => `driver=file,node-name=disk,filename=${image.replaceAll(",", ",,")},aio=${aio}`;
  // io_uring reads on the daemon's own thread; a pool of threads costs a wake-up for each request.
  return ["io_uring", "threads"].map((aio) => ({ name: `file, aio=${aio}`, blockdev: file(aio) }));
}

async function started<T>(
  { program, folder, exports }: StorageOptions,
  blockdev: string,
  node: string,
  signal: AbortSignal,
  make: (child: ChildProcess, sockets: readonly string[], node: string) => T,
): Promise<T> {
  const sockets = Array.from({ length: exports }, (_, i) => join(folder, `disk-${i}.sock`));
  // Written after the exports are there.
  const pidFile = join(folder, "storage.pid");
  const words = sockets.flatMap((path, i) => [
    "--export",
    `type=vhost-user-blk,id=e${i},node-name=disk,addr.type=unix,addr.path=${path},writable=off,num-queues=1`,
  ]);
  const child = spawn(program, ["--blockdev", blockdev, ...words, "--pidfile", pidFile], {
    stdio: ["ignore", "ignore", "pipe"],
    // Ctrl-C on a terminal goes to a whole group: this one is ended after those that read from it.
    detached: true,
  });
  let said = "";
  let failed: Error | undefined;
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-STDERR_BYTES_MAX);
  });
  child.on("error", (error) => {
    failed = error;
  });
  const atExit = () => void child.kill("SIGKILL");
  process.once("exit", atExit);
  child.once("close", () => process.off("exit", atExit));
  for (let waited = 0; !(existsSync(pidFile) && readFileSync(pidFile, "utf8") !== ""); waited += LOOK_EVERY_MS) {
    const over = failed !== undefined || child.exitCode !== null || child.signalCode !== null;
    if (over || waited > START_MS || signal.aborted) {
      await ended(child);
      throw new RunBroken(`qemu-storage-daemon: ${failed?.message ?? (said.trim() || "it does not come to export")}`);
    }
    await sleep(LOOK_EVERY_MS);
  }
  return make(child, sockets, node);
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => child.kill("SIGKILL"), END_MS);
    child.once("close", () => {
      clearTimeout(timer);
      resolve();
    });
    child.kill("SIGTERM");
  });
}
