/** A front end that keeps to no rule: it costs its connection, and neither the process nor whoever comes next. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import * as vu from "../../../src/layout/vhost-user.js";
import { UnixSocket } from "../../../src/sys/unix-socket.js";
import { encodeMessage } from "../../../src/vhost-user/codec.js";
import { type DataProcess, withRelayed } from "../../helpers/data-process.js";
import { HostileFront, type SequenceEnd } from "../../helpers/hostile-front.js";
import { RAM_THAT_SHRINKS, TestFront } from "../../helpers/vhost-front.js";

const SEQUENCES = Number(process.env["HOSTILE_SEQUENCES"] ?? 10_000);
const CONNECTS = Number(process.env["HOSTILE_CONNECTS"] ?? 10_000);
const RSS_GROWTH_BYTES = 16 * 2 ** 20;

/** Expects that a front end that keeps to the rules is served. */
function expectService(path: string, queues = 1): void {
  const guest = new TestFront({ path, queues });
  guest.startAll().load(20);
  guest.stopAll();
  guest.close();
}

/** Runs a sequence; an error names its seed. */
function ended(front: HostileFront, seed: number): SequenceEnd {
  try {
    return front.sequence(seed);
  } catch (error) {
    throw new Error(`sequence ${seed}: ${(error as Error).message}`, { cause: error });
  }
}

/** Descriptors and resident bytes when nobody is connected any more. */
function resources(relay: DataProcess): { fds: number; rss: number } {
  const endMs = performance.now() + 30_000;
  while (relay.ask("query-status")["state"] !== "listening" && performance.now() < endMs);
  const status = readFileSync(`/proc/${relay.pid}/status`, "latin1");
  return { fds: relay.ask("query-stats")["fds"] as number, rss: Number(/VmRSS:\s*(\d+)/.exec(status)![1]) * 1024 };
}

test(`${SEQUENCES} sequences of messages, right and wrong: each is answered or closed, nothing is left`, {
  timeout: 900_000,
}, async () => {
  await withRelayed({ queues: 4, backendTimeoutMs: 3000 }, ({ relay, path }) => {
    const front = new HostileFront(path);
    const ends = { answered: 0, closed: 0, cut: 0 };
    const warmUp = Math.min(2000, SEQUENCES / 4);
    let before = resources(relay);
    for (let seed = 1; seed <= SEQUENCES; seed++) {
      ends[ended(front, seed)] += 1;
      // What it tells of them is read, as the main process does.
      if (seed % 20 === 0) relay.ask("query-status");
      if (seed % 500 === 0) expectService(path, 4);
      if (seed === warmUp) before = resources(relay);
    }
    const after = resources(relay);
    console.log(`${SEQUENCES} sequences, ${front.messages} messages:`, ends, before, after);
    expect(after.fds).toBe(before.fds);
    expect(after.rss - before.rss).toBeLessThan(RSS_GROWTH_BYTES);
    // It reached what lies behind the first checks: queues ran, and some were broken by their guest.
    expect(Math.min(ends.answered, ends.closed, ends.cut)).toBeGreaterThan(SEQUENCES / 100);
    expect(relay.ask("query-stats")["faults"]).toBeGreaterThan(SEQUENCES / 200);
    front.close();
  });
});

test("every number of a request, with every flag, is answered or closed", { timeout: 300_000 }, async () => {
  await withRelayed({ queues: 4 }, ({ relay, path }) => {
    const front = new HostileFront(path);
    expectService(path);
    const before = resources(relay);
    for (let request = 0; request < 256; request++) {
      for (const flags of [1, 1 | 8, 1 | 4, 0, 2, 0xffff_fff1]) {
        front.single(request, flags, new Uint8Array((request * 8) % 48), request % 4);
      }
      relay.ask("query-status");
    }
    front.single(0xffff_ffff, 1, new Uint8Array(0), 0);
    expectService(path);
    expect(resources(relay).fds).toBe(before.fds);
    expect(Object.keys(relay.ask("query-stats")["messages"] as object).length).toBeLessThan(60);
    front.close();
  });
});

