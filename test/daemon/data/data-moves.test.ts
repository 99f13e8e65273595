/** Requests through a data process: they arrive, once, with their data, on both paths, whatever changes meanwhile. */
import { expect, test } from "vitest";
import { BlkFront } from "../../../src/daemon/data/blk-front.js";
import { type RelayedOptions, withRelayed } from "../../helpers/data-process.js";
import { type FrontOptions, TestFront } from "../../helpers/vhost-front.js";

const GIB = 2 ** 30;

/** Lets a front end load a relay, and expects that each request was carried out once. */
async function loaded(
  relay: RelayedOptions,
  front: Omit<FrontOptions, "path">,
  count: number,
  use: (front: TestFront, ask: (execute: string, args?: Record<string, unknown>) => Record<string, unknown>) => void = (
    guest,
  ) => guest.load(count),
): Promise<void> {
  await withRelayed(relay, ({ relay: process, path }) => {
    const guest = new TestFront({ path, ...front });
    guest.startAll();
    use(guest, (execute, args = {}) => process.ask(execute, args));
    expect(guest.executed()).toBe(guest.submitted);
    guest.close();
    expect(process.heard("QUEUE_BROKEN")).toEqual([]);
  });
}

test.each([
  ["svq", {}, {}],
  ["passthrough", {}, {}],
  ["svq", { queues: 4 }, { queues: 4 }],
  ["passthrough", { queues: 4 }, { queues: 4 }],
  ["svq", {}, { eventIdx: true }],
  ["svq", {}, { indirect: true }],
  ["svq", { queues: 4 }, { queues: 4, eventIdx: true, indirect: true }],
  ["svq", {}, { slots: true }],
  ["svq", { iovaPolicy: "gpa" }, {}],
  ["svq", { sessions: [{ order: "reversed" }] }, {}],
  ["svq", { sessions: [{ lateMs: 2 }] }, { eventIdx: true }],
  ["svq", { sessions: [{ without: ["protocol"] }] }, {}],
  ["svq", { sessions: [{ without: ["reply-ack", "slots", "mq", "event-idx", "indirect"] }] }, {}],
  ["svq", { shadowQueueSize: 4 }, { num: 4, depth: 4, indirect: true }],
] as const)("data passes: %s, back end %j, front end %j", async (datapath, relay, front) => {
  await loaded({ ...relay, datapath } as RelayedOptions, front, 2000);
});

test("the areas of a ring may lie across the edge of a window, and buffers beyond it", async () => {
  const ram = [{ at: 0, bytes: 3 * GIB }];
  // The descriptor table of 256 entries begins one page before, its last entries lie behind.
  const front = { ram, num: 256, ringAt: GIB - 0x800, bufferAt: 2 * GIB - 0x8000, indirect: true };
  await loaded({}, front, 1000);
});

test("the front end that measures reads what it wrote, also after its queue was stopped", async () => {
  await withRelayed({}, ({ path }) => {
    const depth = 4;
    const sizes = { num: 64, depth, requestBytes: 4096, eventIdx: true };
    const front = new BlkFront({ path, timeoutMs: 10_000, ...sizes });
    front.start();
    for (const write of [true, false]) {
      let left = 100;
      front.run(
        (slot) => {
          if (left-- === 0) return undefined;
          front.data(slot, 4096).fill(write ? slot + 1 : 0);
          return { write, sector: slot * 8, bytes: 4096 };
        },
        (slot) => expect(front.data(slot, 4096).every((byte) => byte === slot + 1)).toBe(true),
      );
      expect(front.stop()).toBe(write ? 100 : 200);
      front.start();
    }
    front.close();
  });
});
