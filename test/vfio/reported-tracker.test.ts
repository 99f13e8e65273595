/** Dirty pages reported through a virtqueue: what it costs, how it throttles, what it survives. */
import { describe, expect, it, test } from "vitest";
import { LogTracker } from "../../src/dirty/log-tracker.js";
import type { Tracker } from "../../src/dirty/tracker.js";
import { errno } from "../../src/layout/errno.js";
import { DenseRam } from "../../src/memory/guest-ram.js";
import { dmaWrite, WritePort } from "../../src/vfio/dma.js";
import type { FullPolicy } from "../../src/vfio/reported-device.js";
import { REPORT_ASID, REPORT_IOVA, type ReportMemory, writeRun } from "../../src/vfio/reported-memory.js";
import { type ReportedOptions, ReportedTracker } from "../../src/vfio/reported-tracker.js";
import { patchedCopy } from "../helpers/patched-copy.js";
import { BLOCKS, END_PAGE, migrateTracked, type TrackedChange } from "../helpers/tracked-migration.js";

const MIB = 2 ** 20;
const PAGE = 4096;
const ALL = [{ address: 0, bytes: END_PAGE * PAGE }];
const FILE = "vfio/reported-tracker.ts";
type Module = { ReportedTracker: typeof ReportedTracker };

function made(options: Partial<ReportedOptions> = {}, Class = ReportedTracker): ReportedTracker {
  return new Class({ name: "vq", mode: "push", endPage: END_PAGE, bufferCount: 4, ...options });
}

function started(options: Partial<ReportedOptions> = {}): ReportedTracker {
  const tracker = made(options);
  expect(tracker.start(ALL, PAGE)).toBe(PAGE);
  return tracker;
}

/** Every page that is reported now, of all of RAM. */
function pagesOf(tracker: Tracker): number[] {
  const bitmap = new Uint32Array(END_PAGE / 32);
  expect(tracker.report(0, END_PAGE * PAGE, PAGE, bitmap)).toBe(0);
  return [...bitmap].flatMap((bits, word) =>
    Array.from({ length: 32 }, (_, bit) => bit).flatMap((bit) => ((bits >>> bit) & 1 ? word * 32 + bit : [])),
  );
}

/** A migration whose device reports through the queue; its vCPU has a log. */
function migrated(tracker: ReportedTracker, change: TrackedChange = {}) {
  return migrateTracked((guest) => {
    const cpu = new LogTracker("cpu", END_PAGE * PAGE);
    guest.vcpu.markAfterWrite(cpu);
    guest.devices[0]!.markAfterWrite(tracker);
    guest.devices[0]!.addGate(tracker.ready);
    return [
      { tracker: cpu, covers: ["vcpu"] },
      { tracker, covers: ["device:dma0"] },
    ];
  }, change);
}

test.each(["push", "pull"] as const)("%s: nothing is missed, in a whole migration", async (mode) => {
  const tracker = made({ mode });
  const { outcome, verified } = await migrated(tracker);
  expect(outcome).toMatchObject({ status: "completed", degraded: [] });
  expect(outcome.verdict).toMatchObject({ misses: 0, differing: 0 });
  expect(verified).toBe(true);
  expect(tracker.device.counters).toMatchObject({ overflows: 0, dropped: 0, refusedBuffers: 0 });
  expect(tracker.counters.rmw).toBeLessThanOrEqual(tracker.counters.wordsTouched);
});

test("M18: without the flush at the end, what lies in partly filled buffers is lost", async () => {
  const { ReportedTracker: NoFlush } = await patchedCopy<Module>(FILE, [
    FILE,
    "settle(): ErrnoResult {\n    this.device.flush();",
    "settle(): ErrnoResult {",
  ]);
  const { outcome } = await migrated(made({}, NoFlush));
  expect(outcome.verdict!.misses).toBeGreaterThan(0);
});

