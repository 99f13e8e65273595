/** Guests whose disk is behind the relay: firmware, kernel, file system, with qemu-storage-daemon at the end. */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { BOOT_SECTOR_EXIT_CODE, bootDisk } from "./helpers/boot-sector.js";
import { diskImage, md5, patternBytes } from "./helpers/disk-images.js";
import { leaveEvidence } from "./helpers/evidence.js";
import { GUEST, skipReason, versionsOf } from "./helpers/peers.js";
import { type GuestOptions, QemuGuest } from "./helpers/qemu-guest.js";
import { type PeerScope, peerScope } from "./helpers/scope.js";
import { startStorageDaemon } from "./helpers/storage-daemon.js";
import { type RelayStats, relayEvidence, SvqRelay } from "./helpers/svq-relay.js";

const WHY = skipReason(...GUEST, "qemu-storage-daemon");
const MIB = 2 ** 20;
const PEERS = ["qemu", "qemu-storage-daemon", "kernel"] as const;
/** Memory on both sides of the hole below 4 GiB, so in several regions. */
const ACROSS_THE_HOLE = { memoryMib: 512, belowFourGigMib: 256 };
/** The guest's kernel takes as many queues as it has processors. */
const FOUR_QUEUES = { queues: 4, cpus: 4 };

type Datapath = "svq" | "passthrough";

test("firmware boots from the disk through a shadow queue", async (ctx) => {
  if (WHY !== undefined) return ctx.skip(WHY);
  const scope = peerScope();
  const image = diskImage(scope, bootDisk("first sector\r\n", "second sector\r\n"));
  const { guest, relay } = await guestOnRelay(scope, image, "svq");
  expect(await guest.process.ended).toEqual({ code: BOOT_SECTOR_EXIT_CODE, signal: null });
  expect(guest.serial).toContain("first sector\r\nsecond sector\r\n");
  const stats = await relay.stats();
  expectRelayed(stats, "svq");
  leaveEvidence({ peers: versionsOf("qemu", "qemu-storage-daemon"), relay: relayEvidence(stats) });
});

test("svq: a guest reads what the image holds, into memory across the hole below 4 GiB", async (ctx) => {
  if (WHY !== undefined) return ctx.skip(WHY);
  const scope = peerScope();
  const content = randomBytes(MIB);
  const { guest, relay } = await guestOnRelay(scope, diskImage(scope, content), "svq", {
    test: `dd,${MIB}`,
    ...ACROSS_THE_HOLE,
  });
  await guest.says(/^START /m);
  const { mappings } = await relay.control.execute<{ mappings: readonly { gpa?: number }[] }>("query-iova-tree");
  const places = mappings.flatMap(({ gpa }) => gpa ?? []);
  expect(places.filter((gpa) => gpa < 2 ** 32).length).toBeGreaterThan(0);
  expect(places.filter((gpa) => gpa >= 2 ** 32).length).toBeGreaterThan(0);
  const result = await guest.result();
  const expected = md5(content);
  expect(result).toMatchObject({ ok: "1", bytes: String(MIB), md5: expected });
  const stats = await relay.stats();
  expectRelayed(stats, "svq");
  leaveEvidence({
    peers: versionsOf(...PEERS),
    relay: relayEvidence(stats),
    md5: { expected, got: result["md5"]! },
    figures: { regions: places.length },
  });
});

test.for([
  { datapath: "svq", queues: 1, cpus: 1 },
  { datapath: "passthrough", ...FOUR_QUEUES },
] as const)("$datapath, $queues queues: a guest makes a file system and runs a program from it", async (how, ctx) => {
  if (WHY !== undefined) return ctx.skip(WHY);
  const scope = peerScope();
  const { guest, relay } = await guestOnRelay(scope, diskImage(scope, 64 * MIB), how.datapath, {
    test: "mountroot",
    ...how,
  });
  const result = await guest.result();
  expect(result).toMatchObject({ ok: "1", read: result["written"] });
  const stats = await relay.stats();
  expectRelayed(stats, how.datapath);
  leaveEvidence({
    peers: versionsOf(...PEERS),
    relay: relayEvidence(stats),
    md5: { expected: result["written"]!, got: result["read"]! },
  });
});

test.for([
  { datapath: "svq", ...FOUR_QUEUES },
  { datapath: "passthrough", queues: 1, cpus: 1 },
] as const)("$datapath, $queues queues: a guest's writes of mixed sizes are in the image", async (how, ctx) => {
  if (WHY !== undefined) return ctx.skip(WHY);
  const scope = peerScope();
  const image = diskImage(scope, 32 * MIB);
  const { guest, relay } = await guestOnRelay(scope, image, how.datapath, {
    test: "verify,32,7",
    ...how,
    ...ACROSS_THE_HOLE,
  });
  await guest.says(/^START /m);
  const { queues } = await relay.control.execute<{ queues: readonly { running: boolean }[] }>("query-vq-status");
  expect(queues.filter(({ running }) => running)).toHaveLength(how.queues);
  expect(await guest.result()).toMatchObject({ ok: "1", bad_words: "0", bytes: String(32 * MIB) });
  const [got, expected] = [md5(readFileSync(image)), md5(patternBytes(32 * MIB, 7))];
  expect(got).toBe(expected);
  const stats = await relay.stats();
  expectRelayed(stats, how.datapath);
  leaveEvidence({ peers: versionsOf(...PEERS), relay: relayEvidence(stats), md5: { expected, got } });
});

/** A guest on a relay on a storage daemon. */
async function guestOnRelay(
  scope: PeerScope,
  image: string,
  datapath: Datapath,
  options: GuestOptions & { readonly queues?: number } = {},
): Promise<{ readonly guest: QemuGuest; readonly relay: SvqRelay }> {
  const { queues = 1 } = options;
  const { socket } = await startStorageDaemon(scope, { image, queues });
  const relay = await SvqRelay.start(scope, { connect: [socket], datapath });
  const guest = await QemuGuest.start(scope, { ...options, disks: [{ socket: relay.socket, queues }] });
  return { guest, relay };
}

/** Fails for a relay that something went past: each request through a shadow queue is counted, and none beside one. */
function expectRelayed({ requests, faults, messages }: RelayStats, datapath: Datapath): void {
  expect(faults).toBe(0);
  if (datapath === "svq") expect(requests).toBeGreaterThan(0);
  else expect(requests).toBe(0);
  // Firmware starts the device, and the kernel once more.
  expect(messages["VHOST_USER_SET_VRING_KICK"]?.sent).toBeGreaterThan(0);
}
