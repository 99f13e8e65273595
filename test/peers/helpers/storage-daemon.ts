import { existsSync, rmSync } from "node:fs";
import { needed } from "./peers.js";
import type { PeerProcess, PeerScope } from "./scope.js";
import { askFeatures } from "./vhost-user-probe.js";

/** What a storage daemon is to export. */
export interface StorageDaemonOptions {
  /** A raw image. */
  readonly image: string;
  /** The socket's file in the scope's folder; also the process's name. */
  readonly name?: string;
  readonly queues?: number;
  /** Off where two daemons share the image, as both sides of a migration do. */
  readonly locking?: boolean;
  readonly deadlineMs?: number;
}

/** A storage daemon that answers. */
export interface StorageDaemon {
  readonly process: PeerProcess;
  readonly socket: string;
  /** What it offers, before any negotiation. */
  readonly features: bigint;
}

/** Starts qemu-storage-daemon with one vhost-user-blk export, and returns when the back end answers. */
export async function startStorageDaemon(scope: PeerScope, options: StorageDaemonOptions): Promise<StorageDaemon> {
  const { image, name = "qsd", queues = 1, locking = true, deadlineMs = 300_000 } = options;
  const socket = scope.path(`${name}.sock`);
  // Written after the exports are there.
  const ready = scope.path(`${name}.pid`);
  // One that was killed has left it behind.
  rmSync(ready, { force: true });
  const process = scope.start(
    name,
    needed("qemu-storage-daemon").path,
    [
      ...["--blockdev", `driver=file,node-name=f,filename=${image},aio=threads,locking=${locking ? "auto" : "off"}`],
      "--export",
      `type=vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path=${socket},writable=on,num-queues=${queues}`,
      ...["--pidfile", ready],
    ],
    deadlineMs,
  );
  await process.until(() => existsSync(ready) || undefined, 30_000, "its pid file");
  return { process, socket, features: await askFeatures(socket) };
}