describe("D32", () => {
  test("D32: the footprint is constant in RAM", () => {
    const footprint = (endPage: number) => {
      const tracker = made({ endPage, bufferCount: 512 });
      tracker.start([{ address: 0, bytes: endPage * PAGE }], PAGE);
      return tracker.footprintBytes();
    };
    const small = footprint(64);
    expect(footprint(2 ** 26)).toBe(small);
    // Two megabytes of buffers: less than a bitmap from 64 GiB on.
    expect(small).toBeGreaterThan(2 * MIB);
    expect(small).toBeLessThan(2.05 * MIB);
    expect(made().footprintBytes()).toBe(0);
  });

  test("D32: a slow consumer throttles the device, nothing is missed", async () => {
    const run = (bufferCount: number) => {
      let nowNs = 0;
      const tracker = made({ bufferCount, cachePages: 0, now: () => (nowNs += 1) });
      return migrated(tracker, { deviceBytesPerSecond: 16 * MIB }).then((result) => ({ tracker, ...result }));
    };
    const narrow = await run(1);
    const wide = await run(64);
    for (const { outcome, verified, tracker } of [narrow, wide]) {
      expect(outcome.verdict).toMatchObject({ misses: 0, differing: 0 });
      expect(verified).toBe(true);
      expect(tracker.device.counters).toMatchObject({ overflows: 0, dropped: 0 });
    }
    expect(wide.tracker.device.counters.stalls).toBe(0);
    expect(narrow.tracker.device.counters.stalls).toBeGreaterThan(0);
    expect(narrow.tracker.device.counters.stallNs).toBeGreaterThan(0);
    // The device wrote what its consumer read, and not more.
    expect(narrow.tracker.device.counters.entries).toBe(narrow.tracker.host.counters.entries);
    expect(narrow.guest.devices[0]!.counters.writes).toBeLessThan(wide.guest.devices[0]!.counters.writes / 2);
  });

  test.each([
    { whenFull: "overflow", misses: 0, degraded: false },
    { whenFull: "drop", misses: 1, degraded: false },
  ] as const)("D32: a queue that is full and does not block: $whenFull", async ({ whenFull, misses }) => {
    const tracker = made({ bufferCount: 1, cachePages: 0, whenFull: whenFull satisfies FullPolicy });
    const { outcome } = await migrated(tracker, { deviceBytesPerSecond: 16 * MIB });
    expect(Math.sign(outcome.verdict!.misses)).toBe(misses);
    const { overflows, dropped, stalls } = tracker.device.counters;
    expect({ overflows: overflows > 0, dropped: dropped > 0, stalls }).toEqual({
      overflows: whenFull === "overflow",
      dropped: whenFull === "drop",
      stalls: 0,
    });
  });
});

