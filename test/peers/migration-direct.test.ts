/** Migration between two guests on one image with nothing between: the device's back end keeps the dirty log itself. */
import { expect, test } from "vitest";
import { diskImage, numberedPages, writeStopWord } from "./helpers/disk-images.js";
import { leaveEvidence } from "./helpers/evidence.js";
import { migrate } from "./helpers/migration.js";
import { GUEST, skipReason, versionsOf } from "./helpers/peers.js";
import { QemuGuest } from "./helpers/qemu-guest.js";
import { peerScope } from "./helpers/scope.js";
import { startStorageDaemon } from "./helpers/storage-daemon.js";

const PAGE_BYTES = 4096;
/** Ended by the stop word; ten minutes only where that is lost. */
const MIGTEST = "migtest,600,32";
/** 32 MiB for a round, and the pages by which rounds are shifted. */
const DISK_BYTES = 33 * 2 ** 20;

test("no page that the device wrote is left behind by a migration of few rounds", async (ctx) => {
  const why = skipReason(...GUEST, "qemu-storage-daemon");
  if (why !== undefined) return ctx.skip(why);
  const scope = peerScope();
  const image = diskImage(scope, numberedPages(DISK_BYTES));
  const here = await startStorageDaemon(scope, { image, name: "qsd-here", locking: false });
  const there = await startStorageDaemon(scope, { image, name: "qsd-there", locking: false });
  const source = await QemuGuest.start(scope, { test: MIGTEST, name: "source", disks: [{ socket: here.socket }] });
  const destination = await QemuGuest.start(scope, {
    test: MIGTEST,
    name: "destination",
    disks: [{ socket: there.socket }],
    incoming: true,
  });
  await source.says(/^PROGRESS round=(?!0|1\b)/m);
  const report = await migrate(scope, source, destination);
  await source.quit();
  await destination.says(/^PROGRESS /m);
  writeStopWord(image);
  const result = await destination.result();
  expect(result).toMatchObject({ ok: "1", stale: "0", stopped: "1" });
  leaveEvidence({ peers: versionsOf("qemu", "qemu-storage-daemon", "kernel"), figures: { ...report, ...result } });
});

test("the checker counts pages that hold what an earlier round read", async (ctx) => {
  const why = skipReason(...GUEST, "qemu-storage-daemon");
  if (why !== undefined) return ctx.skip(why);
  const scope = peerScope();
  const disk = numberedPages(DISK_BYTES);
  for (const page of [200, 5000, 8000]) disk.writeUInt32LE(page - 4, page * PAGE_BYTES);
  const image = diskImage(scope, disk);
  writeStopWord(image);
  const { socket } = await startStorageDaemon(scope, { image });
  const guest = await QemuGuest.start(scope, { test: MIGTEST, disks: [{ socket }] });
  const result = await guest.result();
  expect(result).toMatchObject({ ok: "0", rounds: "1", stale: "3", oldest: "4" });
  leaveEvidence({
    peers: versionsOf("qemu", "qemu-storage-daemon", "kernel"),
    control: { name: "three stale pages", failed_as_expected: true },
  });
});
