import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { GPA_MAP, GpaMap, type GpaMapping } from "../../src/iova/gpa-map.js";
import { VHOST_ACCESS_RO, VHOST_ACCESS_RW, VHOST_ACCESS_WO } from "../../src/layout/vhost.js";
import type { Gpa, Iova } from "../../src/memory/address.js";
import { seeded } from "./seeded.js";

const PAGE = 4096;
const PAGES_MAX = 2 ** 31;
const BASE = 2 ** 45;

/** A mapping in pages; its IOVA is in the same order, packed from the base up, unless said otherwise. */
function mapping(page: number, pages: number, iovaPage = page, perm = VHOST_ACCESS_RW): GpaMapping {
  return { gpa: (page * PAGE) as Gpa, bytes: pages * PAGE, iova: (BASE + iovaPage * PAGE) as Iova, perm };
}

function mapOf(...mappings: GpaMapping[]): GpaMap {
  const map = new GpaMap(BASE);
  expect(map.addAll(mappings)).toBe(true);
  return map;
}

/** All that can be seen of a map. */
function picture({ size, table, first, shift }: GpaMap): unknown {
  return structuredClone({ size, table, first, shift });
}

/** One column of a map's table, the closing row included. */
function column({ table }: GpaMap, name: "start" | "last" | "delta" | "perm"): Int32Array {
  return table.filter((_, at) => at % (1 << GPA_MAP.rowShift) === GPA_MAP[name]);
}

/** The row of a page by looking at every mapping, in order of address. */
function naiveIndexOf(sorted: readonly GpaMapping[], page: number): number {
  return sorted.findIndex(({ gpa, bytes }) => page * PAGE >= gpa && page * PAGE < gpa + bytes);
}

/** Asks for every border, and pages at random; says which page the map finds elsewhere than the naive search. */
function firstDifference(
  map: GpaMap,
  mappings: readonly GpaMapping[],
  seed: number,
  looks: number,
): string | undefined {
  const below = seeded(seed);
  const sorted = [...mappings].sort((a, b) => a.gpa - b.gpa);
  const borders = sorted.flatMap(({ gpa, bytes }) => [gpa - PAGE, gpa, gpa + bytes - PAGE, gpa + bytes]);
  const pages = [0, PAGES_MAX - 1, ...borders.map((address) => address / PAGE)].filter((p) => p >= 0 && p < PAGES_MAX);
  for (let look = 0; look < looks; look++) {
    const page = look % 3 === 0 ? below(PAGES_MAX) : pages[below(pages.length)]!;
    const due = naiveIndexOf(sorted, page);
    const seen = map.indexOf(page);
    if (seen !== due) return `page ${page}: row ${seen} instead of ${due}`;
    if (seen >= 0 && translated(map, page, seen) !== sorted[due]!.iova + page * PAGE - sorted[due]!.gpa) {
      return `page ${page}: another IOVA`;
    }
  }
  return undefined;
}

/** What the relay's int32 arithmetic makes of a page: two halves of an address, put together. */
function translated(map: GpaMap, page: number, row: number): number {
  const frame = (page + column(map, "delta")[row]!) | 0;
  const high = (map.iovaHigh + (frame >>> 20)) | 0;
  return high * 2 ** 32 + ((frame << 12) >>> 0);
}

/** Disjoint mappings of very unequal size, with and without holes between them, in any order. */
const raggedMappings = fc
  .array(
    fc.record({
      hole: fc.oneof(fc.constant(0), fc.nat({ max: 3 }), fc.nat({ max: 1_000_000 })),
      pages: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 2_000_000 })),
    }),
    { maxLength: 120 },
  )
  .map((parts) => {
    let page = 0;
    return parts.map(({ hole, pages }) => {
      const start = page + hole;
      page = start + pages;
      return mapping(start, pages, PAGES_MAX - page);
    });
  })
  .chain((mappings) => fc.shuffledSubarray(mappings, { minLength: mappings.length }));

/** Takes the last page of a mapping for the first one after it. */
class ExclusiveLast extends GpaMap {
  override indexOf(page: number): number {
    const row = super.indexOf(page);
    return row >= 0 && page === column(this, "last")[row] ? -1 : row;
  }
}

