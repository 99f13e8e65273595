import { describe, expect, it } from "vitest";
import { IovaAllocator } from "../../src/iova/iova-allocator.js";
import type { Iova } from "../../src/memory/address.js";
import { seeded } from "./seeded.js";
import { treeFaults } from "./tree-faults.js";

const PAGE = 4096;
const BASE_PAGE = 2 ** 33;
const RANGE = { first: (BASE_PAGE * PAGE) as Iova, last: (2 ** 46 - 1) as Iova };
const MAPPING_PAGES_MAX = 8;
/** Of so many allocations in the churn, one is checked to be the lowest: that takes a look at millions of pages. */
const LOOK_EVERY = 100;

/** A byte per page, and nothing of trees: what is handed out must be free here, and the lowest run that fits. */
class PageMap {
  readonly taken: Uint8Array;

  constructor(pages: number) {
    this.taken = new Uint8Array(pages);
  }

  /** Marks a run as taken; false when part of it was. */
  take(start: number, pages: number): boolean {
    for (let page = start; page < start + pages; page++) {
      if (this.taken[page] !== 0) return false;
      this.taken[page] = 1;
    }
    return true;
  }

  lowestRun(pages: number): number {
    let run = 0;
    let page = 0;
    while (run < pages && page < this.taken.length) run = this.taken[page++] === 0 ? run + 1 : 0;
    return page - pages;
  }
}

/** Allocates `live` mappings, then frees or allocates at random; says what first contradicts the map. */
function firstContradiction(allocator: IovaAllocator, live: number, churn: number): string | undefined {
  const below = seeded(live);
  const map = new PageMap(live * MAPPING_PAGES_MAX);
  const starts: number[] = [];

  const allocate = (look: boolean): string | undefined => {
    const pages = 1 + below(MAPPING_PAGES_MAX);
    const due = look ? map.lowestRun(pages) : undefined;
    const start = allocator.allocate(pages * PAGE)! / PAGE - BASE_PAGE;
    starts.push(start);
    if (due !== undefined && start !== due) return `page ${start} for ${pages} pages, page ${due} was free`;
    return map.take(start, pages) ? undefined : `a page from ${start} on is handed out twice`;
  };

  const freeSome = (): string | undefined => {
    const index = below(starts.length);
    const start = starts[index]!;
    starts[index] = starts.at(-1)!;
    starts.pop();
    const at = ((BASE_PAGE + start) * PAGE) as Iova;
    const found = allocator.find(at);
    if (found?.iova !== at || !allocator.free(at)) return `page ${start} cannot be freed`;
    map.taken.fill(0, start, start + found.bytes / PAGE);
    return undefined;
  };

  let fault: string | undefined;
  for (let step = 0; step < live && fault === undefined; step++) fault = allocate(false);
  for (let step = 0; step < churn && fault === undefined; step++) {
    fault = below(2) === 0 ? freeSome() : allocate(step % LOOK_EVERY === 0);
  }
  return fault ?? mappedPages(allocator, map);
}

/** Compares all mappings with the map. */
function mappedPages(allocator: IovaAllocator, map: PageMap): string | undefined {
  const seen = new PageMap(map.taken.length);
  for (const { iova, bytes } of allocator.entries()) {
    if (!seen.take(iova / PAGE - BASE_PAGE, bytes / PAGE)) return `the mapping at ${iova} overlaps another`;
  }
  return Buffer.compare(seen.taken, map.taken) === 0 ? undefined : "other pages are mapped than were handed out";
}

/** Passes over a gap of one page that is as long as what is asked for. */
class PassesOverExactFit extends IovaAllocator {
  override allocate(bytes: number): Iova | undefined {
    const at = super.allocate(bytes === PAGE ? 2 * PAGE : bytes);
    if (at !== undefined && bytes === PAGE) {
      super.free(at);
      super.insert(at, bytes);
    }
    return at;
  }
}

describe("IovaAllocator with a million live mappings", () => {
  it("still hands out the lowest room, and no page twice", () => {
    const allocator = new IovaAllocator(RANGE);
    expect(firstContradiction(allocator, 1_000_000, 10_000)).toBeUndefined();
    expect(allocator.count).toBeGreaterThan(990_000);
    const claim = { count: allocator.count, floorPage: BASE_PAGE, endPage: 2 ** 34 };
    expect(treeFaults(allocator.inspect(), claim)).toEqual([]);
  });

  it("shows in the same harness when a gap of exactly the size is passed over", () => {
    expect(firstContradiction(new PassesOverExactFit(RANGE), 20_000, 10_000)).toMatch(/was free$/);
  });
});
