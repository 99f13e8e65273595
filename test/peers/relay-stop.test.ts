/** No guest: queues that are stopped with requests on their way, back ends that die, a relay that is asked to end. */
import { expect, test } from "vitest";
import { BackEndLost } from "../../src/daemon/data/back-end.js";
import type { BlkFront } from "../../src/daemon/data/blk-front.js";
import { blkFront, placeBytes, REQUEST_BYTES, readDisk, writeDisk } from "./helpers/blk-traffic.js";
import { diskImage, md5 } from "./helpers/disk-images.js";
import { leaveEvidence } from "./helpers/evidence.js";
import { skipReason, versionsOf } from "./helpers/peers.js";
import { type PeerScope, peerScope } from "./helpers/scope.js";
import { startStorageDaemon } from "./helpers/storage-daemon.js";
import { relayEvidence, SvqRelay } from "./helpers/svq-relay.js";

const WHY = skipReason("qemu-storage-daemon");
const MIB = 2 ** 20;
const PLACES = 512;
const DISK_BYTES = 16 * MIB;
const DEPTH = 32;

test("a queue stopped with requests in flight returns what the back end fetched, and does the rest later", async (ctx) => {
  if (WHY !== undefined) return ctx.skip(WHY);
  const scope = peerScope();
  const { relay, front, content } = await writtenDisk(scope);
  const seen = { fetched: 0, unfetched: 0 };
  for (let round = 0; round < 40; round++) {
    const before = front.ring.state.lastUsedIdx;
    for (let slot = 0; slot < DEPTH; slot++) submitRead(front, slot, (round * DEPTH + slot) % PLACES);
    front.publish();
    const fetched = (front.stop() - before) & 0xffff;
    console.log(round, fetched, reapAll(front).length);
  }
  console.log(seen, (await relay.stats()).requests, content.length);
});
