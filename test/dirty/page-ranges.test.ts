import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type * as ranges from "../../src/dirty/page-ranges.js";
import { type PageRange, pageRanges } from "../../src/dirty/page-ranges.js";
import { type Patch, patchedCopy } from "../helpers/patched-copy.js";

type PageRanges = typeof pageRanges;

/** Joins pages one by one. */
function naive(bitmap: Uint32Array): PageRange[] {
  const runs: { firstPage: number; pageCount: number }[] = [];
  for (let page = 0; page < bitmap.length * 32; page++) {
    if (Math.floor(bitmap[Math.floor(page / 32)]! / 2 ** (page % 32)) % 2 === 0) continue;
    const last = runs.at(-1);
    if (last !== undefined && last.firstPage + last.pageCount === page) last.pageCount += 1;
    else runs.push({ firstPage: page, pageCount: 1 });
  }
  return runs;
}

function bitmapOf(words: number, pages: readonly number[]): Uint32Array {
  const bitmap = new Uint32Array(words);
  for (const page of pages) bitmap[page >> 5]! |= 1 << (page % 32);
  return bitmap;
}

/** How often joining reads a word of a bitmap. */
function readsOf(join: PageRanges, bitmap: Uint32Array): number {
  let reads = 0;
  const counting = new Proxy(bitmap, {
    get(target, key) {
      if (key === "length") return target.length;
      reads += 1;
      return Reflect.get(target, key);
    },
  });
  join(counting);
  return reads;
}

/** The first single run in 96 pages, with or without a page far off, that is not found as it is. */
function wrongRun(join: PageRanges): string | undefined {
  for (let first = 0; first < 96; first++) {
    for (let count = 1; first + count <= 96; count++) {
      const run = Array.from({ length: count }, (_, i) => first + i);
      for (const other of [[], [0], [32], [95]]) {
        const bitmap = bitmapOf(3, [...run, ...other]);
        if (JSON.stringify(join(bitmap)) !== JSON.stringify(naive(bitmap)))
          return `${count} from ${first}, and ${other.join()}`;
      }
    }
  }
  return undefined;
}

const words = fc.array(
  fc.oneof(fc.constantFrom(0, 1, 0x8000_0000, 0xffff_ffff, 0x8000_0001), fc.integer({ min: 0, max: 2 ** 32 - 1 })),
  {
    maxLength: 12,
    size: "max",
  },
);

describe("pageRanges()", () => {
  it("joins every run of 96 pages, across word boundaries", () => {
    expect(wrongRun(pageRanges)).toBeUndefined();
  });

  it("joins as a walk page by page does", () => {
    fc.assert(
      fc.property(words, (list) => {
        expect(pageRanges(Uint32Array.from(list))).toEqual(naive(Uint32Array.from(list)));
      }),
      { numRuns: 500 },
    );
  });

  it("finds nothing in nothing, and all in all", () => {
    expect([pageRanges(new Uint32Array(0)), pageRanges(new Uint32Array(5))]).toEqual([[], []]);
    expect(pageRanges(new Uint32Array(5).fill(-1))).toEqual([{ firstPage: 0, pageCount: 160 }]);
  });

  it("reads a word without a page once, a word with some 32 times", () => {
    expect(readsOf(pageRanges, bitmapOf(100, []))).toBe(100);
    expect(readsOf(pageRanges, bitmapOf(100, [40]))).toBe(99 + 32);
  });

  const FILE = "dirty/page-ranges.ts";
  const faults: (readonly [what: string, patch: Patch])[] = [
    [
      "a run ends with its word",
      [FILE, "if (!set && start >= 0) {", "if ((!set || page % 32 === 31) && start >= 0) {"],
    ],
    [
      "a run that reaches the end is forgotten",
      [FILE, "if (start >= 0) ranges.push({ firstPage: start, pageCount: pages - start });", ""],
    ],
    ["an empty word ends no run", [FILE, "if (word === 0 && start < 0) {", "if (word === 0) {"]],
    ["an empty word is skipped with the one behind it", [FILE, "page |= 31;", "page += 32;"]],
    ["the sign bit is no page", [FILE, "(word & (1 << (page & 31))) !== 0", "(word & (1 << (page & 31))) > 0"]],
  ];
  for (const [what, patch] of faults) {
    it(`is seen to be wrong where ${what}`, async () => {
      const faulty = await patchedCopy<typeof ranges>(FILE, patch);
      expect(wrongRun(faulty.pageRanges)).toBeTypeOf("string");
    });
  }
});
