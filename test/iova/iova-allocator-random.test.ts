import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { IovaAllocator } from "../../src/iova/iova-allocator.js";
import type { Iova } from "../../src/memory/address.js";
import { type Allocator, NaiveAllocator } from "./naive-allocator.js";
import { seeded } from "./seeded.js";
import { treeFaults } from "./tree-faults.js";

const PAGE = 4096;

/** One range, and how full a run keeps it. */
interface Aperture {
  readonly name: string;
  readonly first: number;
  readonly last: number;
  /** Live mappings around which a run moves; it is refused room before that when the range is smaller. */
  readonly liveAim: number;
  readonly pageZero?: true;
}

const APERTURES: Aperture[] = [
  { name: "near-full, 256 pages", first: 0, last: 256 * PAGE - 1, liveAim: 400 },
  { name: "near-full, 256 pages from page 0", first: 0, last: 256 * PAGE - 1, liveAim: 400, pageZero: true },
  { name: "near-full, 8192 pages", first: 2 ** 45, last: 2 ** 45 + 8192 * PAGE - 1, liveAim: 1500 },
  { name: "39 bits, ragged ends", first: 12345, last: 2 ** 39 - 54321, liveAim: 1000 },
  { name: "47 bits", first: 0, last: 2 ** 47 - 1, liveAim: 1500 },
  { name: "48 bits", first: 2 ** 32, last: 2 ** 48 - 1, liveAim: 100 },
  { name: "52 bits, across 2^52", first: 2 ** 52 - 2000 * PAGE, last: 2 ** 52 + 2000 * PAGE - 1, liveAim: 700 },
];

const OPERATIONS = 15_000;

/** Runs the same random operations on both; says where they first differ, or what is wrong with the tree. */
function firstDifference(
  real: IovaAllocator,
  aperture: Aperture,
  seed: number,
  operations: number,
): string | undefined {
  const below = seeded(seed);
  const oracle = new NaiveAllocator(aperture.first, aperture.last, aperture.pageZero);
  const claim = {
    floorPage: Math.max(aperture.pageZero ? 0 : 1, Math.ceil(aperture.first / PAGE)),
    endPage: Math.floor((aperture.last + 1) / PAGE),
  };
  for (let step = 0; step < operations; step++) {
    const { name, run } = nextOperation(oracle, aperture, below);
    const [seen, due] = [comparable(run(real)), comparable(run(oracle))];
    if (seen !== due) return `step ${step}, ${name}: ${seen} instead of ${due}`;
    if (step % 500 !== 499) continue;
    const faults = treeFaults(real.inspect(), { ...claim, count: oracle.spans.length });
    if (faults.length > 0) return `step ${step}: ${faults[0]}`;
    const spans = [...real.entries()].map(({ iova, bytes }) => ({ iova, end: iova + bytes }));
    if (JSON.stringify(spans) !== JSON.stringify(oracle.spans)) return `step ${step}: other mappings than the oracle's`;
  }
  return undefined;
}

interface Operation {
  readonly name: string;
  readonly run: (on: Allocator) => unknown;
}

function nextOperation(oracle: NaiveAllocator, aperture: Aperture, below: (limit: number) => number): Operation {
  const { spans } = oracle;
  const some = spans.length > 0 ? spans[below(spans.length)]! : { iova: aperture.first, end: aperture.last + 1 };
  const bytes = below(50) === 0 ? Math.floor((aperture.last - aperture.first) / 4) : 1 + below(16 * PAGE);
  const near = (some.end + (below(9) - 4) * PAGE + (below(20) === 0 ? 1 : 0)) as Iova;
  const kind = below(10);
  if (kind < 2) return { name: `find(${near - 1})`, run: (on) => on.find((near - 1) as Iova) };
  if (kind < 4 && near >= 0) return { name: `insert(${near}, ${bytes})`, run: (on) => on.insert(near, bytes) };
  if (kind === 4) return { name: `free(${near})`, run: (on) => on.free(near) };
  const frees = below(2 * aperture.liveAim) < spans.length;
  if (frees) return { name: `free(${some.iova})`, run: (on) => on.free(some.iova as Iova) };
  return { name: `allocate(${bytes})`, run: (on) => on.allocate(bytes) };
}

