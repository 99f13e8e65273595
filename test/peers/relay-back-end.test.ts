/** No guest: a back end that dies, is away, and comes back. */
import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { BackEndLost } from "../../src/daemon/data/back-end.js";
import { blkFront, readDisk, writeDisk } from "./helpers/blk-traffic.js";
import { diskImage, md5 } from "./helpers/disk-images.js";
import { leaveEvidence } from "./helpers/evidence.js";
import { skipReason, versionsOf } from "./helpers/peers.js";
import { peerScope } from "./helpers/scope.js";
import { startStorageDaemon } from "./helpers/storage-daemon.js";
import { relayEvidence, SvqRelay } from "./helpers/svq-relay.js";

const PLACES = 256;

test("a back end that dies costs its connection, and the next front end finds the one that takes its place", async (ctx) => {
  const why = skipReason("qemu-storage-daemon");
  if (why !== undefined) return ctx.skip(why);
  const scope = peerScope();
  const image = diskImage(scope, 8 * 2 ** 20);
  const first = await startStorageDaemon(scope, { image });
  const relay = await SvqRelay.start(scope, { connect: [first.socket] });
  const front = blkFront(relay.socket);
  scope.onClose(() => front.close());
  front.start();
  const content = writeDisk(front, PLACES, 77);
  const { fds, requests } = await relay.stats();
  const { pid } = await relay.status();
  await first.process.kill();
  const lost = await relay.control.event("BACKEND_LOST", 30_000);
  expect(lost.data).toMatchObject({ connection: 1, why: expect.stringContaining("closed the connection") });
  await relay.control.event("DISCONNECTED", 30_000);
  expect(() => front.stop()).toThrow(BackEndLost);
  // While there is none, the socket stays, and whoever connects is hung up on.
  expect(() => blkFront(relay.socket)).toThrow(BackEndLost);
  expect(existsSync(relay.socket)).toBe(true);
  await startStorageDaemon(scope, { image });
  const next = blkFront(relay.socket, { depth: 32 });
  scope.onClose(() => next.close());
  next.start();
  const [expected, got] = [md5(content), md5(readDisk(next, PLACES))];
  expect(got).toBe(expected);
  const stats = await relay.stats();
  expect(stats).toMatchObject({ requests: requests + PLACES, fds });
  // The data process is the same: nothing crashed.
  expect((await relay.status()).pid).toBe(pid);
  leaveEvidence({ peers: versionsOf("qemu-storage-daemon"), relay: relayEvidence(stats), md5: { expected, got } });
});
