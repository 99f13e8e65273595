/** One suite for the three ways in which a device keeps what it wrote (specification 3.8). */
import { describe, expect, it } from "vitest";
import { bitmapWords, countPages } from "../../src/dirty/page-bitmap.js";
import { PAGE_BYTES } from "../../src/memory/address.js";
import { combineRanges } from "../../src/vfio/iova-ranges.js";
import { QueueBackend } from "../../src/vfio/queue-backend.js";
import { SeqAckBackend } from "../../src/vfio/seqack-backend.js";
import { seeded } from "../iova/seeded.js";
import { start } from "./feature-calls.js";
import { BACKENDS, BLOCKS, Ground, loggedBy, MIB, pagesIn, reported } from "./ground.js";

const WRITES = 1_000_000;
const RANGES = [
  { address: 0, bytes: 64 * MIB },
  { address: 64 * MIB, bytes: 32 * MIB },
  { address: 128 * MIB, bytes: 32 * MIB },
];
const END_PAGES = (160 * MIB) / PAGE_BYTES;

describe.each(BACKENDS)("%s back end", (_, backend) => {
  function logged() {
    const ground = new Ground();
    const port = ground.port("device:a");
    return { ground, port, tracker: loggedBy(port, backend()) };
  }

  it("T3.2: of a million random writes over ranges and a hole each is reported, and nothing else, in every page size", () => {
    const random = seeded(7);
    const { tracker } = logged();
    expect(tracker.start(RANGES, PAGE_BYTES)).toBe(PAGE_BYTES);
    const written = new Uint8Array(END_PAGES);
    const seen = new Uint8Array(END_PAGES);
    const hole = [(96 * MIB) / PAGE_BYTES, (128 * MIB) / PAGE_BYTES] as const;
    let over = 0;
    let missed = 0;
    const take = (firstPage: number, pages: number, grain: number) => {
      for (const bit of reported(tracker, firstPage * PAGE_BYTES, pages * PAGE_BYTES, grain * PAGE_BYTES)) {
        const end = Math.min((bit + 1) * grain, pages);
        for (let page = bit * grain; page < end; page++) seen[firstPage + page] = 1;
        if (grain === 1 && written[firstPage + bit] === 0) over += 1;
      }
      // All of it has to have been in this report or one before.
      for (let page = firstPage; page < firstPage + pages; page++) {
        if (written[page] === 1 && seen[page] === 0) missed += 1;
        written[page] = 0;
        seen[page] = 0;
      }
    };
    for (let i = 0; i < WRITES; i++) {
      const page = random(END_PAGES);
      tracker.markAfterWrite(page * PAGE_BYTES + random(PAGE_BYTES), 1);
      if (page < hole[0] || page >= hole[1]) written[page] = 1;
      if (i % 20_000 === 0) {
        const first = random(END_PAGES - 1);
        take(first, 1 + random(END_PAGES - first), [1, 2, 16, 512][random(4)]!);
      }
    }
    take(0, END_PAGES, 1);
    expect({ over, missed }).toEqual({ over: 0, missed: 0 });
  });

  it("T3.3: a report after a report has nothing when nobody wrote", () => {
    const { ground, tracker } = logged();
    tracker.start([{ address: 0, bytes: 12 * MIB }], PAGE_BYTES);
    for (const page of [0, 31, 32, 63, 64, 3071]) ground.touch("device:a", page);
    expect(reported(tracker, 0, 12 * MIB)).toEqual([0, 31, 32, 63, 64, 3071]);
    expect(reported(tracker, 0, 12 * MIB)).toEqual([]);
  });

  it("T3.4: reports of two devices into one bitmap are OR-ed", () => {
    const { ground, tracker } = logged();
    const other = loggedBy(ground.port("device:b"), backend());
    for (const one of [tracker, other]) one.start([{ address: 0, bytes: MIB }], PAGE_BYTES);
    ground.touch("device:a", 3);
    ground.touch("device:b", 3);
    ground.touch("device:b", 40);
    const bitmap = new Uint32Array(bitmapWords(256));
    bitmap[7] = 1;
    for (const one of [tracker, other]) expect(one.report(0, MIB, PAGE_BYTES, bitmap)).toBe(0);
    expect(pagesIn(bitmap)).toEqual([3, 40, 7 * 32]);
  });

  it("M9: REPORT sets bits and clears none that it found", () => {
    const { ground, tracker } = logged();
    tracker.start([{ address: 0, bytes: MIB }], PAGE_BYTES);
    ground.touch("device:a", 9);
    const bitmap = new Uint32Array(bitmapWords(256)).fill(0x5555_5555);
    tracker.report(0, MIB, PAGE_BYTES, bitmap);
    expect(countPages(bitmap)).toBe(129);
    tracker.report(0, MIB, PAGE_BYTES, bitmap);
    expect(countPages(bitmap)).toBe(129);
  });

  it("T3.5: reports between which the device writes lose nothing, once it is quiet and asked again", () => {
    const random = seeded(11);
    const ground = new Ground();
    const port = ground.port("device:a");
    const device = { writes: true };
    const meanwhile = () => void (device.writes && ground.touch("device:a", random(3072)));
    const pace = { posted: 2, consumed: 1, meanwhile };
    const queue = backend() instanceof QueueBackend;
    const tracker = loggedBy(port, queue ? new QueueBackend(undefined, pace) : backend());
    const set = ground.trackers([{ tracker, covers: ["device:a"] }]);
    expect(set.start().result).toBe(0);
    ground.oracle.begin();
    for (let step = 0; step < 2000; step++) {
      for (let i = random(40); i > 0; i--) ground.touch("device:a", random(3072));
      if (step % 7 === 0) ground.round(set);
    }
    device.writes = false;
    expect(ground.finish(set)).toBe(0);
  });

  it("A10: the hole between combined ranges is logged, and shown only to whoever asks for it", () => {
    const ground = new Ground();
    const tracker = loggedBy(ground.port("device:a"), backend(), { rangesMax: 2 });
    const layout = [
      { address: 0, bytes: 192 * MIB },
      { address: 256 * MIB, bytes: 64 * MIB },
      { address: 1024 * MIB, bytes: 16 * MIB },
    ];
    expect(tracker.start(layout, PAGE_BYTES)).toBe(PAGE_BYTES);
    expect(tracker.device.logger!.ranges).toEqual([
      { firstPage: 0, pageCount: (320 * MIB) / PAGE_BYTES },
      { firstPage: (1024 * MIB) / PAGE_BYTES, pageCount: (16 * MIB) / PAGE_BYTES },
    ]);
    const inHole = 200 * MIB;
    for (const address of [0, inHole, 256 * MIB, 1024 * MIB, 512 * MIB]) tracker.markAfterWrite(address, 1);
    expect(layout.map(({ address, bytes }) => reported(tracker, address, bytes))).toEqual([[0], [0], [0]]);
    expect(reported(tracker, 192 * MIB, 64 * MIB)).toEqual([(8 * MIB) / PAGE_BYTES]);
    expect(reported(tracker, 0, 2048 * MIB)).toEqual([]);
  });

  it("M21: a report of some pages of a word leaves the word's other pages for the next one", () => {
    const { ground, tracker } = logged();
    tracker.start([{ address: 0, bytes: MIB }], PAGE_BYTES);
    for (const page of [2, 5, 9, 40]) ground.touch("device:a", page);
    expect(reported(tracker, 4 * PAGE_BYTES, 4 * PAGE_BYTES)).toEqual([1]);
    expect(reported(tracker, 0, MIB)).toEqual([2, 9, 40]);
  });

  it("a page written again after its report is reported again, as often as that happens", () => {
    const { ground, tracker } = logged();
    tracker.start([{ address: 0, bytes: MIB }], PAGE_BYTES);
    for (let i = 0; i < 5; i++) {
      ground.touch("device:a", 6);
      ground.touch("device:a", 6);
      expect(reported(tracker, 0, MIB)).toEqual([6]);
    }
  });

  it("a device page that is asked for in part is shown, and stays pending until all of it was asked for", () => {
    const ground = new Ground();
    const tracker = loggedBy(ground.port("device:a"), backend(), { pageBytesMin: 65_536 });
    expect(tracker.start([{ address: 0, bytes: MIB }], PAGE_BYTES)).toBe(65_536);
    ground.touch("device:a", 18);
    expect(reported(tracker, 20 * PAGE_BYTES, 4 * PAGE_BYTES)).toEqual([0, 1, 2, 3]);
    expect(reported(tracker, 0, MIB)).toEqual(Array.from({ length: 16 }, (_unused, i) => 16 + i));
    expect(reported(tracker, 0, MIB)).toEqual([]);
  });

  it("T3.6: a device that answers EIO makes everything dirty, and memory is equal in the end", () => {
    const { ground, tracker } = logged();
    const set = ground.trackers([{ tracker, covers: ["device:a"] }]);
    set.start();
    ground.oracle.begin();
    for (const page of ground.pages()) if (page % 50 === 0) ground.touch("device:a", page);
    ground.round(set);
    for (const page of ground.pages()) if (page % 77 === 0) ground.touch("device:a", page);
    tracker.device.logger!.broken = true;
    expect(ground.finish(set)).toBe(0);
    expect(set.degraded).toEqual([{ who: "device:device:a", why: "EIO" }]);
    expect(ground.oracle.judge(ground.ram, ground.destination).differing).toBe(0);
  });
});