/** Forgets to look whether a mapping reaches as far as the page. */
class NoUpperBound extends GpaMap {
  override indexOf(page: number): number {
    return column(this, "start")
      .subarray(0, this.size)
      .findLastIndex((start) => start <= page);
  }
}

/** Looks at the first row of a bucket only. */
class OneRowPerBucket extends GpaMap {
  override indexOf(page: number): number {
    const row = this.first[page >>> this.shift] ?? 0;
    return page >= column(this, "start")[row]! && page <= column(this, "last")[row]! ? row : -1;
  }
}

describe("GpaMap", () => {
  it("maps nothing while it is empty", () => {
    const map = new GpaMap(0);
    for (const page of [0, 1, PAGES_MAX - 1, -1, -PAGES_MAX]) expect(map.indexOf(page)).toBe(-1);
    expect(map.find(0 as Gpa)).toBeUndefined();
    expect([...map.entries()]).toEqual([]);
  });

  it("finds the first and the last byte of a mapping, and not the bytes beside it", () => {
    const map = mapOf(mapping(16, 4));
    expect(map.find((16 * PAGE) as Gpa)).toEqual(mapping(16, 4));
    expect(map.find((20 * PAGE - 1) as Gpa)).toEqual(mapping(16, 4));
    expect(map.find((16 * PAGE - 1) as Gpa)).toBeUndefined();
    expect(map.find((20 * PAGE) as Gpa)).toBeUndefined();
  });

  it("tells adjacent mappings apart, and finds neither in a hole", () => {
    const map = mapOf(mapping(0, 4, 100), mapping(4, 4, 50), mapping(9, 1, 0));
    expect([3, 4, 7, 8, 9, 10].map((page) => map.indexOf(page))).toEqual([0, 1, 1, -1, 2, -1]);
  });

  it("reaches from GPA 0 to the last page below 2^43, with any IOVA of the window", () => {
    const last = PAGES_MAX - 1;
    const map = mapOf(mapping(0, 1, last), mapping(last, 1, 0));
    expect(map.indexOf(0)).toBe(0);
    expect(map.indexOf(last)).toBe(1);
    expect(translated(map, 0, 0)).toBe(BASE + last * PAGE);
    expect(translated(map, last, 1)).toBe(BASE);
    expect([...map.entries()]).toEqual([mapping(0, 1, last), mapping(last, 1, 0)]);
  });

  it("finds all that crowds before the last page below 2^43", () => {
    const map = mapOf(...[0, 8, 6, 4, 2, 1].map((fromEnd) => mapping(fromEnd === 0 ? 0 : PAGES_MAX - fromEnd, 1)));
    expect([8, 7, 6, 4, 2, 1].map((fromEnd) => map.indexOf(PAGES_MAX - fromEnd))).toEqual([1, -1, 2, 3, 4, 5]);
  });

  it("takes no GPA from 2^43 on for one whose low bits it knows", () => {
    const map = mapOf(mapping(0, PAGES_MAX));
    for (const address of [2 ** 43, 2 ** 44, 2 ** 44 + 5 * PAGE, 2 ** 52]) {
      expect(map.find(address as Gpa)).toBeUndefined();
      expect(map.remove(address as Gpa)).toBe(false);
    }
  });

  it("covers all of 2^43 bytes with one mapping", () => {
    const map = mapOf(mapping(0, PAGES_MAX));
    expect([0, 1, 2 ** 20, PAGES_MAX - 1].map((page) => map.indexOf(page))).toEqual([0, 0, 0, 0]);
  });

  it("finds no negative page, whatever it found last", () => {
    const map = mapOf(mapping(0, 1), mapping(PAGES_MAX - 1, 1));
    for (const found of [0, PAGES_MAX - 1]) {
      map.indexOf(found);
      for (const page of [-1, -2, -PAGES_MAX, 1 - PAGES_MAX]) expect(map.indexOf(page)).toBe(-1);
    }
  });

  it("forgets what it found last when the mapping goes", () => {
    const map = mapOf(mapping(0, 4), mapping(8, 4));
    expect(map.indexOf(9)).toBe(1);
    expect(map.remove((8 * PAGE) as Gpa)).toBe(true);
    expect(map.indexOf(9)).toBe(-1);
    expect(map.indexOf(1)).toBe(0);
  });

  it("removes by exact start only", () => {
    const map = mapOf(mapping(8, 4));
    const before = picture(map);
    for (const address of [9 * PAGE, 8 * PAGE + 1, 7 * PAGE, 12 * PAGE, 2 ** 43]) {
      expect(map.remove(address as Gpa)).toBe(false);
    }
    expect(picture(map)).toEqual(before);
  });

  it.each<[string, GpaMapping]>([
    ["the first page", mapping(8, 1)],
    ["the last page", mapping(11, 1)],
    ["all of it", mapping(0, 100)],
    ["the page at its start", mapping(7, 2)],
  ])("refuses a mapping that overlaps %s, and changes nothing", (_what, overlapping) => {
    const map = mapOf(mapping(8, 4), mapping(200, 1));
    const before = picture(map);
    expect(map.add(overlapping)).toBe(false);
    expect(map.addAll([mapping(50, 1), overlapping, mapping(60, 1)])).toBe(false);
    expect(picture(map)).toEqual(before);
  });

  it.each<[string, GpaMapping]>([
    ["an unaligned GPA", { ...mapping(8, 1), gpa: (8 * PAGE + 512) as Gpa }],
    ["an unaligned IOVA", { ...mapping(8, 1), iova: (BASE + 512) as Iova }],
    ["part of a page", { ...mapping(8, 1), bytes: 512 }],
    ["GPAs from 2^43", mapping(PAGES_MAX, 1)],
    ["GPAs across 2^43", mapping(PAGES_MAX - 1, 2, 0)],
    ["IOVAs below the base", mapping(8, 1, -1)],
    ["IOVAs from the end of the window", mapping(8, 1, PAGES_MAX)],
    ["IOVAs across the end of the window", mapping(8, 2, PAGES_MAX - 1)],
  ])("refuses %s, and changes nothing", (_what, misfit) => {
    const map = mapOf(mapping(0, 4));
    const before = picture(map);
    expect(map.add(misfit)).toBe(false);
    expect(picture(map)).toEqual(before);
  });

  it("throws RangeError for sizes and rights that are none, and for a base that is no multiple of 2^32", () => {
    const map = new GpaMap(BASE);
    for (const bytes of [0, -PAGE, 0.5]) expect(() => map.add({ ...mapping(0, 1), bytes })).toThrow(RangeError);
    for (const perm of [0, 4, 1.5]) expect(() => map.add({ ...mapping(0, 1), perm })).toThrow(RangeError);
    for (const base of [PAGE, 2 ** 31, -(2 ** 32), 2 ** 53]) expect(() => new GpaMap(base)).toThrow(RangeError);
  });

  it("takes no guest memory below address 0", () => {
    const map = new GpaMap(BASE);
    expect([map.add(mapping(-1, 1, 4)), map.add(mapping(-1, 2, 4)), map.size, map.add(mapping(0, 1))]).toEqual([
      false,
      false,
      0,
      true,
    ]);
  });

  it.each([0, 2 ** 32, 3 * 2 ** 32, 2 ** 44])("gives IOVAs above any base: %i", (base) => {
    const map = new GpaMap(base);
    const added = { gpa: (5 * PAGE) as Gpa, bytes: PAGE, iova: (base + 7 * PAGE) as Iova, perm: VHOST_ACCESS_RW };
    expect([map.add(added), map.find(added.gpa), column(map, "delta")[0]]).toEqual([true, added, 2]);
  });

  it("removes any row: the first, one in the middle, the last, the only one", () => {
    for (const gone of [0, 1, 2]) {
      const all = [mapping(3, 2, 9), mapping(8, 1, 4), mapping(20, 5, 30)];
      const map = mapOf(...all);
      expect([map.remove(all[gone]!.gpa), map.remove(all[gone]!.gpa)]).toEqual([true, false]);
      all.splice(gone, 1);
      expect(picture(map)).toEqual(picture(mapOf(...all)));
      for (const { gpa } of all) expect(map.remove(gpa)).toBe(true);
      expect(picture(map)).toEqual(picture(mapOf()));
    }
  });

  it("keeps the rights of each mapping with it", () => {
    const map = mapOf(mapping(4, 1, 0, VHOST_ACCESS_WO), mapping(0, 1, 1, VHOST_ACCESS_RO), mapping(2, 1, 2));
    expect([...map.entries()].map(({ perm }) => perm)).toEqual([VHOST_ACCESS_RO, VHOST_ACCESS_RW, VHOST_ACCESS_WO]);
    expect(column(map, "perm")[map.indexOf(4)]).toBe(VHOST_ACCESS_WO);
  });

  it("answers the same whether mappings came at once or one by one, and others went", () => {
    const all = Array.from({ length: 300 }, (_, i) => mapping(((i * 37) % 300) * 5, 1 + (i % 5), i * 8));
    const slowly = new GpaMap(BASE);
    for (const each of all) slowly.add(each);
    slowly.addAll(all.map(({ gpa, iova }) => ({ ...mapping(0, 1), gpa: (gpa + 2 ** 40) as Gpa, iova })));
    for (const { gpa } of all) slowly.remove((gpa + 2 ** 40) as Gpa);
    expect(picture(slowly)).toEqual(picture(mapOf(...all)));
  });
});