describe("D33", () => {
  const payload = Uint8Array.of(1, 2, 3, 4);

  test("D33: the queue is not in the guest's address space: a descriptor that names it faults", () => {
    const tracker = started();
    const ram = DenseRam.allocate(BLOCKS);
    const device = new WritePort({ writer: "device:dma0", ram });
    device.markAfterWrite(tracker);
    const before = Buffer.from(bytesOf(tracker.memory));
    // The guest's device has ASID 0, where nothing lies at the buffer's address.
    const target = tracker.memory.bufferIova(0);
    dmaWrite(device, target, payload);
    expect(device.counters).toMatchObject({ writes: 0, faults: 1 });
    expect(Buffer.compare(before, bytesOf(tracker.memory))).toBe(0);
    expect(tracker.memory.resolve(0, target, 4)).toBeUndefined();
    expect(tracker.memory.resolve(REPORT_ASID, target, 4)).toBeDefined();
    expect(BLOCKS.every(({ gpa, bytes }) => gpa + bytes <= REPORT_IOVA)).toBe(true);
  });

  test("D33: were it there, a guest could wipe out what its device reports", () => {
    const tracker = started();
    tracker.device.markAfterWrite(7 * PAGE, 8);
    // As if one address space held both: the guest's write goes where the address leads.
    const at = tracker.memory.resolve(REPORT_ASID, tracker.memory.bufferIova(0), 8)!;
    tracker.memory.memory.copyIn(at, new Uint8Array(8));
    tracker.settle();
    expect(pagesOf(tracker)).toEqual([0]);
  });

  test.each([4096, REPORT_IOVA - 4096, REPORT_IOVA + 2 ** 30])(
    "D33: the device writes no buffer outside of its own address space: %i; all of RAM is dirty instead",
    (address) => {
      const tracker = made({ bufferCount: 1 });
      const { areas, memory } = tracker.memory;
      memory.write32(areas.desc, address | 0);
      memory.write32(areas.desc + 4, Math.floor(address / 2 ** 32));
      tracker.start(ALL, PAGE);
      tracker.markAfterWrite(3 * PAGE, 8);
      expect(tracker.device.counters).toMatchObject({ refusedBuffers: 1, entries: 0, overflows: 1 });
      const bitmap = new Uint32Array(END_PAGE / 32);
      expect(tracker.report(0, END_PAGE * PAGE, PAGE, bitmap)).toBe(0);
      expect(bitmap.every((bits) => bits === 0xffff_ffff)).toBe(true);
    },
  );
});

test("D34: a device that has to wait for its consumer lets a migration converge that did not", async () => {
  const change = { deviceBytesPerSecond: 64 * MIB, vcpuBytesPerSecond: 0, parameters: { roundsMax: 8 } };
  const free = await migrateTracked((guest) => {
    const log = new LogTracker("log", END_PAGE * PAGE);
    guest.devices[0]!.markAfterWrite(log);
    return [{ tracker: log, covers: ["vcpu", "device:dma0"] }];
  }, change);
  const held = await migrated(made({ bufferCount: 1, reserve: 400, cachePages: 0 }), change);
  expect([free.outcome.converged, held.outcome.converged]).toEqual([false, true]);
  for (const { outcome } of [free, held]) expect(outcome.verdict).toMatchObject({ misses: 0, differing: 0 });
});

test("a device that waits gives back what it has: with one buffer its consumer still gets anywhere", () => {
  const tracker = started({ bufferCount: 1, reserve: 64, cachePages: 0 });
  let page = 0;
  while (tracker.ready()) tracker.markAfterWrite(page++ * PAGE, 8);
  expect(page).toBe(512 - 63);
  expect(pagesOf(tracker)).toHaveLength(page);
  expect(tracker.ready()).toBe(true);
});