function comparable(result: unknown): string {
  const { iova, bytes } = Object(result) as { iova?: number; bytes?: number };
  return iova === undefined ? String(result) : `${iova}+${bytes}`;
}

/** Hands out the second-lowest room now and then. */
class SecondFit extends IovaAllocator {
  override allocate(bytes: number): Iova | undefined {
    const lowest = super.allocate(bytes);
    if (lowest === undefined || this.count % 7 !== 0) return lowest;
    const second = super.allocate(bytes);
    if (second === undefined) return lowest;
    super.free(lowest);
    return second;
  }
}

/** Wants one page more than it hands out. */
class OnePageShort extends IovaAllocator {
  override allocate(bytes: number): Iova | undefined {
    const at = super.allocate(bytes + PAGE);
    if (at === undefined) return undefined;
    super.free(at);
    super.insert(at, bytes);
    return at;
  }
}

/** Takes the byte after a mapping for its last. */
class InclusiveEnd extends IovaAllocator {
  override find(at: Iova) {
    return super.find(at) ?? super.find((at - 1) as Iova);
  }
}

/** Frees whatever covers the address. */
class FreesWhatCovers extends IovaAllocator {
  override free(at: Iova): boolean {
    return super.free(super.find(at)?.iova ?? at);
  }
}

/** Loses the room of a mapping that it fails to insert. */
class KeepsWhatFailed extends IovaAllocator {
  override insert(at: Iova, bytes: number): boolean {
    if (super.insert(at, bytes)) return true;
    if (bytes > PAGE) super.insert(at, PAGE);
    return false;
  }
}

describe("IovaAllocator against a naive one", () => {
  it.each(APERTURES)("agrees in every operation: $name", (aperture) => {
    const range = { first: aperture.first as Iova, last: aperture.last as Iova };
    expect(firstDifference(new IovaAllocator(range, aperture.pageZero), aperture, 1, OPERATIONS)).toBeUndefined();
  });

  it("agrees on every short history of a small range", () => {
    const command = fc.record({
      kind: fc.constantFrom("allocate", "insert", "free", "find"),
      page: fc.nat({ max: 20 }),
      pages: fc.integer({ min: 1, max: 6 }),
    });
    fc.assert(
      fc.property(fc.array(command, { maxLength: 40 }), (commands) => {
        const real = new IovaAllocator({ first: PAGE as Iova, last: (18 * PAGE - 1) as Iova });
        const oracle = new NaiveAllocator(PAGE, 18 * PAGE - 1);
        for (const { kind, page, pages } of commands) {
          const at = (page * PAGE) as Iova;
          const run = (on: Allocator): unknown => {
            if (kind === "allocate") return on.allocate(pages * PAGE);
            return kind === "insert" ? on.insert(at, pages * PAGE) : kind === "free" ? on.free(at) : on.find(at);
          };
          expect(comparable(run(real))).toBe(comparable(run(oracle)));
        }
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    [SecondFit, "hands out the second-lowest room"],
    [OnePageShort, "wants a page more than it needs"],
    [InclusiveEnd, "takes the byte after a mapping for its last"],
    [FreesWhatCovers, "frees by overlap"],
    [KeepsWhatFailed, "keeps part of what failed"],
  ])("%o shows in the same harness: it %s", (Faulty) => {
    const aperture = APERTURES[2]!;
    const faulty = new Faulty({ first: aperture.first as Iova, last: aperture.last as Iova });
    expect(firstDifference(faulty, aperture, 1, OPERATIONS)).toMatch(/^step/);
  });
});