describe("GpaMap against a naive search", () => {
  it("agrees on ragged mappings, their borders and the holes", () => {
    fc.assert(
      fc.property(raggedMappings, fc.integer(), (mappings, seed) => {
        expect(firstDifference(mapOf(...mappings), mappings, seed, 400)).toBeUndefined();
      }),
      { numRuns: 200 },
    );
  });

  it("keeps to the rows that `first` names for a bucket", () => {
    fc.assert(
      fc.property(raggedMappings, fc.nat({ max: PAGES_MAX - 1 }), (mappings, some) => {
        const map = mapOf(...mappings);
        for (const page of [some, ...column(map, "start"), ...column(map, "last")].filter(
          (each) => map.indexOf(each) >= 0,
        )) {
          const bucket = page >>> map.shift;
          expect(map.indexOf(page)).toBeGreaterThanOrEqual(map.first[bucket]!);
          expect(map.indexOf(page)).toBeLessThanOrEqual(map.first[bucket + 1]!);
        }
      }),
    );
  });

  it("agrees on a million mappings of a page, and one far away", () => {
    const count = 1_000_000;
    const map = new GpaMap(BASE);
    map.addAll([...Array.from({ length: count }, (_, i) => mapping(i, 1, count - i)), mapping(PAGES_MAX - 1, 1)]);
    const below = seeded(3);
    for (let look = 0; look < count; look++) {
      const page = below(count);
      if (map.indexOf(page) !== page) expect.fail(`page ${page} is in row ${map.indexOf(page)}`);
    }
    expect(map.indexOf(count)).toBe(-1);
    expect(map.indexOf(PAGES_MAX - 1)).toBe(count);
  });

  // As many as one bucket can hold. Linear, this would be 10^11 steps, and the test would not end in its time.
  it("searches the fullest of buckets in few steps", () => {
    const count = 2 ** 15;
    const map = new GpaMap(BASE);
    map.addAll([...Array.from({ length: count }, (_, i) => mapping(i, 1)), mapping(PAGES_MAX - 1, 1)]);
    expect([map.first[0], map.first[1]]).toEqual([0, count - 1]);
    const below = seeded(3);
    for (let look = 0; look < 10_000_000; look++) {
      const page = below(count);
      if (map.indexOf(page) !== page) expect.fail(`page ${page} is in row ${map.indexOf(page)}`);
    }
  });

  it.each([
    [ExclusiveLast, "takes a last page for one too far"],
    [NoUpperBound, "finds what lies in a hole"],
    [OneRowPerBucket, "looks at one row of a bucket"],
  ])("%o shows in the same harness: it %s", (Faulty) => {
    const below = seeded(5);
    const mappings = Array.from({ length: 100 }, (_, i) => mapping(i * 1000, 1 + below(1000), i * 1000));
    const faulty = new Faulty(BASE);
    faulty.addAll(mappings);
    expect(firstDifference(faulty, mappings, 1, 2000)).toMatch(/^page/);
  });
});
