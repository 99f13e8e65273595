import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type * as dirtyLog from "../../src/dirty/dirty-log.js";
import { bitCount, DirtyLog, logBytes } from "../../src/dirty/dirty-log.js";
import { ForwardingMemory } from "../../src/memory/forwarding-memory.js";
import { RealMemory } from "../../src/memory/real-memory.js";
import { type Patch, patchedCopy } from "../helpers/patched-copy.js";
import { seeded } from "../iova/seeded.js";

const PAGE = 4096;
const OFFSET = 64;

/** Memory that notes read-modify-writes, and takes plain stores for a mistake. */
class LogMemory extends ForwardingMemory {
  readonly set: number[] = [];
  readonly taken: number[] = [];

  override setBits32(offset: number, bits: number): void {
    this.set.push(offset);
    super.setBits32(offset, bits);
  }

  override takeBits32(offset: number): number {
    this.taken.push(offset);
    return super.takeBits32(offset);
  }

  override write32(): void {
    throw new Error("a plain store to the log");
  }
}

/** A log of `pages` pages with canaries around it. */
class LogBench {
  readonly log: DirtyLog;
  readonly memory: LogMemory;
  readonly #bytes: Uint8Array;
  readonly #end: number;

  constructor(end: number, Log = DirtyLog) {
    this.#end = OFFSET + logBytes(end);
    const buffer = new ArrayBuffer(this.#end + OFFSET);
    this.#bytes = new Uint8Array(buffer).fill(0xa5);
    this.#bytes.fill(0, OFFSET, this.#end);
    this.memory = new LogMemory(new RealMemory(buffer));
    this.log = new Log(this.memory, OFFSET, end);
  }

  /** Marked pages, read bit by bit from the bytes. */
  marked(): number[] {
    const pages: number[] = [];
    for (let byte = OFFSET; byte < this.#end; byte++) {
      for (let bit = 0; bit < 8; bit++) if ((this.#bytes[byte]! >> bit) & 1) pages.push((byte - OFFSET) * 8 + bit);
    }
    return pages;
  }

  canariesIntact(): boolean {
    return [...this.#bytes.subarray(0, OFFSET), ...this.#bytes.subarray(this.#end)].every((byte) => byte === 0xa5);
  }
}

/** Pages of a range, byte by byte at their edges. */
function naivePages(address: number, bytes: number): number[] {
  const pages: number[] = [];
  for (let page = Math.floor(address / PAGE); page * PAGE < address + bytes; page++) {
    if ((page + 1) * PAGE > address) pages.push(page);
  }
  return bytes === 0 ? [] : pages;
}

/** What is wrong after one range was marked in a fresh log. */
function wrongMark(Log: typeof DirtyLog, end: number, address: number, bytes: number): string | undefined {
  const bench = new LogBench(end, Log);
  const due = naivePages(address, bytes);
  const words = new Set(due.map((page) => OFFSET + 4 * Math.floor(page / 32)));
  const count = bench.log.markRange(address, bytes);
  const where = `${bytes} bytes at ${address}`;
  if (bench.marked().join() !== due.join()) return `${where}: pages ${bench.marked().join()}, not ${due.join()}`;
  if (bench.memory.set.join() !== [...words].join()) return `${where}: words at ${bench.memory.set.join()}`;
  if (count !== words.size) return `${where}: ${count} read-modify-writes, not ${words.size}`;
  return bench.canariesIntact() ? undefined : `${where}: a byte beside the log has changed`;
}

const PAGES = 100;
const END = PAGES * PAGE;

/** All runs of whole pages in a log of 100, and the same a byte longer or shorter at each end. */
function wrongRun(Log: typeof DirtyLog): string | undefined {
  for (let first = 0; first < PAGES; first++) {
    for (let last = first; last < PAGES; last++) {
      const [address, bytes] = [first * PAGE, (last - first + 1) * PAGE];
      const wrong = wrongMark(Log, END, address, bytes) ?? wrongMark(Log, END, address + PAGE - 1, bytes - PAGE + 1);
      if (wrong !== undefined) return wrong;
    }
  }
  return undefined;
}

describe("logBytes()", () => {
  it("covers every page below the end, in whole 64-bit words", () => {
    const ends = [0, 1, PAGE, 64 * PAGE - 1, 64 * PAGE, 64 * PAGE + 1, 65 * PAGE, 2 ** 32, 2 ** 43];
    expect(ends.map(logBytes)).toEqual([0, 8, 8, 8, 8, 16, 16, 2 ** 17, 2 ** 28]);
  });
});

describe("DirtyLog", () => {
  it("has as many pages as it takes to reach the end, the last one in part", () => {
    const memory = new RealMemory(new ArrayBuffer(64));
    expect([1, PAGE, PAGE + 1, 500 * PAGE].map((end) => new DirtyLog(memory, 0, end).pageCount)).toEqual([
      1, 1, 2, 500,
    ]);
  });

  it("lies inside its memory", () => {
    const memory = new RealMemory(new ArrayBuffer(64));
    expect(() => new DirtyLog(memory, 56, 64 * PAGE)).not.toThrow();
    for (const [offset, end] of [
      [56, 64 * PAGE + 1],
      [60, PAGE],
      [64, PAGE],
      [2, PAGE],
      [-8, PAGE],
      [Number.NaN, PAGE],
    ] as const) {
      expect(() => new DirtyLog(memory, offset, end), `${offset}`).toThrow("the log lies inside its memory");
    }
  });
});

describe("DirtyLog.markRange()", () => {
  it("marks what a walk over the pages finds, one read-modify-write a word: every run in 100 pages", () => {
    expect(wrongRun(DirtyLog)).toBeUndefined();
  });

  it("marks what a walk finds, for any range", () => {
    const ranges = fc
      .record({
        end: fc.integer({ min: 1, max: 300 * PAGE }),
        from: fc.double({ min: 0, max: 1, noNaN: true }),
        part: fc.double({ min: 0, max: 1, noNaN: true }),
      })
      .map(({ end, from, part }) => {
        const address = Math.floor(from * (end - 1));
        return { end, address, bytes: Math.floor(part * (end - address)) };
      });
    fc.assert(
      fc.property(ranges, ({ end, address, bytes }) => {
        expect(wrongMark(DirtyLog, end, address, bytes)).toBeUndefined();
      }),
    );
  });

  it("marks page 31 and the sign bit as any other", () => {
    for (const page of [0, 31, 32, 63, 95]) expect(wrongMark(DirtyLog, END, page * PAGE, 1)).toBeUndefined();
    expect(wrongMark(DirtyLog, END, 31 * PAGE, PAGE + 1)).toBeUndefined();
  });

  it("marks nothing for no bytes, wherever they are", () => {
    const { log, memory } = new LogBench(END);
    expect([0, END, 2 ** 52].map((address) => log.markRange(address, 0))).toEqual([0, 0, 0]);
    expect(memory.set).toEqual([]);
  });

  it("marks up to the last byte of the log, and takes one more for a mistake of its caller (BI-61)", () => {
    for (const end of [END, END - 1, END - PAGE + 1]) {
      const { log, marked } = boundBench(end);
      log.markRange(end - 1, 1);
      expect(marked()).toEqual([PAGES - 1]);
      for (const [address, bytes] of [
        [END, 1],
        [END - 1, 2],
        [0, END + 1],
        [2 ** 52, 1],
        [-1, 1],
        [-1, 2],
        [Number.NaN, 1],
      ] as const) {
        expect(() => log.markRange(address, bytes), `${bytes} at ${address}`).toThrow(
          "marked pages lie inside the log",
        );
      }
      expect(marked()).toEqual([PAGES - 1]);
    }
  });

  it("adds to what is marked", () => {
    const { log, marked } = boundBench(END);
    log.markRange(3 * PAGE, 5 * PAGE);
    log.markRange(6 * PAGE, 40 * PAGE);
    expect(marked()).toEqual(naivePages(3 * PAGE, 43 * PAGE));
  });
});

describe("DirtyLog.markWord()", () => {
  it("adds pages to one word by one read-modify-write", () => {
    const { log, memory, marked } = wordBench(PAGES);
    log.markWord(0, 1 | (1 << 31));
    log.markWord(3, 0b1001);
    log.markWord(3, 0b0011);
    expect(marked()).toEqual([0, 31, 96, 97, 99]);
    expect(memory.set).toEqual([OFFSET, OFFSET + 12, OFFSET + 12]);
  });

  it.each([
    { pages: 96, last: 2 },
    { pages: 97, last: 3 },
    { pages: 128, last: 3 },
    { pages: 1, last: 0 },
  ])("marks in words 0 to $last of a log of $pages pages, and takes others for a mistake", ({ pages, last }) => {
    const { log, marked } = wordBench(pages);
    log.markWord(0, 1);
    log.markWord(last, 1);
    const before = marked();
    expect(before).toEqual([...new Set([0, last * 32])]);
    for (const word of [-1, last + 1, 2 ** 31, Number.NaN]) {
      expect(() => log.markWord(word, 1), `${word}`).toThrow("marked pages lie inside the log");
    }
    expect(marked()).toEqual(before);
  });

  it("takes a page of the last word behind the log for a mistake, as markRange() does", () => {
    const { log, marked } = wordBench(97);
    for (const bits of [0b10, 0b11, 1 << 31]) {
      expect(() => log.markWord(3, bits), `${bits}`).toThrow("marked pages lie inside the log");
    }
    expect(() => log.markRanges([{ address: 97 * PAGE, bytes: 1 }])).toThrow("marked pages lie inside the log");
    expect(marked()).toEqual([]);
    log.markRanges([{ address: 96 * PAGE, bytes: PAGE }]);
    log.markWord(2, -1);
    expect(marked()).toEqual([...Array.from({ length: 32 }, (_, i) => 64 + i), 96]);
  });
});

function wordBench(pages: number): { log: DirtyLog; memory: LogMemory; marked: () => number[] } {
  const bench = new LogBench(pages * PAGE);
  return { log: bench.log, memory: bench.memory, marked: () => bench.marked() };
}

function boundBench(end: number): { log: DirtyLog; marked: () => number[] } {
  const bench = new LogBench(end);
  return { log: bench.log, marked: () => bench.marked() };
}

const FILE = "dirty/dirty-log.ts";

describe("these ranges notice that", () => {
  const faults: (readonly [what: string, patch: Patch])[] = [
    [
      "the page behind the last byte is marked",
      [FILE, "(address + bytes - 1) / PAGE_BYTES", "(address + bytes) / PAGE_BYTES"],
    ],
    ["bit 31 is lost", [FILE, "(-1 >>> (WORD_PAGES - 1 - last))", "((1 << (last + 1)) - 1)"]],
    ["a word is marked from its beginning", [FILE, "word === firstWord ? first : 0", "0"]],
    ["a word is marked to its end", [FILE, "word === lastWord ? last : WORD_PAGES - 1", "WORD_PAGES - 1"]],
    ["the last word is forgotten", [FILE, "word <= lastWord", "word < lastWord || word === firstWord"]],
    ["each page is a read-modify-write", [FILE, "return lastWord - firstWord + 1;", "return last - first + 1;"]],
  ];
  for (const [what, patch] of faults) {
    it(what, async () => {
      const { DirtyLog: Faulty } = await patchedCopy<typeof dirtyLog>(FILE, patch);
      expect(wrongRun(Faulty)).toMatch(/^\d+ bytes at \d+: /);
    });
  }
});

describe("DirtyLog.take()", () => {
  it("hands each mark out once, adds to the bitmap, and leaves none", () => {
    const below = seeded(5);
    const bench = new LogBench(END);
    const bitmap = new Uint32Array(4);
    const due = new Set<number>();
    for (let round = 0; round < 300; round++) {
      const fresh = new Set<number>();
      for (let i = below(5); i > 0; i--) {
        const page = below(PAGES);
        bench.log.markRange(page * PAGE, 1);
        fresh.add(page);
      }
      expect(bench.log.take(bitmap)).toBe(fresh.size);
      for (const page of fresh) due.add(page);
      expect(bench.marked()).toEqual([]);
      expect(pagesOf(bitmap)).toEqual([...due].sort((a, b) => a - b));
    }
    expect(bench.canariesIntact()).toBe(true);
  });

  it("counts and takes all pages of a full log, sign bits included", () => {
    const bench = new LogBench(64 * PAGE);
    bench.log.markRange(0, 64 * PAGE);
    const bitmap = new Uint32Array(2);
    expect(bench.log.take(bitmap)).toBe(64);
    expect([...bitmap]).toEqual([0xffff_ffff, 0xffff_ffff]);
  });

  it("takes from every block of 16 KiB, at both of its edges, and from a last one in part", () => {
    const blockPages = 16_384 * 8;
    const bench = new LogBench((2 * blockPages + 40) * PAGE);
    const pages = [0, blockPages - 1, blockPages, 2 * blockPages - 1, 2 * blockPages, 2 * blockPages + 39];
    for (const page of pages) bench.log.markRange(page * PAGE, 1);
    const bitmap = new Uint32Array(2 * 4096 + 2);
    expect(bench.log.take(bitmap)).toBe(6);
    expect(pagesOf(bitmap)).toEqual(pages);
    expect(bench.marked()).toEqual([]);
    // A whole block of marks, the most that one look can find.
    bench.log.markRange(0, 2 * blockPages * PAGE);
    expect([bench.log.take(bitmap), bench.canariesIntact()]).toEqual([2 * blockPages, true]);
  });

  it("exchanges only words that have a mark", () => {
    const { log, memory } = new LogBench(END);
    log.markRange(40 * PAGE, 1);
    log.markRange(99 * PAGE, 1);
    log.take(new Uint32Array(4));
    expect(memory.taken).toEqual([OFFSET + 4, OFFSET + 12]);
  });

  it("takes from a window of words into a bitmap that begins with it, and leaves the others", () => {
    const bench = new LogBench(END);
    for (const page of [0, 31, 32, 63, 64, 95, 99]) bench.log.markRange(page * PAGE, 1);
    const bitmap = new Uint32Array(2);
    expect([bench.log.take(bitmap, 1, 3), pagesOf(bitmap)]).toEqual([4, [0, 31, 32, 63]]);
    expect(bench.marked()).toEqual([0, 31, 99]);
    expect([bench.log.take(new Uint32Array(0), 2, 2), bench.log.take(new Uint32Array(1), 3)]).toEqual([0, 1]);
    expect([bench.log.take(new Uint32Array(1), 0, 1), bench.marked()]).toEqual([2, []]);
  });

  it("takes a window outside of the log, or longer than the bitmap, for a mistake", () => {
    const { log, marked } = wordBench(PAGES);
    log.markRange(0, END);
    for (const [first, end] of [
      [-1, 1],
      [0, 5],
      [4, 5],
    ] as const) {
      expect(() => log.take(new Uint32Array(9), first, end), `${first}`).toThrow("taken words lie inside the log");
    }
    expect(() => log.take(new Uint32Array(1), 1, 3)).toThrow("the bitmap covers the log");
    expect(marked().length).toBe(PAGES);
  });

  it("wants a bitmap as long as the log, and takes a longer one", () => {
    const { log } = new LogBench(END);
    expect(() => log.take(new Uint32Array(3))).toThrow("the bitmap covers the log");
    log.markRange(0, 1);
    expect(log.take(new Uint32Array(9))).toBe(1);
  });
});

function pagesOf(bitmap: Uint32Array): number[] {
  return Array.from({ length: bitmap.length * 32 }, (_, page) => page).filter(
    (page) => Math.floor(bitmap[page >> 5]! / 2 ** (page % 32)) % 2 === 1,
  );
}

/** Moves marks from a log of `from` pages to one of `to`; the pages then marked in each. */
function moved(Log: typeof DirtyLog, from: number, to: number, pages: readonly number[], already: readonly number[]) {
  const [old, next] = [new LogBench(from * PAGE, Log), new LogBench(to * PAGE, Log)];
  for (const page of pages) old.log.markRange(page * PAGE, 1);
  for (const page of already) next.log.markRange(page * PAGE, 1);
  old.log.moveTo(next.log);
  expect([old, next].map((bench) => bench.canariesIntact())).toEqual([true, true]);
  return { old: old.marked(), next: next.marked() };
}

describe("DirtyLog.moveTo()", () => {
  it("loses nothing when a log grows or shrinks (shadow-virtqueue invariant 23)", () => {
    const pages = [0, 31, 32, 63, 64];
    expect(moved(DirtyLog, 100, 1000, [...pages, 99], [5, 700])).toEqual({
      old: [],
      next: [0, 5, 31, 32, 63, 64, 99, 700],
    });
    expect(moved(DirtyLog, 1000, 65, pages, [1])).toEqual({ old: [], next: [0, 1, 31, 32, 63, 64] });
    expect(moved(DirtyLog, 64, 64, [], [1])).toEqual({ old: [], next: [1] });
  });

  it("leaves no mark beyond the new log, not even in its last word (invariant 23)", async () => {
    for (const page of [40, 63, 64, 99]) {
      expect(() => moved(DirtyLog, 100, 40, [3, page], [])).toThrow("no mark lies beyond the new log");
    }
    expect(moved(DirtyLog, 100, 40, [39], [])).toEqual({ old: [], next: [39] });
    const byWord: Patch = [FILE, "last < next.pageCount", "word * WORD_PAGES < next.pageCount"];
    const { DirtyLog: Faulty } = await patchedCopy<typeof dirtyLog>(FILE, byWord);
    expect(moved(Faulty, 100, 40, [63], [])).toEqual({ old: [], next: [63] });
  });
});

describe("bitCount()", () => {
  it("counts as a walk over the bits does, negative words too", () => {
    const below = seeded(3);
    const words = [0, -1, 1, 1 << 31, 0x7fff_ffff, ...Array.from({ length: 32 }, (_, bit) => 1 << bit)];
    for (let i = 0; i < 2000; i++) words.push((below(2 ** 16) << 16) | below(2 ** 16));
    for (const word of words) expect(bitCount(word)).toBe((word >>> 0).toString(2).replaceAll("0", "").length);
  });
});

describe("DirtyLog.markRanges()", () => {
  it("marks what markRange does for each range, and each word once", () => {
    const ranges = [
      { address: 0, bytes: 1 },
      { address: 4095, bytes: 2 },
      { address: 31 * 4096, bytes: 4097 },
      { address: 90 * 4096 + 5, bytes: 0 },
    ];
    const one = new LogBench(END).log;
    const other = new LogBench(END).log;
    expect(one.markRanges(ranges)).toBe(2);
    for (const { address, bytes } of ranges) other.markRange(address, bytes);
    const [found, wanted] = [new Uint32Array(8), new Uint32Array(8)];
    one.take(found);
    other.take(wanted);
    expect(found).toEqual(wanted);
  });
});
