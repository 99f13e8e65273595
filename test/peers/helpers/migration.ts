import { setTimeout as sleep } from "node:timers/promises";
import type { QemuGuest } from "./qemu-guest.js";
import type { PeerScope } from "./scope.js";

/** How a migration is to go. */
export interface MigrationOptions {
  /** Few rounds need bandwidth: see the README of this folder. */
  readonly maxBandwidthBytes?: number;
  /** How long the guest may stand still at the end. */
  readonly downtimeLimitMs?: number;
  readonly deadlineMs?: number;
}

/** How a migration went, in QEMU's figures. */
export interface MigrationReport {
  readonly totalMs: number;
  readonly downtimeMs: number;
  /** How often the dirty log was taken. */
  readonly dirtySyncCount: number;
  readonly transferredBytes: number;
}

/** What query-migrate returns, as far as it is used. */
interface Progress {
  readonly status?: string;
  readonly "error-desc"?: string;
  readonly "total-time"?: number;
  readonly downtime?: number;
  readonly ram?: { readonly transferred: number; readonly "dirty-sync-count": number };
}

/**
 * Moves a running guest to a QEMU that was started with `incoming`; returns when the guest runs there.
 *
 * Throws with QEMU's reason when it fails, and after `deadlineMs`.
 */
export async function migrate(
  scope: PeerScope,
  source: QemuGuest,
  destination: QemuGuest,
  options: MigrationOptions = {},
): Promise<MigrationReport> {
  const { maxBandwidthBytes = 100 * 2 ** 20, downtimeLimitMs = 2_000, deadlineMs = 90_000 } = options;
  const uri = `unix:${scope.path("migration.sock")}`;
  await destination.qmp.execute("migrate-incoming", { uri });
  await source.qmp.execute("migrate-set-parameters", {
    "max-bandwidth": maxBandwidthBytes,
    "downtime-limit": downtimeLimitMs,
  });
  await source.qmp.execute("migrate", { uri });
  const end = await finished(source, deadlineMs);
  await destination.qmp.event("RESUME", 60_000);
  return {
    totalMs: end["total-time"] ?? 0,
    downtimeMs: end.downtime ?? 0,
    dirtySyncCount: end.ram?.["dirty-sync-count"] ?? 0,
    transferredBytes: end.ram?.transferred ?? 0,
  };
}

async function finished({ qmp }: QemuGuest, deadlineMs: number): Promise<Progress> {
  let progress: Progress = {};
  for (const end = Date.now() + deadlineMs; Date.now() < end; ) {
    progress = await qmp.execute<Progress>("query-migrate");
    if (progress.status === "completed") return progress;
    if (progress.status === "failed" || progress.status === "cancelled") {
      throw new Error(`migration ${progress.status}: ${progress["error-desc"] ?? "no reason"}`);
    }
    await sleep(100);
  }
  throw new Error(`migration not done after ${deadlineMs} ms: ${JSON.stringify(progress)}`);
}
