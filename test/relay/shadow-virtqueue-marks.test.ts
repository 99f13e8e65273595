import { describe, expect, test } from "vitest";
import { availEventOffset, VRING_USED } from "../../src/layout/virtio-ring.js";
import { ForwardingMemory } from "../../src/memory/forwarding-memory.js";
import { type HandDescriptor, type HandOptions, HandRings, usedRingPages } from "../helpers/hand-rings.js";
import { type Access, LateMemory, RecordingMemory } from "../helpers/odd-memory.js";

const out = (address: number, bytes: number): HandDescriptor => ({ address, bytes });
const into = (address: number, bytes: number): HandDescriptor => ({ address, bytes, writable: true });

/** Forwards one chain there and back with a used length of `len`. */
function roundTrip(bench: HandRings, elements: readonly HandDescriptor[], len: number): void {
  bench.chain(0, elements);
  bench.offer(0);
  bench.relay.forwardAvail();
  bench.use([bench.newHeads()[0]!, len]);
  bench.relay.forwardUsed();
}

/** Pages marked besides those of the used ring. */
function bufferPages(bench: HandRings): number[] {
  const ring = usedRingPages(bench);
  return bench.takeDirty().filter((page) => !ring.includes(page));
}

describe("marks", () => {
  test("cover every page of the writable part, whatever length the device reports, and no readable page (TOL-03, D04)", () => {
    for (const len of [0, 1, 5000, 10_000]) {
      const bench = new HandRings();
      roundTrip(bench, [out(0x10000, 9000), into(0x20fff, 2), into(0x30000, 8192), into(0x5ffff, 1)], len);
      expect(bufferPages(bench)).toEqual([0x20, 0x21, 0x30, 0x31, 0x5f]);
    }
  });

  test("with used-len cover the first so many bytes of it: fewer pages of the same", () => {
    const chain = [out(0x10000, 9000), into(0x20fff, 2), into(0x30000, 8192), into(0x5ffff, 1)];
    for (const [len, pages] of [
      [0, []],
      [1, [0x20]],
      [2, [0x20, 0x21]],
      [3, [0x20, 0x21, 0x30]],
      [2 + 4096, [0x20, 0x21, 0x30]],
      [2 + 4097, [0x20, 0x21, 0x30, 0x31]],
      [8195, [0x20, 0x21, 0x30, 0x31, 0x5f]],
      [2 ** 32 - 1, [0x20, 0x21, 0x30, 0x31, 0x5f]],
    ] as const) {
      const bench = new HandRings({ policy: "used-len" });
      roundTrip(bench, chain, len);
      expect(bufferPages(bench), `${len} bytes`).toEqual(pages);
    }
  });

  test("with hybrid are those of used-len, and all of what is in flight when the device stops; one a word", () => {
    for (const [policy, stopped] of [
      ["hybrid", [0x20, 0x30, 0x31, 0x33]],
      ["used-len", []],
    ] as const) {
      const bench = new HandRings({ policy });
      roundTrip(bench, [into(0x40000, 8192)], 1);
      expect(bufferPages(bench)).toEqual([0x40]);
      bench.chain(1, [into(0x20000, 1), into(0x30000, 8192)]);
      bench.chain(4, [into(0x33000, 1)]);
      bench.offer(1, 4);
      bench.relay.forwardAvail();
      bench.relay.stop({ lastAvailIdx: 1, usedIdx: 1 });
      expect(bufferPages(bench)).toEqual(stopped);
    }
  });

  test("follow the guest's pages, not the device's: each piece of a buffer over the border of mappings", () => {
    const mappings = Array.from({ length: 256 }, (_, i) => ({
      gpa: i * 4096,
      bytes: 4096,
      iova: (999 - 3 * i) * 4096,
    }));
    for (const policy of ["all-writable", "used-len"] as const) {
      const bench = new HandRings({ mappings, policy });
      roundTrip(bench, [into(0x1ffff, 0x2002)], 0x2002);
      expect(bufferPages(bench)).toEqual([0x1f, 0x20, 0x21, 0x22]);
    }
  });

  test("are those of the moment of forwarding: a guest that rewrites its descriptors changes nothing (CLEAN-01)", () => {
    const bench = new HandRings();
    bench.chain(0, [into(0x20000, 1)]);
    bench.offer(0);
    bench.relay.forwardAvail();
    bench.chain(0, [into(0x70000, 1)]);
    bench.use([bench.newHeads()[0]!, 1]);
    bench.relay.forwardUsed();
    expect(bufferPages(bench)).toEqual([0x20]);
  });

  test("of a broken queue cover all that its device may still have written", () => {
    const bench = new HandRings();
    bench.chain(0, [out(0x10000, 9000), into(0x20fff, 2)]);
    bench.chain(4, [into(0x40000, 4097)]);
    bench.offer(0, 4);
    bench.relay.forwardAvail();
    expect(bufferPages(bench)).toEqual([]);
    bench.relay.abandon();
    expect(bufferPages(bench)).toEqual([0x20, 0x21, 0x40, 0x41]);
  });

  test("reach page 0 and the last page, and bits 31 and 32 of neighbouring words", () => {
    const bench = new HandRings();
    roundTrip(bench, [into(0, 1), into(31 * 4096, 4096), into(32 * 4096, 4096), into(255 * 4096 + 4095, 1)], 0);
    expect(bufferPages(bench)).toEqual([0, 31, 32, 255]);
  });

  test("cover used entries and index, over the wrap of the ring, on as many pages as it has", () => {
    const bench = new HandRings({ num: 1024 });
    const entry = (index: number) => bench.guest.used + 4 + (index & 1023) * 8;
    for (let index = 0; index < 3000; index++) {
      bench.takeDirty();
      roundTrip(bench, [out(0x10000, 1)], 0);
      const wanted = new Set([bench.guest.used, entry(index), entry(index) + 7].map((at) => at >>> 12));
      expect(new Set(bench.takeDirty())).toEqual(wanted);
    }
  });

  test("cover the flags and the event word that the relay writes", () => {
    for (const eventIdx of [false, true]) {
      const bench = new HandRings({ num: 1024, eventIdx });
      bench.relay.step();
      bench.relay.arm();
      const page = (bench.guest.used + (eventIdx ? availEventOffset(1024) : VRING_USED.offsets.flags)) >>> 12;
      expect(bench.takeDirty()).toContain(page);
    }
  });

  test("are not made while nobody logs, and made from the moment on at which somebody does", () => {
    const bench = new HandRings({ log: false });
    roundTrip(bench, [into(0x20000, 1)], 1);
    bench.relay.arm();
    expect([bench.takeDirty(), bench.counter("dirtyMarks")]).toEqual([[], 0]);
    bench.chain(0, [into(0x20000, 1)]);
    bench.offer(0);
    bench.relay.forwardAvail();
    bench.marks.log = bench.log;
    bench.use([bench.newHeads()[0]!, 1]);
    bench.relay.forwardUsed();
    expect(bufferPages(bench)).toEqual([0x20]);
  });
});

