import { setTimeout as sleep } from "node:timers/promises";
import type { QemuGuest } from "./qemu-guest.js";
import type { PeerScope } from "./scope.js";
import { flushTranslations } from "./translation-flush.js";

/** How a migration is to go. */
export interface MigrationOptions {
  /** Few rounds need bandwidth: see the README of this folder. */
  readonly maxBandwidthBytes?: number;
  /** How long the guest may stand still at the end, once every page was sent. */
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

/** What no guest that does anything comes to: so short that the first round is sent to its end. */
const NO_DOWNTIME_MS = 1;
/** The log is taken at the start, and again behind the first round. */
const SYNCS_AFTER_FIRST_ROUND = 2;
/** Next to nothing is sent for a while, and so no further round ends: what the device writes then needs its marks. */
const DWELL_BANDWIDTH_BYTES = 2 ** 20;
const DWELL_MS = 400;

/**
 * Moves a running guest to a QEMU that was started with `incoming`; returns when the guest runs there.
 *
 * Every page is sent while the guest runs. Otherwise QEMU stops it as soon as the rest fits into the downtime, and what
 * nobody marked is sent then: a migration that needs no log proves nothing about it.
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
  const limits = (bandwidthBytes: number, downtimeMs: number) =>
    source.qmp.execute("migrate-set-parameters", { "max-bandwidth": bandwidthBytes, "downtime-limit": downtimeMs });
  await limits(maxBandwidthBytes, NO_DOWNTIME_MS);
  await source.qmp.execute("migrate", { uri });
  const looked =
    (times: number) =>
    ({ ram }: Progress) =>
      (ram?.["dirty-sync-count"] ?? 0) >= times;
  await comesTo(source, deadlineMs, looked(1));
  await flushTranslations(source.testSocket);
  await comesTo(source, deadlineMs, looked(SYNCS_AFTER_FIRST_ROUND));
  await limits(DWELL_BANDWIDTH_BYTES, NO_DOWNTIME_MS);
  await flushTranslations(source.testSocket);
  await sleep(DWELL_MS);
  await limits(maxBandwidthBytes, downtimeLimitMs);
  const end = await comesTo(source, deadlineMs, ({ status }) => status === "completed");
  await destination.qmp.event("RESUME", 60_000);
  return {
    totalMs: end["total-time"] ?? 0,
    downtimeMs: end.downtime ?? 0,
    dirtySyncCount: end.ram?.["dirty-sync-count"] ?? 0,
    transferredBytes: end.ram?.transferred ?? 0,
  };
}

/** Waits until a migration has come to a point, or is done. */
async function comesTo({ qmp }: QemuGuest, deadlineMs: number, is: (progress: Progress) => boolean): Promise<Progress> {
  let progress: Progress = {};
  for (const end = Date.now() + deadlineMs; Date.now() < end; ) {
    progress = await qmp.execute<Progress>("query-migrate");
    if (progress.status === "failed" || progress.status === "cancelled") {
      throw new Error(`migration ${progress.status}: ${progress["error-desc"] ?? "no reason"}`);
    }
    if (progress.status === "completed" || is(progress)) return progress;
    await sleep(20);
  }
  throw new Error(`migration not done after ${deadlineMs} ms: ${JSON.stringify(progress)}`);
}
