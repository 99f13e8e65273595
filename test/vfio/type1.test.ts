/** The legacy container: what is mapped, or pinned, is dirty for ever (specification 3.6). */
import { describe, expect, it } from "vitest";
import { bitmapWords, countPages } from "../../src/dirty/page-bitmap.js";
import { errnoName } from "../../src/layout/errno.js";
import { PAGE_BYTES } from "../../src/memory/address.js";
import { DIRTY_PAGES, DMA_UNMAP, TYPE1_MAPPINGS_MAX, Type1Container } from "../../src/vfio/type1-container.js";
import { Type1Tracker } from "../../src/vfio/type1-tracker.js";
import { seeded } from "../iova/seeded.js";
import { MIB, pagesIn, reported } from "./ground.js";

const PAGES = 65_536;
const BYTES = PAGES * PAGE_BYTES;

function container(pinnedOnly: boolean): Type1Container {
  const made = new Type1Container();
  made.attach({ name: "a", pinnedOnly });
  made.map(0, BYTES);
  return made;
}

function bitmapOf(bytes: number, fill = 0): { pageBytes: number; bits: Uint32Array } {
  return { pageBytes: PAGE_BYTES, bits: new Uint32Array(bitmapWords(bytes / PAGE_BYTES)).fill(fill) };
}

function get(made: Type1Container, iova: number, bytes: number, bitmap = bitmapOf(bytes)): number {
  return made.dirtyPages(DIRTY_PAGES.getBitmap, { iova, bytes, bitmap });
}

describe("GET_BITMAP", () => {
  it("B04: two GETs without any DMA both return every mapped page", () => {
    const made = container(false);
    made.dirtyPages(DIRTY_PAGES.start);
    for (let i = 0; i < 2; i++) {
      const bitmap = bitmapOf(BYTES);
      expect(get(made, 0, BYTES, bitmap)).toBe(0);
      expect(countPages(bitmap.bits)).toBe(PAGES);
    }
  });

  it("B05: 100 pinned pages of 65536 are returned, and again; unpinned once more; with a device that pins not, all", () => {
    const made = container(true);
    const tracker = new Type1Tracker("type1", made);
    const random = seeded(5);
    const pinned = new Set<number>();
    while (pinned.size < 100) pinned.add(random(PAGES));
    for (const page of pinned) made.pin(page * PAGE_BYTES, PAGE_BYTES);
    const pages = [...pinned].sort((a, b) => a - b);
    tracker.start([], PAGE_BYTES);
    expect(reported(tracker, 0, BYTES)).toEqual(pages);
    expect(reported(tracker, 0, BYTES)).toEqual(pages);
    made.unpin(pages[0]! * PAGE_BYTES, PAGE_BYTES);
    expect(reported(tracker, 0, BYTES)).toEqual(pages);
    expect(reported(tracker, 0, BYTES)).toEqual(pages.slice(1));
    made.attach({ name: "b", pinnedOnly: false });
    expect(reported(tracker, 0, BYTES)).toHaveLength(PAGES);
    made.detach("b");
    expect(reported(tracker, 0, BYTES), "what it wrote before it left").toHaveLength(PAGES);
    expect(reported(tracker, 0, BYTES)).toEqual(pages.slice(1));
  });

  it("a page that is pinned twice stays pinned until both are gone; the CPU's writes for a device are reported once", () => {
    const made = container(true);
    const tracker = new Type1Tracker("type1", made);
    tracker.start([], PAGE_BYTES);
    made.pin(0, PAGE_BYTES);
    made.pin(0, PAGE_BYTES);
    made.unpin(0, PAGE_BYTES);
    made.cpuWrite(5 * PAGE_BYTES, 8);
    expect(reported(tracker, 0, BYTES)).toEqual([0, 5]);
    expect(reported(tracker, 0, BYTES)).toEqual([0]);
  });

  it("M10: GET overwrites the user's words, and the tracker ORs them", () => {
    const made = container(true);
    made.dirtyPages(DIRTY_PAGES.start);
    made.pin(PAGE_BYTES, PAGE_BYTES);
    const bitmap = bitmapOf(BYTES, 0xffff_ffff);
    get(made, 0, BYTES, bitmap);
    expect(pagesIn(bitmap.bits)).toEqual([1]);
    const words = new Uint32Array(bitmapWords(PAGES));
    words[1] = 1;
    new Type1Tracker("type1", made).report(0, BYTES, PAGE_BYTES, words);
    expect(pagesIn(words)).toEqual([1, 32]);
  });

  it("B02: of two containers both are asked at each sync, and a page dirty in both counts once", () => {
    const words = new Uint32Array(bitmapWords(PAGES));
    const made = [container(true), container(true)].map((one, i) => {
      one.pin((7 + i) * PAGE_BYTES, 2 * PAGE_BYTES);
      return new Type1Tracker(`container${i}`, one);
    });
    for (const tracker of made) tracker.start([], PAGE_BYTES);
    for (const tracker of made) tracker.report(0, BYTES, PAGE_BYTES, words);
    expect(made.map((tracker) => tracker.container.counters.gets)).toEqual([1, 1]);
    expect(pagesIn(words)).toEqual([7, 8, 9]);
  });
});

