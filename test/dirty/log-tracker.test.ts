import { describe, expect, it } from "vitest";
import { logBytes } from "../../src/dirty/dirty-log.js";
import { LogTracker } from "../../src/dirty/log-tracker.js";
import { bitmapWords, countPages, hasPage } from "../../src/dirty/page-bitmap.js";
import { errno } from "../../src/layout/errno.js";
import { RealMemory } from "../../src/memory/real-memory.js";
import { seededRandom } from "../../src/migration/seeded.js";

const PAGES = 640;
const END = PAGES * 4096;

function started(): LogTracker {
  const tracker = new LogTracker("log", END);
  expect(tracker.start([{ address: 0, bytes: END }], 4096)).toBe(4096);
  return tracker;
}

function pagesOf(bitmap: Uint32Array, count: number): number[] {
  return Array.from({ length: count }, (_, page) => page).filter((page) => hasPage(bitmap, page));
}

describe("LogTracker", () => {
  it("starts clean, reports each mark once, and knows nothing when it is not started", () => {
    const tracker = new LogTracker("log", END);
    const bitmap = new Uint32Array(bitmapWords(PAGES));
    expect(tracker.report(0, END, 4096, bitmap)).toBe(errno("EINVAL"));
    tracker.markAfterWrite(0, 1);
    expect(tracker.footprintBytes()).toBe(0);
    tracker.start([{ address: 0, bytes: END }], 4096);
    tracker.markAfterWrite(4095, 2);
    expect(tracker.report(0, END, 4096, bitmap)).toBe(0);
    expect(pagesOf(bitmap, PAGES)).toEqual([0, 1]);
    const again = new Uint32Array(bitmap.length);
    tracker.report(0, END, 4096, again);
    expect(countPages(again)).toBe(0);
    expect(tracker.footprintBytes()).toBe(PAGES / 8);
    expect(tracker.stop()).toBe(0);
    expect(tracker.stop()).toBe(0);
  });

  it.each([1, 4096, 4097, 8193])("marks every page of a write of %i bytes, at offsets 0, 1 and 4095 (6.4)", (bytes) => {
    for (const offset of [0, 1, 4095]) {
      const tracker = started();
      const bitmap = new Uint32Array(bitmapWords(PAGES));
      tracker.markAfterWrite(40 * 4096 + offset, bytes);
      tracker.report(0, END, 4096, bitmap);
      const last = Math.floor((40 * 4096 + offset + bytes - 1) / 4096);
      expect(pagesOf(bitmap, PAGES)).toEqual(Array.from({ length: last - 39 }, (_, i) => 40 + i));
    }
  });

  it("reports any range, and leaves what lies outside of it for the next: ranges add up to the whole", () => {
    const random = seededRandom(5);
    for (let run = 0; run < 50; run++) {
      const tracker = started();
      const marked = Array.from({ length: 60 }, () => Math.floor(random() * PAGES));
      for (const page of marked) tracker.markAfterWrite(page * 4096 + 9, 1);
      const found = new Set<number>();
      for (let first = 0; first < PAGES; ) {
        const pages = Math.min(PAGES - first, 1 + Math.floor(random() * 90));
        const bitmap = new Uint32Array(bitmapWords(pages));
        tracker.report(first * 4096, pages * 4096, 4096, bitmap);
        for (const page of pagesOf(bitmap, bitmap.length * 32)) {
          expect(page).toBeLessThan(pages);
          expect(found.has(first + page)).toBe(false);
          found.add(first + page);
        }
        first += pages;
      }
      expect([...found].sort((a, b) => a - b)).toEqual([...new Set(marked)].sort((a, b) => a - b));
    }
  });

  it("leaves everything in place with noClear, and reports coarser pages", () => {
    const tracker = started();
    tracker.markAfterWrite(35 * 4096, 1);
    for (let look = 0; look < 2; look++) {
      const bitmap = new Uint32Array(bitmapWords(PAGES));
      tracker.report(0, END, 4096, bitmap, { noClear: true });
      expect(pagesOf(bitmap, PAGES)).toEqual([35]);
    }
    const coarse = new Uint32Array(bitmapWords(PAGES));
    tracker.report(0, END, 65_536, coarse);
    expect(pagesOf(coarse, PAGES)).toEqual([2]);
  });

  it("takes one bit a page of RAM: 32 MiB of log for 1 TiB, wherever the marks come from (D17)", () => {
    expect(logBytes(2 ** 40)).toBe(32 * 2 ** 20);
    const tracker = new LogTracker("log", 2 ** 30);
    expect(tracker.footprintBytes(), "before it is started").toBe(0);
    expect(tracker.start([{ address: 0, bytes: 2 ** 30 }], 4096)).toBe(4096);
    expect(tracker.footprintBytes()).toBe(logBytes(2 ** 30));
  });

  it("makes one read-modify-write a 32-page word, counted where they are made", () => {
    const tracker = started();
    tracker.markAfterWrite(0, 64 * 4096);
    tracker.markAfterWrite(31 * 4096, 2 * 4096);
    expect(tracker.counters).toMatchObject({ marks: 2, rmw: 4, wordsTouched: 4 });
  });

  it("its counter sees a marker that takes one for each page", () => {
    const tracker = started();
    tracker.memory.nextMark();
    for (let page = 0; page < 32; page++) tracker.memory.setBits32(0, 1 << page);
    tracker.report(0, END, 4096, new Uint32Array(bitmapWords(PAGES)));
    expect(tracker.counters).toMatchObject({ rmw: 32, wordsTouched: 1 });
  });

  it("harvests a clean log of 10^6 pages by looks alone, none of them word by word", () => {
    const pages = 1_000_000;
    const looks = { words: 0, lists: 0, takes: 0 };
    class Watched extends RealMemory {
      override read32(offset: number): number {
        looks.words += 1;
        return super.read32(offset);
      }
      override takeBits32(offset: number): number {
        looks.takes += 1;
        return super.takeBits32(offset);
      }
      override listNonZero32(offset: number, end: number, found: Int32Array): number {
        looks.lists += 1;
        return super.listNonZero32(offset, end, found);
      }
    }
    const memory = new Watched(new SharedArrayBuffer(bitmapWords(pages) * 4));
    const tracker = new LogTracker("log", pages * 4096, memory);
    tracker.start([], 4096);
    Object.assign(looks, { words: 0, lists: 0, takes: 0 });
    tracker.report(0, pages * 4096, 4096, new Uint32Array(bitmapWords(pages)));
    expect(looks).toEqual({ words: 0, lists: Math.ceil(pages / 8 / 16_384), takes: 0 });
    expect(tracker.counters.bytesMarshalled).toBe(0);
  });
});
