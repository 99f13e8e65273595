import { describe, expect, it } from "vitest";
import { IovaAllocator } from "../../src/iova/iova-allocator.js";
import type { Iova } from "../../src/memory/address.js";
import { NaiveAllocator } from "./naive-allocator.js";
import { seeded } from "./seeded.js";
import { treeFaults } from "./tree-faults.js";

const PAGE = 4096;
const LAST = (2 ** 52 - 1) as Iova;
/** The tree tells gaps apart up to so many bytes; larger ones it has to look at one by one. */
const NOTED = (2 ** 31 - 1) * PAGE;

describe("IovaAllocator with gaps of more than 2^31 pages", () => {
  it.each([-1, 0, 1, 2])("finds the first that fits to the page: %i pages more than the tree notes", (more) => {
    const a = new IovaAllocator({ first: 0 as Iova, last: LAST });
    let end = PAGE;
    const starts = [NOTED - PAGE, NOTED, NOTED + PAGE, NOTED + 2 * PAGE].map((gap) => {
      const start = end;
      expect(a.insert((start + gap) as Iova, PAGE)).toBe(true);
      end = start + gap + PAGE;
      return start;
    });
    expect(a.allocate(NOTED + more * PAGE)).toBe(starts[more + 1]);
  });

  it("gives undefined where the sum of its gaps would do, and no gap does", () => {
    const a = new IovaAllocator({ first: 0 as Iova, last: LAST });
    expect(a.insert((2 ** 51) as Iova, PAGE)).toBe(true);
    expect(a.allocate(2 ** 51)).toBeUndefined();
    expect(a.allocate(2 ** 51 - PAGE)).toBe(PAGE);
  });

  it.each([1, 2, 3])("agrees with a naive one about a thousand such gaps, seed %i", (seed) => {
    const below = seeded(seed);
    const real = new IovaAllocator({ first: 0 as Iova, last: LAST });
    const oracle = new NaiveAllocator(0, LAST);
    for (let step = 0; step < 4000; step++) {
      const page = 2 ** 31 * below(512) + below(5);
      const at = (page * PAGE) as Iova;
      const kind = below(4);
      const bytes = below(2) === 0 ? PAGE : NOTED * (1 + below(3)) + (below(5) - 2) * PAGE;
      const some = (oracle.spans[below(Math.max(1, oracle.spans.length))]?.iova ?? 0) as Iova;
      if (kind === 0) expect(real.allocate(bytes)).toBe(oracle.allocate(bytes));
      else if (kind === 1) expect(real.free(some)).toBe(oracle.free(some));
      else expect(real.insert(at, PAGE)).toBe(oracle.insert(at, PAGE));
      if (step % 100 !== 99) continue;
      const claim = { count: oracle.spans.length, floorPage: 1, endPage: 2 ** 40 };
      expect(treeFaults(real.inspect(), claim)).toEqual([]);
    }
    expect([...real.entries()].map(({ iova, bytes }) => ({ iova, end: iova + bytes }))).toEqual(oracle.spans);
  });
});