describe("errors", () => {
  it.each([
    ["nothing", 0, "EINVAL"],
    ["START and STOP", 3, "EINVAL"],
    ["START and GET", 5, "EINVAL"],
    ["an unknown flag", 8, "EINVAL"],
    ["START", 1, undefined],
    ["STOP that was not started", 2, undefined],
  ])("DIRTY_PAGES wants exactly one flag: %s", (_, flags, name) => {
    expect(errnoName(container(false).dirtyPages(flags))).toBe(name);
  });

  it("a container of the first version tracks nothing: EACCES", () => {
    expect(errnoName(new Type1Container({ version: 1 }).dirtyPages(DIRTY_PAGES.start))).toBe("EACCES");
  });

  it("GET checks tracking, page size, alignment, mappings and the bitmap", () => {
    const made = container(false);
    expect(errnoName(get(made, 0, BYTES))).toBe("EINVAL");
    made.dirtyPages(DIRTY_PAGES.start);
    made.dirtyPages(DIRTY_PAGES.start);
    expect(get(made, 0, BYTES)).toBe(0);
    const wrong = [
      get(made, 0, BYTES, { ...bitmapOf(BYTES), pageBytes: 8192 }),
      get(made, 1, PAGE_BYTES, bitmapOf(PAGE_BYTES)),
      get(made, 0, 0, bitmapOf(PAGE_BYTES)),
      get(made, 0, BYTES / 2),
      get(made, BYTES / 2, BYTES),
      get(made, 0, BYTES, bitmapOf(BYTES / 2)),
    ];
    expect(wrong.map(errnoName)).toEqual(wrong.map(() => "EINVAL"));
    expect(get(made, 0, 2 * BYTES), "what is not mapped is not dirty").toBe(0);
  });

  it("a bitmap of more than 256 MiB, 8 TiB of pages, is EINVAL", () => {
    const made = container(true);
    made.dirtyPages(DIRTY_PAGES.start);
    const bits = new Uint32Array(new ArrayBuffer(8), 0, 2);
    const fake = { pageBytes: PAGE_BYTES, bits: Object.assign(bits, {}) };
    Object.defineProperty(fake.bits, "byteLength", { value: 2 ** 29 });
    expect(errnoName(get(made, 0, 2 ** 43 + 64 * PAGE_BYTES, fake))).toBe("EINVAL");
  });

  it("MAP: overlap EEXIST, out of the aperture EINVAL, one mapping too many ENOSPC", () => {
    const made = new Type1Container({ apertureEnd: 2 ** 39 });
    expect(made.map(0, MIB)).toBe(0);
    const wrong = [
      made.map(MIB - PAGE_BYTES, MIB),
      made.map(2 ** 39 - PAGE_BYTES, MIB),
      made.map(1, MIB),
      made.map(MIB, 0),
    ];
    expect(wrong.map(errnoName)).toEqual(["EEXIST", "EINVAL", "EINVAL", "EINVAL"]);
    for (let i = 1; i < TYPE1_MAPPINGS_MAX; i++) expect(made.map(i * MIB, PAGE_BYTES)).toBe(0);
    expect(errnoName(made.map(TYPE1_MAPPINGS_MAX * MIB, PAGE_BYTES))).toBe("ENOSPC");
  });
});

describe("UNMAP", () => {
  it("reads the bits of what it removes, once those who pinned it have let go", () => {
    const made = new Type1Container();
    made.map(0, MIB);
    made.map(MIB, MIB);
    made.attach({ name: "a", pinnedOnly: true, beforeUnmap: (iova) => void made.unpin(iova + PAGE_BYTES, PAGE_BYTES) });
    made.dirtyPages(DIRTY_PAGES.start);
    made.pin(PAGE_BYTES, PAGE_BYTES);
    const bitmap = bitmapOf(MIB);
    expect(made.unmap(0, MIB, DMA_UNMAP.getDirtyBitmap, bitmap)).toBe(MIB);
    expect(pagesIn(bitmap.bits)).toEqual([1]);
    expect(made.mappings).toMatchObject([{ iova: MIB, bytes: MIB }]);
  });

  it("GET_DIRTY_BITMAP goes with no other flag, with tracking only, and with one whole mapping", () => {
    const made = container(false);
    const ask = (iova: number, bytes: number, flags = 0) =>
      errnoName(made.unmap(iova, bytes, DMA_UNMAP.getDirtyBitmap | flags, bitmapOf(BYTES)));
    expect(ask(0, BYTES)).toBe("EINVAL");
    made.dirtyPages(DIRTY_PAGES.start);
    expect([ask(0, BYTES, DMA_UNMAP.all), ask(0, BYTES, DMA_UNMAP.vaddr), ask(0, MIB)]).toEqual([
      "EINVAL",
      "EINVAL",
      "EINVAL",
    ]);
    expect(ask(0, BYTES)).toBeUndefined();
    expect(made.mappings).toEqual([]);
  });

  it("ALL unmaps everything; a range that cuts a mapping in two is EINVAL", () => {
    const made = container(false);
    made.map(BYTES, MIB);
    expect(errnoName(made.unmap(PAGE_BYTES, BYTES))).toBe("EINVAL");
    expect(made.unmap(0, 0, DMA_UNMAP.all)).toBe(BYTES + MIB);
  });
});