test(`${CONNECTS} connections, half of them two at a time, leave nothing`, { timeout: 900_000 }, async () => {
  await withRelayed({}, ({ relay, path }) => {
    for (let i = 0; i < 200; i++) UnixSocket.connect(path, 10_000).close();
    expectService(path);
    const before = resources(relay);
    for (let i = 0; i < CONNECTS; i++) {
      const socket = UnixSocket.connect(path, 10_000);
      if (i % 2 === 0) UnixSocket.connect(path, 10_000).close();
      if (i % 3 === 0) socket.send(encodeMessage(vu.VHOST_USER_GET_FEATURES, 0));
      socket.close();
      if (i % 50 === 0) relay.ask("query-status");
    }
    expectService(path);
    const after = resources(relay);
    console.log(`${CONNECTS} connections:`, before, after);
    expect(after.fds).toBe(before.fds);
    expect(after.rss - before.rss).toBeLessThan(RSS_GROWTH_BYTES);
  });
});

test("whoever reads no answers is closed, and nobody waits for it", async () => {
  await withRelayed({}, ({ relay, path }) => {
    const flood = UnixSocket.connect(path, 1000);
    const message = encodeMessage(vu.VHOST_USER_GET_FEATURES, 0);
    const started = performance.now();
    expect(() => {
      while (performance.now() - started < 20_000) flood.send(message, [], 100);
    }).toThrow(/peer-gone/);
    flood.close();
    expect(relay.waitFor("DISCONNECTED")["why"]).toBe("takes no answers");
    expectService(path);
  });
});

test("a second front end is refused while the first goes on, and the first may come again at once", async () => {
  await withRelayed({}, ({ relay, path }) => {
    const guest = new TestFront({ path });
    guest.startAll();
    for (let i = 0; i < 50; i++) {
      guest.submit(0);
      UnixSocket.connect(path, 1000).close();
      guest.settle();
    }
    guest.close();
    expect(relay.heard("PEER_REFUSED").length).toBe(50);
    for (let i = 0; i < 100; i++) expectService(path);
    expect(relay.heard("PEER_REFUSED").length).toBe(50);
  });
});

test("a ring that its guest breaks is named, the other queue goes on, and a restart mends it", async () => {
  await withRelayed({ queues: 2 }, ({ relay, path }) => {
    const guest = new TestFront({ path, queues: 2 });
    guest.startAll().load(10);
    for (let round = 0; round < 5; round++) {
      const { availMemory, avail } = guest.queues[1]!.ring.areas;
      const idx = availMemory.observe16(avail + 2);
      availMemory.publish16(avail + 2, idx + 999);
      guest.queues[1]!.kick.signal();
      expect(relay.waitFor("QUEUE_BROKEN", relay.events.length)).toMatchObject({
        queue: 1,
        reason: expect.stringMatching(/^avail-idx-overrun/),
      });
      guest.submit(0);
      guest.settle();
      availMemory.publish16(avail + 2, idx);
      guest.stop(1);
      guest.start(1);
      guest.load(10);
    }
    expect(relay.ask("query-stats")["faults"]).toBe(5);
    guest.close();
  });
});

test("a front end that goes while requests are in flight costs nothing", async () => {
  await withRelayed({ sessions: Array.from({ length: 30 }, () => ({ lateMs: 5 })) }, ({ relay, path }) => {
    for (let i = 0; i < 30; i++) {
      const guest = new TestFront({ path });
      guest.startAll();
      guest.startLogging();
      guest.submit(0);
      guest.close();
    }
    expectService(path);
    expect(relay.heard("BACKEND_LOST")).toEqual([]);
  });
});

test("memory whose file became shorter ends the process by SIGBUS: what isolation is for", async () => {
  let signal: string | null = null;
  await withRelayed({}, async ({ relay, path }) => {
    const guest = new TestFront({
      path,
      ram: RAM_THAT_SHRINKS,
    });
    guest.startAll().load(10);
    guest.shorten(0);
    guest.queues[0]!.kick.signal();
    signal = (await relay.ended()).signal;
    guest.back.close();
  }).catch(() => {});
  expect(signal).toBe("SIGBUS");
});