describe("ways that differ", () => {
  it("seq and ack are two bitmaps, the queue a constant, the bitmap grows with what is logged", () => {
    const sizes = BACKENDS.map(([name, make]) => {
      const sizeOf = (bytes: number) => {
        const tracker = loggedBy(new Ground().port("device:a"), make());
        tracker.start([{ address: 0, bytes }], PAGE_BYTES);
        return tracker.footprintBytes();
      };
      return [name, sizeOf(256 * MIB), sizeOf(1024 * MIB)];
    });
    expect(sizes).toEqual([
      ["bitmap", 8192, 32_768],
      ["seqack", 16_384, 65_536],
      ["queue", 16_384, 16_384],
    ]);
  });

  it("the queue sends full messages and a last one that is not, waits for buffers, and drops nothing", () => {
    const queue = new QueueBackend(undefined, { posted: 2, consumed: 1 });
    const tracker = loggedBy(new Ground().port("device:a"), queue);
    tracker.start([{ address: 0, bytes: 64 * MIB }], PAGE_BYTES);
    tracker.markAfterWrite(0, 2000 * PAGE_BYTES);
    expect(reported(tracker, 0, 64 * MIB)).toHaveLength(2000);
    expect(queue.queue).toEqual({ pulls: 1, messages: 4, done: 1, stalls: 2 });
    expect(tracker.counters.bytesMarshalled).toBe(16_000);
  });

  it("M18: the queue's last message is sent although it is not full", () => {
    const tracker = loggedBy(new Ground().port("device:a"), new QueueBackend());
    tracker.start([{ address: 0, bytes: MIB }], PAGE_BYTES);
    tracker.markAfterWrite(7 * PAGE_BYTES, 1);
    expect(reported(tracker, 0, MIB)).toEqual([7]);
  });

  it("seq and ack: nobody clears what the other sets, a report without a clear changes nothing", () => {
    const backend = new SeqAckBackend();
    backend.start(64);
    backend.mark(3, 2);
    const seen: number[][] = [];
    backend.collect(0, 64, false, (first, count) => seen.push([first, count]));
    backend.collect(0, 64, true, (first, count) => seen.push([first, count]));
    backend.collect(0, 64, true, (first, count) => seen.push([first, count]));
    expect(seen).toEqual([
      [3, 2],
      [3, 2],
    ]);
  });

  it("ranges are combined over the smallest gap, the lowest of equal ones", () => {
    const ranges = [range(0, 1), range(2, 3), range(10, 11)];
    expect(combineRanges(ranges, 3)).toEqual(ranges);
    expect(combineRanges(ranges.toReversed(), 2)).toEqual([range(0, 3), range(10, 11)]);
    expect(combineRanges(ranges, 1)).toEqual([range(0, 11)]);
    expect(combineRanges([range(0, 1), range(2, 3), range(4, 5)], 2)).toEqual([range(0, 3), range(4, 5)]);
  });

  it("A08: a device logs without any IOMMU, and nobody asks it in which migration state it is", () => {
    const tracker = loggedBy(new Ground().port("device:a"));
    for (const state of ["RUNNING", "STOP", "PRE_COPY"]) {
      expect([state, start(tracker.device).result]).toEqual([state, 0]);
      expect(tracker.stop()).toBe(0);
    }
  });

  it("a tracker's mark takes one read-modify-write for each word of 32 pages", () => {
    const tracker = loggedBy(new Ground().port("device:a"));
    tracker.start(
      BLOCKS.map(({ gpa, bytes }) => ({ address: gpa, bytes })),
      PAGE_BYTES,
    );
    tracker.markAfterWrite(0, 64 * PAGE_BYTES);
    tracker.markAfterWrite(16 * PAGE_BYTES, 32 * PAGE_BYTES);
    expect(tracker.counters).toMatchObject({ marks: 2, wordsTouched: 4, rmw: 4 });
  });
});

function range(first: number, end: number): { firstPage: number; pageCount: number } {
  return { firstPage: first, pageCount: end - first };
}
