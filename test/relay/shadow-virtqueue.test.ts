import { describe, expect, test } from "vitest";
import { VHOST_ACCESS_RO, VHOST_ACCESS_WO } from "../../src/layout/vhost.js";
import { type HandDescriptor, HandRings, RAM_BYTES, wholeRamIova } from "../helpers/hand-rings.js";

const out = (address: number | bigint, bytes: number): HandDescriptor => ({ address, bytes });
const into = (address: number | bigint, bytes: number): HandDescriptor => ({ address, bytes, writable: true });

/** Offers one chain from head 0 and forwards it; the shadow chain, or undefined when it was not forwarded. */
function forwardOne(bench: HandRings, elements: readonly HandDescriptor[]) {
  bench.chain(0, elements);
  bench.offer(0);
  bench.relay.forwardAvail();
  expect(bench.books().problems).toEqual([]);
  const heads = bench.newHeads();
  expect(heads.length).toBeLessThan(2);
  return heads.length === 0 ? undefined : bench.seen(heads[0]!);
}

/** Whether the last chain came back unused. */
function quarantined(bench: HandRings): boolean {
  return bench.counter("quarantined") === 1 && bench.usedIdx === 1 && bench.usedEntry(0).len === 0;
}

describe("forwardAvail()", () => {
  test("writes a chain with the same bytes in the same order, directions kept, NEXT on all but the last", () => {
    const bench = new HandRings();
    const chain = forwardOne(bench, [out(0x10000, 100), out(0x20fff, 2), into(0x30000, 4096)]);
    expect(chain).toEqual([
      { iova: wholeRamIova(0x10000), bytes: 100, writable: false },
      { iova: wholeRamIova(0x20fff), bytes: 2, writable: false },
      { iova: wholeRamIova(0x30000), bytes: 4096, writable: true },
    ]);
    expect(bench.canariesIntact()).toBe(true);
  });

  test("publishes all good chains of a pass at once and kicks once (TOL-09)", () => {
    const bench = new HandRings();
    for (const head of [5, 0, 3]) bench.chain(head, [out(0x10000 + head * 16, 8)]);
    bench.offer(5, 0, 3);
    expect(bench.relay.forwardAvail()).toBe(true);
    expect(bench.newHeads().map((head) => bench.seen(head)[0]!.iova - wholeRamIova(0x10000))).toEqual([80, 0, 48]);
    expect([bench.kicks, bench.counter("availBatches"), bench.counter("chains")]).toEqual([1, 1, 3]);
  });

  test("does nothing, and says so, when nothing is available", () => {
    const bench = new HandRings();
    expect(bench.relay.forwardAvail()).toBe(false);
    expect([bench.kicks, bench.counter("availBatches")]).toEqual([0, 0]);
  });

  test("flattens an indirect table, also behind direct descriptors and at an odd address (INDIR-07)", () => {
    for (const address of [0x40000, 0x40001, 0x4000f, 0x40ff8]) {
      const bench = new HandRings();
      bench.table(0x50000, [out(0x10000, 16), into(0x20000, 32)]);
      const bytes = new Uint8Array(32);
      bench.guestRam.copyOut(0x50000, bytes);
      bench.guestRam.copyIn(address, bytes);
      const chain = forwardOne(bench, [out(0x60000, 4), { address, bytes: 32, flags: 4 }]);
      expect(chain?.map(({ bytes, writable }) => [bytes, writable])).toEqual([
        [4, false],
        [16, false],
        [32, true],
      ]);
    }
  });

  test("ignores WRITE on the descriptor that points at an indirect table (VIRTIO 1.3, 2.7.5.3.2; INDIR-06)", () => {
    const bench = new HandRings();
    bench.table(0x50000, [out(0x10000, 16)]);
    const chain = forwardOne(bench, [{ address: 0x50000, bytes: 16, flags: 4 | 2 }]);
    expect(chain).toEqual([{ iova: wholeRamIova(0x10000), bytes: 16, writable: false }]);
  });
});

