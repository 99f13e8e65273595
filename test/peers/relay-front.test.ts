/** No guest: a front end of ours, the relay as a process, and qemu-storage-daemon. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { blkFront, readDisk, writeDisk } from "./helpers/blk-traffic.js";
import { diskImage, md5 } from "./helpers/disk-images.js";
import { leaveEvidence } from "./helpers/evidence.js";
import { skipReason, versionsOf } from "./helpers/peers.js";
import { peerScope } from "./helpers/scope.js";
import { startStorageDaemon } from "./helpers/storage-daemon.js";
import { relayEvidence, SvqRelay } from "./helpers/svq-relay.js";

const WHY = skipReason("qemu-storage-daemon");
const MIB = 2 ** 20;
const PLACES = 512;
const DISK_BYTES = 16 * MIB;

const CASES = [
  { datapath: "svq", eventIdx: false, depth: 1 },
  { datapath: "svq", eventIdx: false, depth: 32 },
  { datapath: "svq", eventIdx: true, depth: 1 },
  { datapath: "svq", eventIdx: true, depth: 32 },
  { datapath: "passthrough", eventIdx: false, depth: 32 },
  { datapath: "passthrough", eventIdx: true, depth: 1 },
] as const;

test.for(CASES)("$datapath: what was written is read back, EVENT_IDX $eventIdx, depth $depth", async (how, ctx) => {
  if (WHY !== undefined) return ctx.skip(WHY);
  const scope = peerScope();
  const image = diskImage(scope, DISK_BYTES);
  const { socket } = await startStorageDaemon(scope, { image });
  const relay = await SvqRelay.start(scope, { connect: [socket], datapath: how.datapath });
  const front = blkFront(relay.socket, how);
  scope.onClose(() => front.close());
  front.start();
  const content = writeDisk(front, PLACES, how.depth);
  const got = readDisk(front, PLACES);
  // Stopped and started again where it stood, as firmware and an operating system do in turn.
  expect(front.stop()).toBe((2 * PLACES) % 65_536);
  front.start();
  const again = readDisk(front, PLACES);
  const [expected, read, reread, onDisk] = [content, got, again, readFileSync(image).subarray(0, content.length)].map(
    md5,
  );
  expect({ read, reread, onDisk }).toEqual({ read: expected, reread: expected, onDisk: expected });
  const stats = await relay.stats();
  expect(stats).toMatchObject({ requests: how.datapath === "svq" ? 3 * PLACES : 0, faults: 0 });
  expect(stats.messages["VHOST_USER_SET_MEM_TABLE"]).toEqual({ received: 1, sent: 1 });
  leaveEvidence({
    peers: versionsOf("qemu-storage-daemon"),
    relay: relayEvidence(stats),
    md5: { expected: expected!, got: read! },
  });
});

test("two devices of one daemon keep apart", async (ctx) => {
  if (WHY !== undefined) return ctx.skip(WHY);
  const scope = peerScope();
  const images = ["a.img", "b.img"].map((name) => diskImage(scope, DISK_BYTES, name));
  const disks = [];
  for (const [i, image] of images.entries()) disks.push(await startStorageDaemon(scope, { image, name: `qsd${i}` }));
  const relay = await SvqRelay.start(scope, { connect: disks.map(({ socket }) => socket) });
  const fronts = relay.sockets.map((path) => blkFront(path, { depth: 32 }));
  scope.onClose(() => {
    for (const front of fronts) front.close();
  });
  for (const front of fronts) front.start();
  const written = fronts.map((front, i) => md5(writeDisk(front, PLACES, 100 + i)));
  const read = fronts.map((front) => md5(readDisk(front, PLACES)));
  expect(read).toEqual(written);
  expect(read[0]).not.toBe(read[1]);
  for (const device of [0, 1]) expect((await relay.stats(device)).requests).toBe(2 * PLACES);
  expect((await relay.status(0)).pid).not.toBe((await relay.status(1)).pid);
  leaveEvidence({
    peers: versionsOf("qemu-storage-daemon"),
    relay: relayEvidence(await relay.stats(1)),
    md5: { expected: written[1]!, got: read[1]! },
  });
});
