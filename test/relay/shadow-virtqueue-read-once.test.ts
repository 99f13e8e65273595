import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type HandDescriptor, HandRings } from "../helpers/hand-rings.js";
import { FickleMemory } from "../helpers/odd-memory.js";

const element = fc.record({
  address: fc.oneof(
    fc.integer({ min: 0x8000, max: 0xf_ffff }),
    fc.constantFrom(0x10_0000, 2 ** 43, 2n ** 53n, 2n ** 64n - 1n),
  ),
  bytes: fc.oneof(fc.integer({ min: 0, max: 9000 }), fc.constantFrom(0, 2 ** 31, 2 ** 32 - 1)),
  flags: fc.oneof(
    { arbitrary: fc.constantFrom(0, 1, 2, 3), weight: 6 },
    { arbitrary: fc.integer({ min: 0, max: 7 }), weight: 1 },
  ),
  // Forward only: a loop has to be walked, so it has words that are read again.
  skip: fc.integer({ min: 1, max: 3 }),
});
const rings = fc.record({
  table: fc.array(element, { minLength: 8, maxLength: 8 }),
  indirect: fc.array(element, { minLength: 4, maxLength: 4 }),
  pointer: fc.boolean(),
  heads: fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 8 }),
  shadowNum: fc.constantFrom(2, 8, 32),
});
const mappings = Array.from({ length: 32 }, (_, i) => ({
  gpa: i * 0x8000,
  bytes: 0x8000,
  iova: (99 - 3 * i) * 0x8000,
}));

type Made = typeof rings extends fc.Arbitrary<infer T> ? T : never;

/** All that comes of what the guest offers and of what a device makes of it, over memory that is fickle or not. */
function outcome(made: Made, fickle: boolean) {
  const memories: FickleMemory[] = [];
  let bench: HandRings | undefined;
  const wrap = (memory: ConstructorParameters<typeof FickleMemory>[0]) => {
    if (!fickle) return memory;
    memories.push(new FickleMemory(memory, (offset) => memory === bench?.guestRam && isAvailEntry(bench, offset)));
    return memories.at(-1)!;
  };
  bench = new HandRings({ shadowNum: made.shadowNum, mappings, wrapGuest: wrap, wrapShadow: wrap });
  for (const [i, one] of made.table.entries()) bench.descriptor(i, { ...one, next: i + one.skip } as HandDescriptor);
  bench.table(0x9000, made.indirect.map((one, i) => ({ ...one, next: i + one.skip })) as HandDescriptor[]);
  if (made.pointer) bench.descriptor(0, { address: 0x9000, bytes: 64, flags: 4 });
  bench.offer(...made.heads);
  let fault = "none";
  const act = (what: () => boolean) => {
    for (const memory of memories) memory.forget();
    try {
      what();
    } catch (error) {
      fault = String(error);
    }
  };
  act(() => bench.relay.forwardAvail());
  const problems = bench.books().problems;
  for (const [i, head] of bench.newHeads().entries()) if (i % 3 !== 2) bench.use([head, 4096]);
  act(() => bench.relay.forwardUsed());
  act(() => bench.relay.forwardAvail());
  const shadow = new Uint8Array(bench.shadowRam.byteLength);
  bench.shadowRam.copyOut(0, shadow);
  const ring = new Uint8Array(512);
  bench.guestRam.copyOut(bench.guest.desc, ring);
  return {
    result: {
      fault,
      shadow,
      ring,
      state: { ...bench.relay.state },
      dirty: bench.takeDirty(),
      problems: [...problems, ...bench.books().problems],
    },
    secondReads: memories.reduce((sum, { secondReads }) => sum + secondReads, 0),
  };
}

/** Whether a read there begins a chain. */
function isAvailEntry({ guest }: HandRings, offset: number): boolean {
  return offset >= guest.avail + 4 && offset < guest.avail + 4 + guest.num * 2;
}

describe("read once", () => {
  test("no word of a peer is read twice in a pass, so one that changes in between never matters", () => {
    let seconds = 0;
    fc.assert(
      fc.property(rings, (made) => {
        const plain = outcome(made, false);
        const fickle = outcome(made, true);
        seconds += fickle.secondReads;
        expect(fickle.result).toEqual(plain.result);
        expect(plain.result.problems).toEqual([]);
      }),
      { seed: 20, numRuns: 400 },
    );
    expect(seconds).toBe(0);
  });

  test("a second read of any word is seen by this very memory (twin)", () => {
    const bench = new HandRings();
    bench.chain(0, [{ address: 0x10000, bytes: 8 }]);
    const memory = new FickleMemory(bench.guestRam);
    const at = bench.guest.desc + 8;
    expect(memory.read32(at)).toBe(8);
    expect(memory.read32(at)).not.toBe(8);
    expect(memory.read16(at)).not.toBe(8);
    memory.forget();
    expect([memory.read16(at), memory.secondReads]).toEqual([8, 2]);
  });
});
