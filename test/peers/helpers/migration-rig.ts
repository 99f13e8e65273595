import { diskImage, numberedPages, writeStopWord } from "./disk-images.js";
import { type MigrationReport, migrate } from "./migration.js";
import { needed } from "./peers.js";
import { type GuestResult, QemuGuest } from "./qemu-guest.js";
import type { PeerScope } from "./scope.js";
import { startStorageDaemon } from "./storage-daemon.js";
import { NO_LOG, SvqRelay } from "./svq-relay.js";
import { TappedBackEnd } from "./tapped-back-end.js";

/** Ended by the stop word; ten minutes only where that is lost. */
const MIGTEST = "migtest,600,32";
/** 32 MiB for a round, and the pages by which rounds are shifted. */
const DISK_BYTES = 33 * 2 ** 20;
/** The checker says something twice a second. */
const SIGN_OF_LIFE_MS = 60_000;

/** How the relays of a migration are started; undefined for a migration with nothing between. */
export type MigrationRelays =
  | { readonly datapath: "svq" | "passthrough" | "auto"; readonly fault?: "drop-marks" }
  | undefined;

/** A guest with the checker in it, and another QEMU that waits for it, each on a storage daemon of its own. */
export interface MigrationRig {
  readonly image: string;
  readonly source: QemuGuest;
  readonly destination: QemuGuest;
  /** Source and destination; empty with nothing between. */
  readonly relays: readonly SvqRelay[];
  /** Who saw what their back ends were sent. */
  readonly taps: readonly TappedBackEnd[];
}

/** How a migration ended; a guest whose kernel broke before the checker reported has no result. */
export interface MigrationOutcome {
  readonly report: MigrationReport;
  readonly result: GuestResult | undefined;
}

/** Starts both sides on one image, with relays that keep the back ends' own log from them; the guest still boots. */
export async function migrationRig(
  scope: PeerScope,
  how: MigrationRelays,
  { name = "", tapped = false } = {},
): Promise<MigrationRig> {
  const image = diskImage(scope, numberedPages(DISK_BYTES), `${name}disk.img`);
  const relays: SvqRelay[] = [];
  const taps: TappedBackEnd[] = [];
  const side = async (which: string, incoming: boolean) => {
    let { socket } = await startStorageDaemon(scope, { image, name: `${name}q-${which}`, locking: false });
    if (how !== undefined) {
      if (tapped) {
        const tap = await TappedBackEnd.start(scope, `${name}t-${which}`, socket);
        taps.push(tap);
        socket = tap.socket;
      }
      const relay = await SvqRelay.start(scope, { ...how, connect: [socket], name: `${name}r-${which}`, mask: NO_LOG });
      relays.push(relay);
      socket = relay.socket;
    }
    return QemuGuest.start(scope, { test: MIGTEST, name: `${name}g-${which}`, disks: [{ socket }], incoming });
  };
  const source = await side("src", false);
  return { image, source, destination: await side("dst", true), relays, taps };
}

/** Migrates under the checker's load and lets it report on the other side. */
export async function migrateAndCheck(
  scope: PeerScope,
  { image, source, destination }: MigrationRig,
): Promise<MigrationOutcome> {
  await source.says(/^PROGRESS round=(?!0|1\b)/m);
  const report = await migrate(scope, source, destination);
  await source.quit();
  try {
    await destination.says(/^PROGRESS /m, SIGN_OF_LIFE_MS);
    writeStopWord(image);
    return { report, result: await destination.result() };
  } catch (error) {
    // A kernel that panics says so, and one that hangs nothing at all.
    if (brokenKernel(destination) || destination.progress() === undefined) return { report, result: undefined };
    throw error;
  }
}

/**
 * Whether a guest may crash after a migration for reasons of QEMU's own.
 *
 * Before 9.0 it loses dirty pages of emulated guests, with any device (commit 03bfc2188f of QEMU is the likely cure).
 */
export function guestsMayCrash(accel: "kvm" | "tcg"): boolean {
  return accel === "tcg" && Number(needed("qemu").version.split(".")[0]) < 9;
}

function brokenKernel({ serial }: QemuGuest): boolean {
  return /Kernel panic|Oops:|BUG: |general protection fault/.test(serial);
}
