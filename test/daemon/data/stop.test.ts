/** A relay that is told to stop while its back end is silent: it ends by itself, and says what a guest lost. */
import { expect, test } from "vitest";
import { type Relayed, type RelayedOptions, withRelayed } from "../../helpers/data-process.js";
import type { BackEndManners } from "../../helpers/vhost-back-end.js";
import { TestFront } from "../../helpers/vhost-front.js";

/** Longer than the harness waits for a process to end: whoever takes that long is killed. */
const TIMEOUT_MS = 300_000;

/** Runs `use` with a relay whose back end has such manners, and gives a time limit that nobody waits for. */
function relayed(manners: BackEndManners, use: (relayed: Relayed) => unknown, more: RelayedOptions = {}) {
  return withRelayed({ backendTimeoutMs: TIMEOUT_MS, graceMs: 2000, sessions: [manners], ...more }, use);
}

/** Offers requests and waits until as many as that are done. */
function doneBy(guest: TestFront, count: number): void {
  guest.submit(0);
  const endMs = performance.now() + 10_000;
  while (guest.queues[0]!.done < count && performance.now() < endMs) guest.reap(0);
  expect(guest.queues[0]!.done).toBe(count);
}

const SILENT_AT_STOP: BackEndManners = { at: { name: "GET_VRING_BASE", does: "silence" } };

test("a back end that is silent when the relay stops is named, and the relay ends well", async () => {
  await relayed(SILENT_AT_STOP, async ({ relay, path }) => {
    const guest = new TestFront({ path });
    guest.startAll().load(10);
    expect(await relay.stop()).toMatchObject({ code: 0, signal: null, stderr: "" });
    expect(relay.events.find(({ event }) => event === "BACKEND_LOST")?.data["why"]).toMatch(
      /has not answered VHOST_USER_GET_VRING_BASE within its share of the grace/,
    );
    guest.close();
  });
});

test("a stop that comes while a silent back end is waited for shortens that wait", async () => {
  await relayed(SILENT_AT_STOP, async ({ relay, path }) => {
    const guest = new TestFront({ path });
    guest.startAll().load(10);
    relay.send("set-datapath", { datapath: "passthrough" });
    relay.send("query-status");
    expect(await relay.stop()).toMatchObject({ code: 0, signal: null, stderr: "" });
    guest.close();
  });
});

test("a stop ends the wait for a back end that says nothing from the first question on", async () => {
  await relayed({ at: { name: "GET_FEATURES", does: "silence" } }, async ({ relay, path }) => {
    expect(() => new TestFront({ path, timeoutMs: 200 })).toThrow(/has not answered VHOST_USER_GET_FEATURES/);
    expect(await relay.stop()).toMatchObject({ code: 0, signal: null });
  });
});

test.each(["silent", "keeps"] as const)(
  "chains that a back end keeps cost nothing while it returned the older ones: %s",
  async (how) => {
    const manners: BackEndManners = how === "silent" ? SILENT_AT_STOP : { stops: "keeps" };
    await relayed({ ...manners, completesAtMost: 3 }, async ({ relay, path }) => {
      const guest = new TestFront({ path });
      guest.startAll();
      doneBy(guest, 3);
      expect(await relay.stop()).toMatchObject({ code: 0, signal: null, stderr: "" });
      guest.close();
    });
  },
);

test.each(["silent", "keeps"] as const)(
  "the twin: a chain that is kept while a younger one was returned is lost, and named: %s",
  async (how) => {
    const manners: BackEndManners = how === "silent" ? SILENT_AT_STOP : { stops: "keeps" };
    await relayed({ ...manners, keepsOnly: 3 }, async ({ relay, path }) => {
      const guest = new TestFront({ path });
      guest.startAll();
      doneBy(guest, 7);
      expect(await relay.stop()).toEqual({
        code: 4,
        signal: null,
        stderr: expect.stringMatching(/^the guest of .*guest\.sock lost 1 requests that its back end kept\n$/),
      });
      expect(relay.events.filter(({ event }) => event === "QUEUE_BROKEN").at(-1)?.data["reason"]).toMatch(
        /^the back end kept a chain that no guest offers again/,
      );
      guest.close();
    }).catch((error: Error) => {
      // The harness expects 0 of every relay; this one ended before.
      if (!error.message.startsWith("the data process ended with 4")) throw error;
    });
  },
);
