/** The windows of a user's bitmap, and what was wrong with them once (specification 3.7). */
import { describe, expect, it } from "vitest";
import { PAGE_BYTES } from "../../src/memory/address.js";
import { BitmapBackend } from "../../src/vfio/bitmap-backend.js";
import { DmaLogger } from "../../src/vfio/dma-logger.js";
import { type BitmapPath, IovaBitmap, type IovaBitmapParts, WINDOW_BITMAP_PAGES } from "../../src/vfio/iova-bitmap.js";
import { reportMany } from "../../src/vfio/report-many.js";
import { seeded } from "../iova/seeded.js";

const WINDOW_BYTES = WINDOW_BITMAP_PAGES * PAGE_BYTES;
/** Pages of 4 KiB that one window covers: 64 GiB. */
const WINDOW_PAGES = WINDOW_BYTES * 8;

type Run = readonly [page: number, count: number];

/** Writes runs through windows: each run is set in the window in which it begins. */
function write(parts: IovaBitmapParts, runs: readonly Run[]): IovaBitmap {
  const bitmap = new IovaBitmap(parts);
  bitmap.eachWindow(({ firstPage, pageCount }) => {
    for (const [page, count] of runs) {
      const begins = page >= firstPage || firstPage === parts.firstPage;
      if (begins && page < firstPage + pageCount) bitmap.set(page, count);
    }
    return 0;
  });
  return bitmap;
}

/** The bytes that bits set one by one make. */
function expected(parts: IovaBitmapParts, runs: readonly Run[]): Buffer {
  const bytes = Buffer.alloc(parts.bits.length);
  for (const [page, count] of runs) {
    for (let at = page; at < page + count; at++) {
      const from = at - parts.firstPage;
      if (from < 0 || from >= parts.pageCount) continue;
      const bit = Math.floor(from / parts.grainPages);
      bytes[bit >> 3]! |= 1 << (bit & 7);
    }
  }
  return bytes;
}

const plain = { firstPage: 0, pageCount: 1000, grainPages: 1 };

describe("windows", () => {
  it("A14: a window is 512 pages of bitmap, 64 GiB at 4 KiB, and bits in place copy no byte", () => {
    const parts = { ...plain, bits: new Uint8Array(3 * WINDOW_BYTES), pageCount: 2.5 * WINDOW_PAGES };
    const windows: unknown[] = [];
    const bitmap = new IovaBitmap(parts);
    bitmap.eachWindow((window) => windows.push(window));
    expect(windows).toEqual([
      { firstPage: 0, pageCount: WINDOW_PAGES },
      { firstPage: WINDOW_PAGES, pageCount: WINDOW_PAGES },
      { firstPage: 2 * WINDOW_PAGES, pageCount: WINDOW_PAGES / 2 },
    ]);
    expect((WINDOW_PAGES * PAGE_BYTES) / 2 ** 30).toBe(64);
    expect(bitmap.counters).toMatchObject({ windows: 3, pinnedPages: 1280, copiedBytes: 0 });
  });

  it("a bitmap that starts inside a page, at no multiple of 8, has a shorter first window and the same bits", () => {
    const buffer = new ArrayBuffer(2 * WINDOW_BYTES + PAGE_BYTES);
    const bits = new Uint8Array(buffer, 1027, WINDOW_BYTES + 100);
    const parts = { ...plain, bits, pageCount: (WINDOW_BYTES + 100) * 8 };
    const edge = (WINDOW_BYTES - 1027) * 8;
    const runs: Run[] = [
      [5, 3],
      [edge - 9, 20],
      [parts.pageCount - 1, 1],
    ];
    const bitmap = write(parts, runs);
    expect(bitmap.counters.windows).toBe(2);
    expect(Buffer.compare(bits, expected(parts, runs))).toBe(0);
  });

  it("bits behind the length, in its last word too, are left as they are", () => {
    const bits = new Uint8Array(16);
    write({ ...plain, bits, pageCount: 70 }, [[0, 200]]);
    expect(Buffer.from(bits).toString("hex")).toBe("ffffffffffffffff3f00000000000000");
  });

  it("a range that does not start at a multiple of 64 pages has its first bit for its first page", () => {
    const bits = new Uint8Array(16);
    write({ ...plain, bits, firstPage: 77, pageCount: 100 }, [
      [70, 9],
      [100, 1],
    ]);
    expect([
      ...new Uint8Array(
        expected({ ...plain, bits, firstPage: 77, pageCount: 100 }, [
          [70, 9],
          [100, 1],
        ]),
      ),
    ]).toEqual([...bits]);
    expect(bits[0]).toBe(3);
  });

  it.each([512, 262_144])("M19: an entry of %i pages that crosses the end of a window is set in both", (pages) => {
    const parts = { ...plain, bits: new Uint8Array(2 * WINDOW_BYTES), pageCount: 2 * WINDOW_PAGES };
    const runs: Run[] = [[WINDOW_PAGES - pages / 2, pages]];
    write(parts, runs);
    expect(Buffer.compare(parts.bits, expected(parts, runs))).toBe(0);
  });

  it("coarser bits cover what any of their pages says", () => {
    const bits = new Uint8Array(8);
    write({ ...plain, bits, pageCount: 512, grainPages: 16 }, [
      [15, 2],
      [511, 1],
    ]);
    expect([...bits]).toEqual([3, 0, 0, 128, 0, 0, 0, 0]);
  });

  it("a negative answer ends the walk and is returned; what was set stays", () => {
    const bits = new Uint8Array(2 * WINDOW_BYTES);
    const bitmap = new IovaBitmap({ ...plain, bits, pageCount: 2 * WINDOW_PAGES });
    const result = bitmap.eachWindow(({ firstPage }) => {
      bitmap.set(firstPage, 1);
      return -5;
    });
    expect([result, bits[0], bits[WINDOW_BYTES], bitmap.counters.windows]).toEqual([-5, 1, 0, 1]);
  });
});