describe("translation", () => {
  const split = [
    { gpa: 0, bytes: 0x11000, iova: 0x70_0000 },
    { gpa: 0x11000, bytes: 0x1000, iova: 0x10_0000 },
    { gpa: 0x12000, bytes: RAM_BYTES - 0x12000, iova: 0x900_0000 },
  ];

  test("splits a buffer at every border of a mapping, and nowhere else, byte for byte (SPLIT-04)", () => {
    for (const [from, bytes] of [
      [0x10fff, 2],
      [0x10ffe, 0x1004],
      [0x10001, 0x2fff],
      [0x11000, 0x1000],
      [0x11fff, 1],
    ] as const) {
      const bench = new HandRings({ mappings: split });
      const chain = forwardOne(bench, [out(from, bytes)])!;
      const gpaOf = (iova: number) => {
        const mapping = split.find((m) => iova >= m.iova && iova < m.iova + m.bytes)!;
        return mapping.gpa + iova - mapping.iova;
      };
      let at: number = from;
      for (const piece of chain) {
        expect(gpaOf(piece.iova)).toBe(at);
        at += piece.bytes;
      }
      expect(at).toBe(from + bytes);
      expect(chain.length).toBe(split.filter((m) => m.gpa < from + bytes && m.gpa + m.bytes > from).length);
    }
  });

  test("takes a buffer up to the last byte of a mapping, and not one byte more", () => {
    const mappings = [{ gpa: 0x10000, bytes: 0x1000, iova: 0x70_0000 }];
    expect(forwardOne(new HandRings({ mappings }), [out(0x10000, 0x1000)])?.length).toBe(1);
    expect(forwardOne(new HandRings({ mappings }), [out(0x10fff, 1)])?.length).toBe(1);
    for (const [from, bytes] of [
      [0x10000, 0x1001],
      [0x10fff, 2],
      [0x11000, 1],
      [0xffff, 1],
      [0xffff, 2],
    ] as const) {
      const bench = new HandRings({ mappings });
      expect(forwardOne(bench, [out(from, bytes)])).toBeUndefined();
      expect(quarantined(bench)).toBe(true);
    }
  });

  test("asks for the right to read for readable elements, for that to write for writable ones (SPLIT-05, SPLIT-06)", () => {
    const readOnly = [{ gpa: 0x10000, bytes: 0x1000, iova: 0x70_0000, perm: VHOST_ACCESS_RO }];
    const writeOnly = [{ gpa: 0x10000, bytes: 0x1000, iova: 0x70_0000, perm: VHOST_ACCESS_WO }];
    const tryIt = (mappings: typeof readOnly, element: HandDescriptor) =>
      forwardOne(new HandRings({ mappings }), [element]) !== undefined;
    expect(tryIt(readOnly, out(0x10000, 8))).toBe(true);
    expect(tryIt(readOnly, into(0x10000, 8))).toBe(false);
    expect(tryIt(readOnly, into(0x10000, 0))).toBe(false);
    expect(tryIt(writeOnly, out(0x10000, 8))).toBe(false);
    expect(tryIt(writeOnly, into(0x10000, 8))).toBe(true);
  });

  test("reaches the last page below 2^43 and refuses every address from there on", () => {
    const top = 2 ** 43 - 4096;
    const mappings = [
      { gpa: 0, bytes: 4096, iova: 0 },
      { gpa: top, bytes: 4096, iova: 0x10_0000 },
    ];
    const fits = new HandRings({ mappings, log: false });
    expect(forwardOne(fits, [out(top + 4095, 1)])).toEqual([{ iova: 0x10_0fff, bytes: 1, writable: false }]);
    const borders = [2n ** 43n, 2n ** 44n, 2n ** 52n, 2n ** 53n - 4096n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n];
    for (const address of [...borders, 2n ** 63n, 2n ** 63n + 4095n, 2n ** 64n - 4096n, 2n ** 64n - 1n]) {
      for (const bytes of [0, 1, 4096, 2 ** 31, 2 ** 32 - 1]) {
        const bench = new HandRings({ mappings, log: false });
        expect(forwardOne(bench, [out(top, 1), out(address, bytes)]), `${address} + ${bytes}`).toBeUndefined();
        expect(quarantined(bench), `${address} + ${bytes}`).toBe(true);
      }
    }
  });

  test("refuses an indirect table at an address of 2^53 or above", () => {
    for (const address of [2n ** 53n, 2n ** 63n, 2n ** 64n - 16n]) {
      const bench = new HandRings();
      expect(forwardOne(bench, [{ address, bytes: 16, flags: 4 }])).toBeUndefined();
      expect(quarantined(bench)).toBe(true);
    }
  });

  test("takes lengths up to 2^32 - 1 in pieces below 2^31, and chains of up to 2^32 bytes (SPLIT-08)", () => {
    const mappings = [{ gpa: 0, bytes: 2 ** 40, iova: 2 ** 32 }];
    const total = (lengths: number[]) => {
      const bench = new HandRings({ mappings, log: false });
      const chain = forwardOne(
        bench,
        lengths.map((bytes, i) => into(i * 2 ** 33, bytes)),
      );
      if (chain === undefined) expect(quarantined(bench)).toBe(true);
      expect(chain?.every(({ bytes }) => bytes > 0 && bytes < 2 ** 31) ?? true).toBe(true);
      return chain?.reduce((sum, { bytes }) => sum + bytes, 0);
    };
    expect(total([2 ** 32 - 1])).toBe(2 ** 32 - 1);
    expect(total([2 ** 31, 2 ** 31])).toBe(2 ** 32);
    expect(total([2 ** 31, 2 ** 31, 1])).toBeUndefined();
    expect(total([0x5555_5556, 0x5555_5556, 0x5555_5556])).toBeUndefined();
    expect(total([0x5555_5555, 0x5555_5555, 0x5555_5556])).toBe(2 ** 32);
  });
});

