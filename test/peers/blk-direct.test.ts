/** Guests on qemu-storage-daemon with nothing between: what the same tests through the relay are compared with. */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { BOOT_SECTOR_EXIT_CODE, bootDisk } from "./helpers/boot-sector.js";
import { diskImage, md5, patternBytes, writeStopWord } from "./helpers/disk-images.js";
import { leaveEvidence } from "./helpers/evidence.js";
import { GUEST, skipReason, versionsOf } from "./helpers/peers.js";
import { QemuGuest } from "./helpers/qemu-guest.js";
import { peerScope } from "./helpers/scope.js";
import { startStorageDaemon } from "./helpers/storage-daemon.js";
import { VHOST_F_LOG_ALL } from "./helpers/vhost-user-probe.js";

const WHY = skipReason(...GUEST, "qemu-storage-daemon");
const MIB = 2 ** 20;

test("a guest reads what the image holds, across the hole below 4 GiB as well", async (ctx) => {
  if (WHY !== undefined) return ctx.skip(WHY);
  const scope = peerScope();
  const content = randomBytes(MIB);
  const { socket, features } = await startStorageDaemon(scope, { image: diskImage(scope, content) });
  expect(features & VHOST_F_LOG_ALL).toBe(VHOST_F_LOG_ALL);
  const guest = await QemuGuest.start(scope, {
    test: `dd,${MIB}`,
    disks: [{ socket }],
    memoryMib: 512,
    belowFourGigMib: 256,
  });
  const result = await guest.result();
  expect(result).toMatchObject({ ok: "1", bytes: String(MIB), md5: md5(content) });
  leaveEvidence({
    peers: versionsOf("qemu", "qemu-storage-daemon", "kernel"),
    md5: { expected: md5(content), got: result["md5"]! },
  });
});

test("the comparison sees one changed byte", async (ctx) => {
  if (WHY !== undefined) return ctx.skip(WHY);
  const scope = peerScope();
  const content = randomBytes(MIB);
  const expected = md5(content);
  content[MIB - 1]! ^= 1;
  const { socket } = await startStorageDaemon(scope, { image: diskImage(scope, content) });
  const guest = await QemuGuest.start(scope, { test: `dd,${MIB}`, disks: [{ socket }] });
  expect((await guest.result())["md5"]).not.toBe(expected);
});

test("a guest's writes of mixed sizes are in the image, with two queues", async (ctx) => {
  if (WHY !== undefined) return ctx.skip(WHY);
  const scope = peerScope();
  const image = diskImage(scope, 32 * MIB);
  const { socket } = await startStorageDaemon(scope, { image, queues: 2 });
  const guest = await QemuGuest.start(scope, { test: "verify,32,7", disks: [{ socket, queues: 2 }], cpus: 2 });
  expect(await guest.result()).toMatchObject({ ok: "1", bad_words: "0", bytes: String(32 * MIB) });
  const [got, expected] = [md5(readFileSync(image)), md5(patternBytes(32 * MIB, 7))];
  expect(got).toBe(expected);
  leaveEvidence({ peers: versionsOf("qemu", "qemu-storage-daemon", "kernel"), md5: { expected, got } });
});

test("a guest makes a file system on the disk, and runs a program from it", async (ctx) => {
  if (WHY !== undefined) return ctx.skip(WHY);
  const scope = peerScope();
  const { socket } = await startStorageDaemon(scope, { image: diskImage(scope, 64 * MIB) });
  const guest = await QemuGuest.start(scope, { test: "mountroot", disks: [{ socket }] });
  const result = await guest.result();
  expect(result).toMatchObject({ ok: "1", read: result["written"] });
});

test("a guest under load checks what it reads until the host ends it", async (ctx) => {
  if (WHY !== undefined) return ctx.skip(WHY);
  const scope = peerScope();
  const image = diskImage(scope, 32 * MIB);
  const { socket } = await startStorageDaemon(scope, { image });
  const guest = await QemuGuest.start(scope, { test: "load,600,5", disks: [{ socket, reconnectSeconds: 1 }] });
  await guest.says(/^PROGRESS reads=[1-9]/m);
  writeStopWord(image);
  const result = await guest.result();
  expect(result).toMatchObject({ ok: "1", bad_words: "0" });
  expect(Number(result["writes"])).toBeGreaterThan(0);
  expect(guest.progress()).toBeDefined();
});

test("firmware boots from the disk", async (ctx) => {
  if (WHY !== undefined) return ctx.skip(WHY);
  const scope = peerScope();
  const image = diskImage(scope, bootDisk("first sector\r\n", "second sector\r\n"));
  const { socket } = await startStorageDaemon(scope, { image });
  const guest = await QemuGuest.start(scope, { disks: [{ socket }] });
  expect(await guest.process.ended).toEqual({ code: BOOT_SECTOR_EXIT_CODE, signal: null });
  expect(guest.serial).toContain("first sector\r\nsecond sector\r\n");
  leaveEvidence({ peers: versionsOf("qemu", "qemu-storage-daemon") });
});
