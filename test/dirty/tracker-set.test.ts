import { describe, expect, it } from "vitest";
import { AllDirty } from "../../src/dirty/all-dirty.js";
import { LogTracker } from "../../src/dirty/log-tracker.js";
import { bitmapWords, countPages, hasPage, orPages } from "../../src/dirty/page-bitmap.js";
import { TrackerSet, type WriterClass } from "../../src/dirty/tracker-set.js";
import { errno } from "../../src/layout/errno.js";
import { ramBlocks } from "../../src/memory/guest-ram.js";
import { seededRandom } from "../../src/migration/seeded.js";

const MIB = 2 ** 20;
/** 3 MiB, a hole of 1 MiB, 1 MiB. */
const BLOCKS = ramBlocks(4 * MIB);
const END = 5 * MIB;
const PAGES = END / 4096;
const RAM_PAGES = (4 * MIB) / 4096;

function setOf(policy: "and" | "or" = "and", writers: WriterClass[] = ["vcpu", "device:a"]) {
  const cpu = new LogTracker("cpu", END);
  const device = new LogTracker("a", END);
  const set = new TrackerSet(
    [
      { tracker: cpu, covers: ["vcpu"] },
      { tracker: device, covers: ["device:a"] },
    ],
    { blocks: BLOCKS, writers, policy },
  );
  expect(set.start()).toEqual({ result: 0 });
  return { set, cpu, device };
}

function sync(set: TrackerSet, asksDevices = true): Uint32Array {
  const bitmap = new Uint32Array(bitmapWords(PAGES));
  set.syncAll(bitmap, asksDevices);
  return bitmap;
}

describe("TrackerSet", () => {
  it("ORs what its trackers report, and reports nothing of the hole", () => {
    const { set, cpu, device } = setOf();
    cpu.markAfterWrite(2 * 4096, 1);
    device.markAfterWrite(4 * MIB, 1);
    device.markAfterWrite(3 * MIB + 4096, 1);
    const bitmap = sync(set);
    expect([hasPage(bitmap, 2), hasPage(bitmap, 1024), countPages(bitmap)]).toEqual([true, true, 2]);
    expect(set.degraded).toEqual([]);
  });

  it("makes everything dirty, once, when a tracker answers an error, and says who", () => {
    const { set, device } = setOf();
    const report = device.report.bind(device);
    device.report = () => errno("EIO");
    expect(countPages(sync(set))).toBe(RAM_PAGES);
    expect(set.degraded).toEqual([{ who: "a", why: "EIO" }]);
    device.report = report;
    expect(countPages(sync(set))).toBe(0);
  });

  it("makes everything dirty while a writer class has no tracker; with policy or it says nothing (B12)", () => {
    const and = setOf("and", ["vcpu", "device:a", "device:b"]);
    expect(and.set.uncovered()).toEqual(["device:b"]);
    expect(countPages(sync(and.set))).toBe(RAM_PAGES);
    expect(and.set.degraded).toEqual([{ who: "device:b", why: "uncovered" }]);
    const or = setOf("or", ["vcpu", "device:a", "device:b"]);
    expect(countPages(sync(or.set))).toBe(0);
    expect(or.set.degraded).toEqual([]);
  });

  it("stops what it started when one does not start", () => {
    const { set, cpu, device } = setOf();
    set.stop();
    device.start = () => errno("ENOMEM");
    expect(set.start()).toEqual({ result: errno("ENOMEM"), tracker: "a" });
    expect(cpu.footprintBytes()).toBe(0);
  });

  it("leaves devices unasked where it is told to: what they know comes when they are asked", () => {
    const { set, cpu, device } = setOf();
    cpu.markAfterWrite(0, 1);
    device.markAfterWrite(4096, 1);
    expect(countPages(sync(set, false))).toBe(1);
    expect(countPages(sync(set))).toBe(1);
  });

  it("puts windows of another address space where their pages lie, also between words", () => {
    const tracker = new LogTracker("iova", END);
    const set = new TrackerSet(
      [
        {
          tracker,
          covers: ["device:a"],
          windows: ({ gpa }) => (gpa === 0 ? [{ address: 64 * 4096, bytes: 100 * 4096, gpaPage: 5 }] : []),
        },
      ],
      { blocks: BLOCKS, writers: ["device:a"] },
    );
    set.start();
    for (const page of [64, 95, 96, 163, 164]) tracker.markAfterWrite(page * 4096, 1);
    const bitmap = sync(set);
    expect([5, 36, 37, 104].every((page) => hasPage(bitmap, page))).toBe(true);
    expect(countPages(bitmap)).toBe(4);
  });

  it("reports all of RAM where nobody tracks (B06)", () => {
    const set = new TrackerSet([{ tracker: new AllDirty(), covers: ["vcpu"] }], { blocks: BLOCKS, writers: ["vcpu"] });
    set.start();
    expect(countPages(sync(set))).toBe(RAM_PAGES);
    expect(set.footprintBytes()).toBe(0);
  });
});

it("orPages moves bits to any place and sets no others", () => {
  const random = seededRandom(3);
  for (let run = 0; run < 200; run++) {
    const count = 1 + Math.floor(random() * 120);
    const at = Math.floor(random() * 100);
    const source = Uint32Array.from({ length: 6 }, () => Math.floor(random() * 2 ** 32));
    const target = new Uint32Array(12);
    orPages(target, at, source, count);
    for (let page = 0; page < 384; page++) {
      const wanted = page >= at && page < at + count && hasPage(source, page - at);
      expect(hasPage(target, page)).toBe(wanted);
    }
  }
});