describe("empty elements", () => {
  test("are dropped wherever they stand, and the chain ends where its last byte is", () => {
    const a = into(0x10000, 4);
    const empty = into(0x20000, 0);
    for (const chain of [
      [a, empty],
      [empty, a],
      [empty, a, empty, empty],
      [a, empty, into(0x30000, 8), empty],
      [out(0x10000, 4), out(0x20000, 0), empty],
    ]) {
      const bench = new HandRings();
      const wanted = chain.filter(({ bytes }) => bytes > 0).map(({ bytes, writable = false }) => [bytes, writable]);
      expect(forwardOne(bench, chain)?.map(({ bytes, writable }) => [bytes, writable])).toEqual(wanted);
    }
  });

  test("are checked all the same: an unmapped one spoils its chain", () => {
    const bench = new HandRings();
    expect(forwardOne(bench, [out(0x10000, 4), out(RAM_BYTES, 0)])).toBeUndefined();
    expect(quarantined(bench)).toBe(true);
  });

  test("make no chain by themselves: one of nothing else is returned", () => {
    for (const count of [1, 2, 8]) {
      const bench = new HandRings();
      expect(
        forwardOne(
          bench,
          Array.from({ length: count }, () => into(0x10000, 0)),
        ),
      ).toBeUndefined();
      expect(quarantined(bench)).toBe(true);
    }
  });

  test("take no room: a full ring of them and one byte is forwarded through a shadow ring of one", () => {
    const bench = new HandRings({ shadowNum: 1 });
    expect(forwardOne(bench, [...Array.from({ length: 7 }, () => out(0x10000, 0)), into(0x10000, 1)])?.length).toBe(1);
  });
});

