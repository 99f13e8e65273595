import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { md5 } from "./disk-images.js";
import { GUEST, skipReason } from "./peers.js";
import { QemuGuest } from "./qemu-guest.js";
import type { PeerScope } from "./scope.js";
import { startVirtiofsDaemon } from "./virtiofs-daemon.js";

/** Why a guest cannot have a shared folder on this machine; undefined where it can. */
export function whyNoSharedFolder(): string | undefined {
  return skipReason(...GUEST, "virtiofsd") ?? (process.getuid?.() === 0 ? undefined : "virtiofsd needs root");
}

/** Has a guest copy a file within a folder that virtiofsd shares; `behind` gives the socket it shall use instead. */
export async function copyInGuest(
  scope: PeerScope,
  behind: (socket: string) => Promise<string> = async (socket) => socket,
): Promise<{ readonly expected: string; readonly got: string }> {
  const folder = scope.path("share");
  mkdirSync(folder);
  const content = randomBytes(3_000_001);
  writeFileSync(join(folder, "in"), content);
  const { socket } = await startVirtiofsDaemon(scope, folder);
  const guest = await QemuGuest.start(scope, { test: "virtiofs", share: await behind(socket) });
  const expected = md5(content);
  expect(await guest.result()).toMatchObject({ ok: "1", in: expected, out: expected });
  const got = md5(readFileSync(join(folder, "out")));
  expect(got).toBe(expected);
  return { expected, got };
}