/** Runs a round trip over recording memories; the verbs on guest RAM and log in their order. */
function recorded(options: HandOptions, late = false): { record: Access[]; bench: HandRings } {
  const record: Access[] = [];
  const note = (access: Access) => record.push(access);
  const bench = new HandRings({
    ...options,
    wrapGuest: (memory) => {
      const recording = new RecordingMemory(memory, "guest", note);
      return late ? new LateMemory(recording) : recording;
    },
    wrapLog: (memory) => new RecordingMemory(memory, "log", note),
  });
  roundTrip(bench, [into(0x20000, 1), into(0x9f000, 1)], 1);
  bench.relay.arm();
  return { record, bench };
}

/** Whether each store to the used ring is followed by a mark of its page before `record` ends. */
function everyStoreIsMarkedAfter(record: readonly Access[]): boolean {
  return record.every(({ who, verb, offset }, i) => {
    if (who !== "guest" || (verb !== "write" && verb !== "publish")) return true;
    const word = Math.floor(offset / 4096 / 32) * 4;
    return record
      .slice(i + 1)
      .some((later) => later.who === "log" && later.verb === "setBits" && later.offset === word);
  });
}

/** Whether the buffers' pages were marked before the used index was published. */
function buffersAreMarkedBeforeIndex(record: readonly Access[], bench: HandRings): boolean {
  const published = record.findIndex(({ verb, offset }) => verb === "publish" && offset === bench.guest.used + 2);
  const words = record
    .slice(0, published)
    .filter(({ verb }) => verb === "setBits")
    .map(({ offset }) => offset);
  return published > 0 && [0x20, 0x9f].every((page) => words.includes((page >>> 5) * 4));
}

describe("write, then mark", () => {
  for (const eventIdx of [false, true]) {
    test(`each store to the used ring is followed by its mark (${eventIdx ? "event index" : "flags"})`, () => {
      expect(everyStoreIsMarkedAfter(recorded({ eventIdx }).record)).toBe(true);
    });
  }

  test("stores that become visible after their mark: found (twin)", () => {
    expect(everyStoreIsMarkedAfter(recorded({}, true).record)).toBe(false);
  });

  test("the buffers are marked before the guest can see the index, with either policy", () => {
    for (const policy of ["all-writable", "used-len"] as const) {
      const { record, bench } = recorded({ policy });
      const pages = policy === "used-len" ? [0x20] : [0x20, 0x9f];
      const published = record.findIndex(({ verb, offset }) => verb === "publish" && offset === bench.guest.used + 2);
      const before = record
        .slice(0, published)
        .filter(({ verb }) => verb === "setBits")
        .map(({ offset }) => offset);
      expect(pages.every((page) => before.includes((page >>> 5) * 4))).toBe(true);
    }
  });

  test("marks that come after the index: found (twin)", () => {
    const { record, bench } = recorded({});
    expect(buffersAreMarkedBeforeIndex(record, bench)).toBe(true);
    const marksLast = [...record].sort((a, b) => Number(a.verb === "setBits") - Number(b.verb === "setBits"));
    expect(buffersAreMarkedBeforeIndex(marksLast, bench)).toBe(false);
  });

  test("entries and index are stored in this order: entry, then index, then the look at the guest's wish", () => {
    for (const eventIdx of [false, true]) {
      const { record, bench } = recorded({ eventIdx });
      const find = (verb: Access["verb"], offset: number) =>
        record.findLastIndex((a) => a.verb === verb && a.offset === offset);
      const entry = find("write", bench.guest.used + 8);
      const index = find("publish", bench.guest.used + 2);
      const fence = record.findIndex(({ verb, who }, i) => i > index && verb === "fence" && who === "guest");
      const wish = record.findIndex(({ verb }, i) => i > index && verb === "observe");
      expect(entry).toBeGreaterThan(0);
      expect(entry).toBeLessThan(index);
      expect(fence).toBeGreaterThan(index);
      expect(fence).toBeLessThan(wish);
    }
  });
});

test("a lost mark leaves its page clean: seen by this very comparison (twin)", () => {
  class Forgetful extends ForwardingMemory {
    override setBits32(offset: number, bits: number): void {
      if (offset !== 4) super.setBits32(offset, bits);
    }
  }
  const bench = new HandRings({ wrapLog: (memory) => new Forgetful(memory) });
  roundTrip(bench, [into(0x20000, 1), into(0x70000, 1)], 1);
  expect(bufferPages(bench)).toEqual([0x70]);
});
