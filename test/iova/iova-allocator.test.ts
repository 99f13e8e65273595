import { describe, expect, it } from "vitest";
import { IovaAllocator } from "../../src/iova/iova-allocator.js";
import type { Iova } from "../../src/memory/address.js";
import { treeFaults } from "./tree-faults.js";

const PAGE = 4096;
const at = (address: number) => address as Iova;

function allocator(first: number, last: number): IovaAllocator {
  return new IovaAllocator({ first: at(first), last: at(last) });
}

/** All that can be seen of an allocator. */
function picture(of: IovaAllocator): unknown {
  return { count: of.count, entries: [...of.entries()], tree: of.inspect() };
}

describe("IovaAllocator", () => {
  it("hands out the lowest room that fits", () => {
    const a = allocator(0, 2 ** 20 - 1);
    const [first, second, third] = [a.allocate(2 * PAGE)!, a.allocate(PAGE)!, a.allocate(PAGE)!];
    expect([first, second, third]).toEqual([PAGE, 3 * PAGE, 4 * PAGE]);
    a.free(first);
    a.free(third);
    expect(a.allocate(3 * PAGE)).toBe(4 * PAGE);
    expect(a.allocate(PAGE)).toBe(PAGE);
    expect(a.allocate(PAGE)).toBe(2 * PAGE);
  });

  it("never hands out page 0", () => {
    expect(allocator(0, 2 ** 39 - 1).allocate(1)).toBe(PAGE);
    expect(allocator(0, 2 ** 39 - 1).insert(at(0), PAGE)).toBe(false);
    expect(allocator(0, PAGE - 1).allocate(1)).toBeUndefined();
  });

  it("treats page 0 like any other where that is asked for", () => {
    const a = new IovaAllocator({ first: at(0), last: at(2 ** 39 - 1) }, true);
    expect(a.insert(at(0), 2 * PAGE)).toBe(true);
    expect(a.insert(at(PAGE), PAGE)).toBe(false);
    expect(a.allocate(PAGE)).toBe(2 * PAGE);
    expect(a.find(at(PAGE - 1))).toMatchObject({ iova: 0, bytes: 2 * PAGE });
    expect([...a.entries()].map(({ iova }) => iova)).toEqual([0, 2 * PAGE]);
    expect(a.free(at(0))).toBe(true);
    expect(a.find(at(0))).toBeUndefined();
    expect(a.free(at(0))).toBe(false);
    expect(treeFaults(a.inspect(), { count: 1, floorPage: 0, endPage: 2 ** 27 })).toEqual([]);
    expect(a.allocate(2 * PAGE)).toBe(0);
  });

  it("rounds sizes up and an unaligned range inwards", () => {
    const a = allocator(2 * PAGE + 1, 5 * PAGE - 2);
    expect(a.insert(at(2 * PAGE), PAGE)).toBe(false);
    expect(a.insert(at(4 * PAGE), 1)).toBe(false);
    expect(a.allocate(PAGE + 1)).toBeUndefined();
    expect(a.allocate(1)).toBe(3 * PAGE);
    expect(a.find(at(4 * PAGE - 1))).toMatchObject({ iova: 3 * PAGE, bytes: PAGE });
    expect(a.allocate(1)).toBeUndefined();
  });

  it("fills a hole of exactly the size, and not one that is a page short", () => {
    const a = allocator(PAGE, 9 * PAGE - 1);
    for (let i = 0; i < 8; i++) a.allocate(PAGE);
    for (const page of [3, 4, 5]) a.free(at(page * PAGE));
    expect(a.allocate(4 * PAGE)).toBeUndefined();
    expect(a.allocate(3 * PAGE)).toBe(3 * PAGE);
    expect(a.allocate(PAGE)).toBeUndefined();
  });

  it("lets a mapping end on the last byte of the range, and refuses one byte more", () => {
    const a = allocator(2 ** 32, 2 ** 32 + 4 * PAGE - 1);
    expect(a.insert(at(2 ** 32 + 3 * PAGE), PAGE + 1)).toBe(false);
    expect(a.allocate(4 * PAGE + 1)).toBeUndefined();
    expect(a.allocate(4 * PAGE)).toBe(2 ** 32);
  });

  it.each([
    ["a mapping's first page", 4, 1],
    ["a mapping's last page", 7, 1],
    ["across its start", 3, 2],
    ["across its end", 7, 2],
    ["all of it and more", 3, 6],
    ["before the range", 0, 1],
    ["past the range", 15, 2],
  ])("refuses to insert at %s, and changes nothing", (_what, page, pages) => {
    const a = allocator(0, 16 * PAGE - 1);
    a.insert(at(4 * PAGE), 4 * PAGE);
    const before = picture(a);
    expect(a.insert(at(page * PAGE), pages * PAGE)).toBe(false);
    expect(a.insert(at(2 * PAGE + 8), PAGE)).toBe(false);
    expect(picture(a)).toEqual(before);
  });

  it("changes nothing when there is no room or nothing to free", () => {
    const a = allocator(0, 2 ** 21 - 1);
    for (let i = 1; i < 512; i += 2) a.insert(at(i * PAGE), PAGE);
    const before = picture(a);
    expect(a.allocate(2 * PAGE)).toBeUndefined();
    expect(a.allocate(2 ** 52)).toBeUndefined();
    expect(a.free(at(2 * PAGE))).toBe(false);
    expect(a.free(at(PAGE + 1))).toBe(false);
    expect(a.free(at(0))).toBe(false);
    expect(picture(a)).toEqual(before);
  });

  it.each([0, -PAGE, 1.5, Number.NaN, 2 ** 53])("throws RangeError for a size of %d", (bytes) => {
    const a = allocator(0, 2 ** 39 - 1);
    expect(() => a.allocate(bytes)).toThrow(RangeError);
    expect(() => a.insert(at(PAGE), bytes)).toThrow(RangeError);
    expect(a.count).toBe(0);
  });

  it("does not free what lies below its floor", () => {
    const a = allocator(0, 2 ** 39 - 1);
    const before = picture(a);
    for (const address of [-PAGE, -2 * PAGE, -1, Number.NaN]) expect(a.free(at(address)), `${address}`).toBe(false);
    expect(picture(a)).toEqual(before);
  });

  it.each([
    ["first", (leaf: number) => leaf === 1],
    ["last", (leaf: number) => leaf === 3],
  ])("is sound while the %s leaf of three empties beside full ones", (_which, empties) => {
    const a = allocator(0, 2 ** 39 - 1);
    const leafOf = (page: number) => Math.min(3, Math.ceil((page + 1) / 24));
    let count = 0;
    for (let page = 2; page < 72; page += 2) count += Number(a.insert(at(page * PAGE), PAGE));
    for (let leaf = 1; leaf <= 3; leaf++) {
      for (let i = 0; i < 4; i++) count += Number(a.insert(at((24 * (leaf - 1) + 5 + 2 * i) * PAGE), PAGE));
    }
    for (const { iova } of [...a.entries()]) {
      if (!empties(leafOf(iova / PAGE))) continue;
      expect(a.free(iova)).toBe(true);
      count -= 1;
      expect(treeFaults(a.inspect(), { count, floorPage: 1, endPage: 2 ** 27 })).toEqual([]);
    }
  });

  it("finds no room in a node that it no longer uses", () => {
    const a = allocator(0, 40 * PAGE - 1);
    for (let page = 1; page <= 20; page++) a.allocate(PAGE);
    for (let page = 20; page > 2; page--) a.free(at(page * PAGE));
    expect([a.allocate(30 * PAGE), a.allocate(8 * PAGE), a.allocate(7 * PAGE)]).toEqual([
      3 * PAGE,
      undefined,
      33 * PAGE,
    ]);
  });

  it("counts what lives", () => {
    const a = allocator(0, 2 ** 39 - 1);
    const [x] = [a.allocate(PAGE)!, a.allocate(PAGE)];
    expect([a.count, a.insert(at(9 * PAGE), PAGE), a.count, a.free(x), a.count]).toEqual([2, true, 3, true, 2]);
    expect([a.free(x), a.insert(at(9 * PAGE), PAGE), a.count]).toEqual([false, false, 2]);
  });

  it("throws RangeError for a range that begins below 0, and takes one of a single byte", () => {
    expect(() => allocator(-1, PAGE)).toThrow(RangeError);
    expect(allocator(PAGE, PAGE).allocate(1)).toBeUndefined();
  });

  it("throws RangeError for a range that ends before it begins", () => {
    expect(() => allocator(PAGE, PAGE - 1)).toThrow(RangeError);
    expect(() => allocator(0, 2 ** 53)).toThrow(RangeError);
  });

  it("finds the mapping that covers an address, first byte to last", () => {
    const a = allocator(2 ** 45, 2 ** 45 + 2 ** 32 - 1);
    const x = a.allocate(3 * PAGE)!;
    const y = a.allocate(PAGE)!;
    expect(a.find(x)).toMatchObject({ iova: x, bytes: 3 * PAGE });
    expect(a.find(at(y - 1))).toMatchObject({ iova: x });
    expect(a.find(y)).toMatchObject({ iova: y, bytes: PAGE });
    expect(a.find(at(x - 1))).toBeUndefined();
    expect(a.find(at(y + PAGE))).toBeUndefined();
    expect(a.find(at(0))).toBeUndefined();
    expect(a.find(at(2 ** 53 - 1))).toBeUndefined();
  });

  it("gives each mapping a small handle that stays its own while others come and go", () => {
    const a = allocator(0, 2 ** 39 - 1);
    const iovas = Array.from({ length: 3000 }, () => a.allocate(PAGE)!);
    const handles = iovas.map((iova) => a.handleOf(iova));
    expect(new Set(handles).size).toBe(3000);
    expect(Math.max(...handles)).toBe(2999);
    for (let i = 0; i < 3000; i += 2) a.free(iovas[i]!);
    for (let i = 0; i < 500; i++) a.allocate(5 * PAGE);
    for (let i = 1; i < 3000; i += 2) expect(a.handleOf(iovas[i]!)).toBe(handles[i]);
    expect(Math.max(...[...a.entries()].map(({ handle }) => handle))).toBeLessThan(3000);
    expect(a.handleOf(at(0))).toBe(-1);
  });

  it("shrinks back to one leaf when all is freed, in whatever order", () => {
    for (const order of [(i: number) => i, (i: number) => 4999 - i, (i: number) => (i * 1237) % 5000]) {
      const a = allocator(0, 2 ** 39 - 1);
      const empty = a.inspect();
      for (let i = 0; i < 5000; i++) a.allocate(PAGE * (1 + (i % 3)));
      const iovas = [...a.entries()].map(({ iova }) => iova);
      for (let i = 0; i < 5000; i++) expect(a.free(iovas[order(i)]!)).toBe(true);
      expect(a.inspect()).toEqual(empty);
    }
  });

  it.each<[string, (live: number) => number]>([
    ["low end", () => 0],
    ["high end", (live) => live - 1],
    ["middle", (live) => live >> 1],
  ])("is sound after every step while it fills up and is freed from the %s", (_where, pick) => {
    const a = allocator(0, 2 ** 39 - 1);
    const live: Iova[] = [];
    const claim = () => ({ count: live.length, floorPage: 1, endPage: 2 ** 27 });
    for (const goal of [800, 30, 800, 0]) {
      while (live.length !== goal) {
        if (live.length < goal) live.push(a.allocate(PAGE)!);
        else a.free(live.splice(pick(live.length), 1)[0]!);
        expect(treeFaults(a.inspect(), claim())).toEqual([]);
      }
      live.sort((x, y) => x - y);
    }
  });

  it("keeps its leaves three quarters full while addresses only rise", () => {
    const a = allocator(0, 2 ** 39 - 1);
    for (let i = 0; i < 12 * 12; i++) a.allocate(PAGE);
    expect(a.inspect().entries.length).toBeLessThanOrEqual(13);
  });

  it("takes no more memory when it fills up and empties again and again", () => {
    const a = allocator(0, 2 ** 39 - 1);
    const cycle = () => {
      for (let i = 0; i < 5000; i++) a.allocate(PAGE);
      for (let i = 1; i <= 5000; i++) a.free(at(i * PAGE));
    };
    cycle();
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 100; i++) cycle();
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000);
  });

  // Where int32 pages, 32-bit halves or the exactness of a double would end.
  it.each([
    ["2^31", 2 ** 31],
    ["2^32", 2 ** 32],
    ["2^43 (page 2^31)", 2 ** 43],
    ["2^44 (page 2^32)", 2 ** 44],
    ["2^52", 2 ** 52],
  ])("is exact on both sides of %s", (_name, border) => {
    const a = allocator(border - 2 * PAGE, border + 2 * PAGE - 1);
    expect(a.insert(at(border - PAGE), 2 * PAGE)).toBe(true);
    expect(a.find(at(border))).toMatchObject({ iova: border - PAGE, bytes: 2 * PAGE });
    expect(a.find(at(border - PAGE - 1))).toBeUndefined();
    expect(a.allocate(PAGE)).toBe(border - 2 * PAGE);
    expect(a.allocate(PAGE)).toBe(border + PAGE);
    expect(a.allocate(PAGE)).toBeUndefined();
  });

  it("reaches the last page below 2^53", () => {
    const a = allocator(2 ** 52, 2 ** 53 - 1);
    expect(a.insert(at(2 ** 53 - PAGE), PAGE)).toBe(true);
    expect(a.find(at(2 ** 53 - 1))).toMatchObject({ iova: 2 ** 53 - PAGE });
    expect(a.allocate(2 ** 52 - PAGE)).toBe(2 ** 52);
    expect(a.allocate(PAGE)).toBeUndefined();
  });
});

