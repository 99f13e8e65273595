import { existsSync } from "node:fs";
import { needed } from "./peers.js";
import type { PeerProcess, PeerScope } from "./scope.js";

/** Starts virtiofsd over a folder and returns when its socket is there; needs root, for it changes its root folder. */
export async function startVirtiofsDaemon(
  scope: PeerScope,
  folder: string,
  name = "virtiofsd",
): Promise<{ readonly process: PeerProcess; readonly socket: string }> {
  const socket = scope.path(`${name}.sock`);
  const process = scope.start(
    name,
    needed("virtiofsd").path,
    [`--socket-path=${socket}`, "-o", `source=${folder}`, "-o", "sandbox=chroot", "-f"],
    300_000,
  );
  // It serves one connection and then ends, so it cannot be asked.
  await process.until(() => existsSync(socket) || undefined, 30_000, "its socket");
  return { process, socket };
}