describe("entries", () => {
  it("name runs by powers of two: a write of 7 pages takes three", () => {
    const tracker = started({ mode: "pull" });
    tracker.markAfterWrite(100 * PAGE + 1, 6 * PAGE + 1);
    expect(tracker.device.counters.entries).toBe(3);
    expect(pagesOf(tracker)).toEqual([100, 101, 102, 103, 104, 105, 106]);
  });

  it.each([0, 1, 4095])("cover every page that a write touches, from offset %i", (offset) => {
    for (const bytes of [1, 4096, 4097, 8193]) {
      const tracker = started({ mode: "pull" });
      tracker.markAfterWrite(50 * PAGE + offset, bytes);
      const last = Math.floor((offset + bytes - 1) / PAGE);
      expect(pagesOf(tracker)).toEqual(Array.from({ length: last + 1 }, (_, i) => 50 + i));
    }
  });

  it("are left out for pages reported in this generation, and written again in the next", () => {
    const tracker = started({ mode: "pull" });
    const write = () => tracker.markAfterWrite(9 * PAGE, 8);
    write();
    write();
    expect(tracker.device.counters).toMatchObject({ entries: 1, skipped: 1 });
    expect(pagesOf(tracker)).toEqual([9]);
    write();
    expect(tracker.device.counters.entries).toBe(2);
    expect(pagesOf(tracker)).toEqual([9]);
    expect(tracker.host.counters.generations).toBe(2);
  });

  it("in the middle of a run that is partly known leave out the known pages only", () => {
    const tracker = started({ mode: "pull" });
    tracker.markAfterWrite(11 * PAGE, 8);
    tracker.markAfterWrite(10 * PAGE, 3 * PAGE);
    expect(tracker.device.counters).toMatchObject({ entries: 3, skipped: 1 });
    expect(pagesOf(tracker)).toEqual([10, 11, 12]);
  });

  it("go back when a buffer is full (push), or when they are asked for (pull)", () => {
    const fill = (tracker: ReportedTracker) => {
      for (let page = 0; page < 1025; page += 2) tracker.markAfterWrite(page * PAGE, 8);
      return tracker;
    };
    const push = fill(started());
    expect(pagesOf(push)).toHaveLength(512);
    push.settle();
    expect(pagesOf(push)).toEqual([1024]);
    expect(pagesOf(fill(started({ mode: "pull" })))).toHaveLength(513);
  });

  it("outside of what is asked for stay for those who ask; noClear leaves all", () => {
    const tracker = started({ mode: "pull" });
    tracker.markAfterWrite(62 * PAGE, 4 * PAGE);
    const low = () => {
      const bitmap = new Uint32Array(2);
      tracker.report(0, 64 * PAGE, PAGE, bitmap, { noClear: true });
      return bitmap[1]! >>> 0;
    };
    expect([low(), low()]).toEqual([0xc000_0000, 0xc000_0000]);
    const high = new Uint32Array(2);
    tracker.report(64 * PAGE, 64 * PAGE, PAGE, high);
    expect(high[0]).toBe(3);
    expect(pagesOf(tracker)).toEqual([62, 63]);
  });
});

describe("a device that lies", () => {
  it.each([
    ["a page beyond RAM", END_PAGE, 0],
    ["a run that ends beyond RAM", END_PAGE - 1, 1],
    ["a run of 2^63 pages", 0, 63],
    ["a page of 2^41 and more", 2 ** 41, 0],
  ])("about pages: %s; EIO, and the next report is right again", (_, page, shift) => {
    const tracker = started({ mode: "pull" });
    tracker.markAfterWrite(3 * PAGE, 8);
    const at = tracker.memory.resolve(REPORT_ASID, tracker.memory.bufferIova(0), 8)!;
    writeRun(tracker.memory.memory, at, page, shift);
    expect(tracker.report(0, END_PAGE * PAGE, PAGE, new Uint32Array(END_PAGE / 32))).toBe(errno("EIO"));
    expect(tracker.host.counters.faults).toBe(1);
    tracker.markAfterWrite(5 * PAGE, 8);
    expect(pagesOf(tracker)).toEqual([5]);
  });

  it("about its used ring: EIO from then on, and no exception", () => {
    const tracker = started();
    const { areas, memory } = tracker.memory;
    memory.publish16(areas.used + 2, 100);
    const report = () => tracker.report(0, PAGE, PAGE, new Uint32Array(2));
    expect([report(), report()]).toEqual([errno("EIO"), errno("EIO")]);
    expect(tracker.host.counters.faults).toBe(1);
  });

  it("makes all of RAM dirty in a migration, which ends well", async () => {
    const tracker = made();
    let told = 0;
    const { outcome } = await migrated(tracker, {
      onProgress: () => {
        if (++told === 3) tracker.memory.memory.publish16(tracker.memory.areas.used + 2, 999);
      },
    });
    expect(outcome.degraded).toEqual([{ who: "vq", why: "EIO" }]);
    expect(outcome.verdict).toMatchObject({ misses: 0, differing: 0 });
  });
});

function bytesOf({ memory }: ReportMemory): Uint8Array {
  const bytes = new Uint8Array(memory.byteLength);
  memory.copyOut(0, bytes);
  return bytes;
}
