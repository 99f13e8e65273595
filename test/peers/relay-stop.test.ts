/** No guest: queues that are stopped while requests are on their way, and a relay that is asked to end then. */
import { expect, test } from "vitest";
import { BackEndLost } from "../../src/daemon/data/back-end.js";
import type { BlkFront } from "../../src/daemon/data/blk-front.js";
import { blkFront, REQUEST_BYTES, readRequest, writeDisk } from "./helpers/blk-traffic.js";
import { diskImage } from "./helpers/disk-images.js";
import { leaveEvidence } from "./helpers/evidence.js";
import { skipReason, versionsOf } from "./helpers/peers.js";
import { peerScope } from "./helpers/scope.js";
import { startStorageDaemon } from "./helpers/storage-daemon.js";
import { relayEvidence, SvqRelay } from "./helpers/svq-relay.js";

const WHY = skipReason("qemu-storage-daemon");
const PLACES = 512;
const DISK_BYTES = 16 * 2 ** 20;
const DEPTH = 32;
/** Whether a back end has fetched is up to it: rounds go on until both was seen, and this often at most. */
const ROUNDS_MIN = 20;
const ROUNDS_MAX = 1000;
const SEEN_ENOUGH = 3;

test.for([
  { datapath: "svq", eventIdx: false, unfetched: SEEN_ENOUGH },
  { datapath: "svq", eventIdx: true, unfetched: SEEN_ENOUGH },
  // On the guest's own ring nothing is taken back, and the storage daemon has nearly always fetched.
  { datapath: "passthrough", eventIdx: false, unfetched: 0 },
] as const)("$datapath, EVENT_IDX $eventIdx: a stop loses and doubles no request, fetched or not", async (how, ctx) => {
  if (WHY !== undefined) return ctx.skip(WHY);
  const scope = peerScope();
  const { socket } = await startStorageDaemon(scope, { image: diskImage(scope, DISK_BYTES) });
  const relay = await SvqRelay.start(scope, { connect: [socket], datapath: how.datapath });
  const front = blkFront(relay.socket, { depth: DEPTH, eventIdx: how.eventIdx });
  scope.onClose(() => front.close());
  front.start();
  const reader = new BatchReader(front, writeDisk(front, PLACES, 9));
  const seen = { rounds: 0, fetched: 0, unfetched: 0 };
  let offered = PLACES;
  const enough = () => seen.fetched >= SEEN_ENOUGH && seen.unfetched >= how.unfetched;
  for (; seen.rounds < ROUNDS_MIN || (seen.rounds < ROUNDS_MAX && !enough()); seen.rounds++) {
    reader.offer();
    offered += DEPTH;
    const unfetched = (offered - front.stop()) & 0xffff;
    const returned = reader.reap();
    expect(unfetched).toBeLessThanOrEqual(DEPTH);
    // A shadow queue has returned all that was fetched; storage daemons on the guest's ring may answer before.
    if (how.datapath === "svq") expect(returned).toBe(DEPTH - unfetched);
    if (unfetched > 0) seen.unfetched += 1;
    else seen.fetched += 1;
    front.start();
    reader.finish();
  }
  expect(enough(), JSON.stringify(seen)).toBe(true);
  const stats = await relay.stats();
  expect(stats.faults).toBe(0);
  leaveEvidence({ peers: versionsOf("qemu-storage-daemon"), relay: relayEvidence(stats), figures: seen });
});

test("a relay that is told to end under load returns what it has, leaves nothing behind, and exits with 0", async (ctx) => {
  if (WHY !== undefined) return ctx.skip(WHY);
  const scope = peerScope();
  const { socket, process: daemon } = await startStorageDaemon(scope, { image: diskImage(scope, DISK_BYTES) });
  const relay = await SvqRelay.start(scope, { connect: [socket] });
  const front = blkFront(relay.socket, { depth: DEPTH, timeoutMs: 3_000 });
  scope.onClose(() => front.close());
  front.start();
  const reader = new BatchReader(front, writeDisk(front, PLACES, 10));
  const before = await relay.stats();
  expect(before.requests).toBe(PLACES);
  let offered = 0;
  expect(() => {
    for (;;) {
      reader.offer();
      offered += DEPTH;
      if (offered === 20 * DEPTH) process.kill(relay.process.pid, "SIGTERM");
      reader.finish();
    }
  }).toThrow(BackEndLost);
  expect(offered).toBeGreaterThanOrEqual(20 * DEPTH);
  expect(await relay.process.ended).toEqual({ code: 0, signal: null });
  expect(relay.leftFiles()).toEqual([]);
  expect(daemon.ending).toBeUndefined();
  leaveEvidence({
    peers: versionsOf("qemu-storage-daemon"),
    relay: relayEvidence(before),
    figures: { offered, returned: reader.returned },
  });
});

/** Reads in batches of DEPTH, each request in a slot of its own, and checks what comes back: once, with its content. */
class BatchReader {
  returned = 0;
  readonly #front: BlkFront;
  readonly #content: Buffer;
  readonly #places = new Map<number, number>();
  #next = 0;

  constructor(front: BlkFront, content: Buffer) {
    this.#front = front;
    this.#content = content;
  }

  /** Offers a batch. */
  offer(): void {
    expect(this.#places.size).toBe(0);
    for (let slot = 0; slot < DEPTH; slot++) {
      this.#places.set(slot, this.#next);
      this.#front.data(slot, REQUEST_BYTES).fill(0xee);
      this.#front.submit(slot, readRequest(this.#next));
      this.#next = (this.#next + 1) % PLACES;
    }
    this.#front.publish();
  }

  /** Takes what is there; returns how many. */
  reap(): number {
    let count = 0;
    for (let slot = this.#front.reap(); slot !== undefined; slot = this.#front.reap(), count++) {
      const place = this.#places.get(slot);
      if (place === undefined) throw new Error(`slot ${slot} comes back twice`);
      this.#places.delete(slot);
      const expected = this.#content.subarray(place * REQUEST_BYTES, (place + 1) * REQUEST_BYTES);
      if (expected.compare(this.#front.data(slot, REQUEST_BYTES)) !== 0) throw new Error(`place ${place} is wrong`);
    }
    this.returned += count;
    return count;
  }

  /** Waits for the rest of the batch. */
  finish(): void {
    while (this.#places.size > 0) if (this.reap() === 0) this.#front.wait();
  }
}