describe("treeFaults", () => {
  const claim = { count: 2000, floorPage: 1, endPage: 2 ** 27 };

  function damaged(change: (tree: ReturnType<typeof mutable>) => void): string[] {
    const a = allocator(0, 2 ** 39 - 1);
    for (let i = 0; i < 4000; i++) a.allocate(PAGE);
    for (let i = 1; i <= 4000; i += 2) a.free(at(i * PAGE));
    const tree = mutable(a);
    change(tree);
    return treeFaults(tree, claim);
  }

  it("finds none in a sound tree", () => {
    expect(damaged(() => {})).toEqual([]);
  });

  it.each<[string, Parameters<typeof damaged>[0]]>([
    ["a largest gap that is one page too large", (tree) => tree.entries[1]!.gap++],
    ["a largest gap that was not carried up", (tree) => tree.entries[0]!.gap--],
    ["a first start that was not carried up", (tree) => tree.entries[1]!.start--],
    ["a gap that is one page short", (tree) => leaf(tree).entries[3]!.gap--],
    ["a mapping that is gone", (tree) => leaf(tree).entries.splice(3, 1)],
    ["entries out of order", (tree) => leaf(tree).entries.reverse()],
    ["a handle given twice", (tree) => (leaf(tree).entries[3]!.handle = leaf(tree).entries[4]!.handle)],
    ["a node that is too empty", (tree) => leaf(tree).entries.splice(3)],
    ["a leaf on another level", (tree) => (tree.entries[1]!.child = leaf(tree))],
  ])("finds %s", (_what, change) => {
    expect(damaged(change)).not.toEqual([]);
  });
});

interface MutableNode {
  entries: { start: number; pages: number; gap: number; handle: number; child?: MutableNode }[];
}

function mutable(a: IovaAllocator): MutableNode {
  return structuredClone(a.inspect()) as MutableNode;
}

function leaf(tree: MutableNode): MutableNode {
  const { child } = tree.entries[0]!;
  return child ? leaf(child) : tree;
}