describe("a chain that does not fit", () => {
  test("waits in the guest's ring, with kicks off, and goes on when room comes", () => {
    const bench = new HandRings({ shadowNum: 4 });
    bench.chain(0, [out(0x10000, 1), out(0x11000, 1), out(0x12000, 1)]);
    bench.chain(3, [out(0x13000, 1), into(0x14000, 1)]);
    bench.offer(0, 3);
    expect(bench.relay.step()).toBe(true);
    expect(bench.newHeads().length).toBe(1);
    expect([bench.relay.state.holding, bench.relay.state.lastAvailIdx, bench.counter("held")]).toEqual([1, 1, 1]);
    expect(bench.relay.step()).toBe(false);
    expect(bench.relay.arm()).toBe(true);
    expect(bench.usedFlags).toBe(1);
    bench.use([0, 0]);
    expect(bench.relay.step()).toBe(true);
    expect(bench.newHeads().length).toBe(1);
    expect(bench.relay.state.holding).toBe(0);
    expect(bench.books().problems).toEqual([]);
    expect(bench.relay.arm()).toBe(true);
    expect(bench.usedFlags).toBe(0);
  });

  test("is forwarded when it takes the whole shadow ring, one descriptor more is returned unused (TOL-01)", () => {
    const pages = (count: number) => Array.from({ length: count }, (_, i) => out(0x10000 + i * 0x1000, 1));
    expect(forwardOne(new HandRings({ shadowNum: 4 }), pages(4))?.length).toBe(4);
    const bench = new HandRings({ shadowNum: 4 });
    expect(forwardOne(bench, pages(5))).toBeUndefined();
    expect(quarantined(bench)).toBe(true);
  });

  test("never fits, through mappings: is held while others are in flight, returned once they are back", () => {
    const mappings = Array.from({ length: 16 }, (_, i) => ({
      gpa: i * 0x1000,
      bytes: 0x1000,
      iova: (31 - 2 * i) * 0x1000,
    }));
    const bench = new HandRings({ shadowNum: 4, mappings });
    bench.chain(0, [out(0x1000, 1)]);
    bench.chain(1, [into(0x1000, 5 * 0x1000)]);
    bench.chain(2, [out(0x1000, 1)]);
    bench.offer(0, 1, 2);
    while (bench.relay.step());
    const [first] = bench.newHeads();
    expect([bench.relay.state.holding, bench.usedIdx, bench.counter("quarantined")]).toEqual([1, 0, 0]);
    bench.use([first!, 0]);
    while (bench.relay.step());
    expect([bench.usedEntry(0).id, bench.usedEntry(1), bench.usedIdx]).toEqual([0, { id: 1, len: 0 }, 2]);
    expect(bench.newHeads().length).toBe(1);
    expect(bench.books().problems).toEqual([]);
  });
});

describe("quarantine", () => {
  test("waits for those in flight, returns the bad chain with length 0, and the queue goes on", () => {
    const bench = new HandRings();
    bench.chain(0, [into(0x10000, 8)]);
    bench.chain(1, [out(RAM_BYTES, 8), into(0x10000, 8)]);
    bench.chain(3, [into(0x20000, 8)]);
    bench.offer(0, 1, 3);
    while (bench.relay.step());
    const [first] = bench.newHeads();
    expect([bench.usedIdx, bench.relay.state.lastAvailIdx]).toEqual([0, 1]);
    bench.use([first!, 8]);
    while (bench.relay.step());
    expect([bench.usedEntry(0), bench.usedEntry(1)]).toEqual([
      { id: 0, len: 8 },
      { id: 1, len: 0 },
    ]);
    expect(bench.newHeads().length).toBe(1);
    expect(bench.counter("quarantined")).toBe(1);
    expect(bench.books().problems).toEqual([]);
  });

  test("marks the used ring and calls the guest", () => {
    const bench = new HandRings();
    forwardOne(bench, [out(RAM_BYTES, 8)]);
    expect(bench.calls).toBe(1);
    expect(bench.takeDirty()).toContain((bench.guest.used + 4) >>> 12);
  });

  test("leaves half-written descriptors behind and none of them is lost", () => {
    const bench = new HandRings();
    for (let round = 0; round < 20; round++) {
      bench.chain(0, [out(0x10000, 8), out(0x11000, 8), into(RAM_BYTES + 4096, 8)]);
      bench.offer(0);
      while (bench.relay.step());
      expect(bench.books()).toMatchObject({ free: 8, inFlight: 0, problems: [] });
    }
    expect(bench.usedIdx).toBe(20);
  });
});