describe("paths", () => {
  function byPath(path: BitmapPath, runs: readonly Run[], gapWords = 0) {
    const bits = new Uint8Array(8192).fill(0x10, 100, 140);
    const parts = { ...plain, bits, pageCount: 65_536, path, gapWords };
    return { bits, counters: write(parts, runs).counters };
  }

  const random = seeded(3);
  const runs: Run[] = Array.from({ length: 200 }, () => [random(65_000), 1 + random(20)]);

  it("A15: sparse copies no more than the words that are not zero, and all paths set the same bits", () => {
    const [inPlace, copied, sparse] = (["in-place", "copy", "sparse"] as const).map((path) => byPath(path, runs));
    expect(Buffer.compare(inPlace!.bits, copied!.bits)).toBe(0);
    expect(Buffer.compare(inPlace!.bits, sparse!.bits)).toBe(0);
    const words = nonZeroWords(runs);
    expect([inPlace, copied, sparse].map((one) => one!.counters.copiedBytes)).toEqual([0, 8192, words * 8]);
    expect(inPlace!.counters.bitsSet).toBe(copied!.counters.bitsSet);
  });

  it("A15: with a threshold runs get fewer and bytes more, by no more than the threshold for each run saved", () => {
    const none = byPath("sparse", runs).counters;
    const some = byPath("sparse", runs, 4).counters;
    expect(some.copiedRuns).toBeLessThan(none.copiedRuns);
    expect(some.copiedBytes).toBeGreaterThan(none.copiedBytes);
    expect(some.copiedBytes - none.copiedBytes).toBeLessThanOrEqual((none.copiedRuns - some.copiedRuns) * 4 * 8);
  });

  it("A15: the denser the bits, the less a sparse copy saves, until it saves nothing", () => {
    const saved = [16_384, 4096, 512, 64].map((every) => {
      const dense: Run[] = Array.from({ length: Math.floor(65_536 / every) }, (_, i) => [i * every, 1]);
      return 8192 - byPath("sparse", dense).counters.copiedBytes;
    });
    expect(saved).toEqual([8160, 8064, 7168, 0]);
  });

  it("A09: one call for several devices sets the bits of a loop, and copies once instead of once for each", () => {
    for (const count of [1, 2, 4, 8]) {
      const looped = parts();
      let copied = 0;
      for (const logger of loggers(count)) {
        const bitmap = new IovaBitmap({ ...looped, path: "copy" });
        expect(logger.report(looped, bitmap)).toBe(0);
        copied += bitmap.counters.copiedBytes;
      }
      const joined = parts();
      const many = reportMany(loggers(count), joined);
      expect(many).toEqual({ result: 0, copiedBytes: 512 });
      expect(copied).toBe(512 * count);
      expect(Buffer.compare(looped.bits, joined.bits)).toBe(0);
    }
  });

  it("A09: an error of one device is the call's, and sets nothing", () => {
    const two = loggers(2);
    two[1]!.broken = true;
    const given = parts();
    expect(reportMany(two, given)).toEqual({ result: -5, copiedBytes: 0 });
    expect(given.bits.every((byte) => byte === 0)).toBe(true);
  });

  function parts(): IovaBitmapParts {
    return { bits: new Uint8Array(512), firstPage: 0, pageCount: 4096, grainPages: 1 };
  }

  function loggers(count: number): DmaLogger[] {
    return Array.from({ length: count }, (_, i) => {
      const logger = new DmaLogger(new BitmapBackend());
      logger.start([{ firstPage: 0, pageCount: 4096 }], PAGE_BYTES);
      for (let page = i; page < 4096; page += 97 + i) logger.mark(page, 1);
      return logger;
    });
  }
});

function nonZeroWords(runs: readonly Run[]): number {
  const words = new Set<number>();
  for (const [page, count] of runs) for (let at = page; at < page + count; at++) words.add(Math.floor(at / 64));
  return words.size;
}
