/** A back end that keeps to no rule: it costs the connection or a queue, is named, and the next connection works. */
import { expect, test } from "vitest";
import { type DataProcess, withRelayed } from "../../helpers/data-process.js";
import type { BackEndDoes, BackEndManners } from "../../helpers/vhost-back-end.js";
import { TestFront } from "../../helpers/vhost-front.js";

const TIMEOUT_MS = 300;

/** Uses a device as far as it goes, and leaves; returns the error that ended it, if one did. */
function used(path: string): Error | undefined {
  let guest: TestFront | undefined;
  try {
    guest = new TestFront({ path, timeoutMs: 2000 });
    guest.startAll().load(60);
    guest.stop(0);
    return undefined;
  } catch (error) {
    return error as Error;
  } finally {
    guest?.close();
  }
}

/** Expects that the next connection, whose back end behaves, is served. */
function expectService(path: string): void {
  const guest = new TestFront({ path });
  guest.startAll().load(20);
  guest.stop(0);
  guest.close();
}

function fdsOf(relay: DataProcess): number {
  const endMs = performance.now() + 10_000;
  while (relay.ask("query-status")["state"] !== "listening" && performance.now() < endMs);
  return relay.ask("query-stats")["fds"] as number;
}

const NAMES = [
  "GET_FEATURES",
  "GET_PROTOCOL_FEATURES",
  "GET_QUEUE_NUM",
  "SET_PROTOCOL_FEATURES",
  "SET_FEATURES",
  "SET_MEM_TABLE",
  "SET_VRING_NUM",
  "SET_VRING_BASE",
  "SET_VRING_ADDR",
  "SET_VRING_CALL",
  "SET_VRING_KICK",
  "SET_VRING_ENABLE",
  "GET_VRING_BASE",
];
const DOES: readonly BackEndDoes[] = [
  "silence",
  "wrong-size",
  "close",
  "refuse",
  "garbage",
  "wrong-request",
  "with-fds",
  "huge",
];

test.each(DOES)(
  "a back end that does %s, at every message, costs its connection at most",
  { timeout: 240_000 },
  async (does) => {
    const manners = NAMES.map((name): BackEndManners => ({ at: { name, does } }));
    // Every second connection behaves.
    const sessions = manners.flatMap((bad) => [bad, {}]);
    await withRelayed({ backendTimeoutMs: TIMEOUT_MS, sessions: [{}, ...sessions] }, ({ relay, path }) => {
      expectService(path);
      const before = fdsOf(relay);
      for (const name of NAMES) {
        const error = used(path);
        // A message without an answer of its own can be answered wrongly by a back end that acknowledges alone.
        if (does === "close" || (does === "silence" && name.startsWith("GET"))) expect(error, name).toBeDefined();
        expectService(path);
      }
      expect(fdsOf(relay)).toBe(before);
      expect(relay.ask("query-status")["state"]).toBe("listening");
      expect(relay.heard("BACKEND_LOST").length + relay.heard("QUEUE_BROKEN").length).toBeGreaterThan(0);
    });
  },
);

test.each(["repeats-id", "wild-id", "index-jumps"] as const)(
  "a used ring that lies breaks its queue by name: %s",
  async (how) => {
    await withRelayed({ backendTimeoutMs: TIMEOUT_MS, sessions: [{ lies: { after: 9, how } }] }, ({ relay, path }) => {
      const guest = new TestFront({ path, timeoutMs: 1000 });
      guest.startAll();
      expect(() => guest.load(60)).toThrow(/requests stay out|nothing moves/);
      const { queue, reason } = relay.waitFor("QUEUE_BROKEN");
      expect({ queue, reason }).toEqual({
        queue: 0,
        reason: expect.stringMatching(how === "index-jumps" ? /^used-idx-overrun/ : /^used-i/),
      });
      expect((relay.ask("query-vq-status")["queues"] as object[])[0]).toMatchObject({ running: true, broken: reason });
      guest.close();
      expectService(path);
    });
  },
);

test("chains that a stopped back end keeps break the queue; what it may have written is marked", async () => {
  const sessions: BackEndManners[] = [{ stops: "keeps", completesAtMost: 3 }];
  await withRelayed({ backendTimeoutMs: TIMEOUT_MS, sessions }, ({ relay, path }) => {
    const guest = new TestFront({ path });
    guest.startAll();
    guest.startLogging();
    guest.submit(0);
    const endMs = performance.now() + 10_000;
    while (guest.queues[0]!.done < 3 && performance.now() < endMs) guest.reap(0);
    guest.stop(0);
    expect(relay.waitFor("QUEUE_BROKEN")["reason"]).toMatch(/^used-idx-overrun: the back end keeps chains/);
    const marks = guest.takeMarks();
    expect([...guest.written].filter((page) => !marks.has(page))).toEqual([]);
    guest.close();
    expectService(path);
  });
});

test("requests that never complete hold a front end's leaving up for the time limit, and not longer", async () => {
  const sessions: BackEndManners[] = [{ completesAtMost: 2 }];
  await withRelayed({ backendTimeoutMs: TIMEOUT_MS, sessions }, ({ relay, path }) => {
    const guest = new TestFront({ path });
    guest.startAll().submit(0);
    const endMs = performance.now() + 10_000;
    while (guest.queues[0]!.done < 2 && performance.now() < endMs) guest.reap(0);
    guest.close();
    expect(relay.waitFor("QUEUE_BROKEN")["reason"]).toMatch(/keeps chains/);
    relay.waitFor("DISCONNECTED");
    expectService(path);
  });
});

test("a command that a silent back end fails is answered, and so are those behind it", async () => {
  const sessions: BackEndManners[] = [{ at: { name: "GET_VRING_BASE", does: "silence" } }];
  await withRelayed({ backendTimeoutMs: TIMEOUT_MS, sessions }, ({ relay, path }) => {
    const guest = new TestFront({ path });
    guest.startAll().load(10);
    relay.send("set-datapath", { datapath: "passthrough" });
    expect(relay.ask("query-status")).toMatchObject({ state: expect.any(String) });
    expect(relay.waitFor("BACKEND_LOST")["why"]).toMatch(/has not answered .*GET_VRING_BASE within/);
    guest.close();
    expectService(path);
  });
});
