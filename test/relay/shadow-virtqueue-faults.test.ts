import { describe, expect, test } from "vitest";
import { type FaultReason, PeerFault } from "../../src/ring/peer-fault.js";
import { type HandDescriptor, type HandOptions, HandRings } from "../helpers/hand-rings.js";

const NEXT = 1;
const WRITE = 2;
const INDIRECT = 4;
const good: HandDescriptor = { address: 0x10000, bytes: 8 };

/** The reason for which `act` throws; "none" when it does not. */
function reasonOf(act: () => unknown): FaultReason | "none" {
  try {
    act();
  } catch (error) {
    if (error instanceof PeerFault) return error.reason;
    throw error;
  }
  return "none";
}

/** Offers two good chains and then what `spoil` wrote at head 4; expects the good ones out and the books in order. */
function afterTwoGoodOnes(options: HandOptions, spoil: (bench: HandRings) => void): FaultReason | "none" {
  const bench = new HandRings({ num: 16, ...options });
  bench.chain(0, [good]);
  bench.chain(1, [good]);
  bench.offer(0, 1);
  spoil(bench);
  const reason = reasonOf(() => bench.relay.forwardAvail());
  expect(bench.newHeads().length).toBe(2);
  expect(bench.kicks).toBe(1);
  expect(bench.books()).toMatchObject({ inFlight: 2, chains: 2, problems: [] });
  expect(bench.canariesIntact()).toBe(true);
  return reason;
}

describe("the guest lies: the queue breaks, good chains before the lie are published, the books add up", () => {
  test("a head beyond the queue", () => {
    for (const head of [16, 17, 0x7fff, 0x8000, 0xffff]) {
      expect(afterTwoGoodOnes({}, (bench) => bench.offer(head))).toBe("head-out-of-range");
    }
  });

  test("a head offered twice, in one pass or while the device has it", () => {
    expect(afterTwoGoodOnes({}, (bench) => bench.offer(1))).toBe("head-outstanding");
    const bench = new HandRings();
    bench.chain(0, [good]);
    bench.offer(0);
    bench.relay.forwardAvail();
    bench.offer(0);
    expect(reasonOf(() => bench.relay.forwardAvail())).toBe("head-outstanding");
    bench.use([0, 0]);
    bench.relay.forwardUsed();
    expect(reasonOf(() => bench.relay.forwardAvail())).toBe("none");
  });

  test("a next beyond the table, direct and indirect", () => {
    for (const next of [16, 0xffff]) {
      const element = { ...good, flags: NEXT, next };
      const spoil = (bench: HandRings) => {
        bench.descriptor(4, element);
        bench.offer(4);
      };
      expect(afterTwoGoodOnes({}, spoil)).toBe("next-out-of-range");
    }
    const spoil = (bench: HandRings) => {
      bench.table(0x50000, [good, { ...good, flags: NEXT, next: 2 }]);
      bench.descriptor(4, { address: 0x50000, bytes: 32, flags: INDIRECT });
      bench.offer(4);
    };
    expect(afterTwoGoodOnes({}, spoil)).toBe("next-out-of-range");
  });

  test("a loop of every length, entered anywhere", () => {
    for (let length = 1; length <= 12; length++) {
      const spoil = (bench: HandRings) => {
        for (let i = 0; i < length; i++)
          bench.descriptor(4 + i, { ...good, flags: NEXT, next: 4 + ((i + 1) % length) });
        bench.descriptor(3, { ...good, flags: NEXT, next: 4 + (length >>> 1) });
        bench.offer(3);
      };
      // As long as two are in flight a loop looks like want of room; then it is known for what it is.
      expect(afterTwoGoodOnes({}, spoil)).toBe("none");
      expect(afterTwoGoodOnes({ shadowNum: 32 }, spoil)).toBe("chain-too-long");
      const bench = new HandRings({ num: 16 });
      spoil(bench);
      expect(reasonOf(() => bench.relay.forwardAvail())).toBe("chain-too-long");
      expect(bench.books()).toMatchObject({ free: 16, problems: [] });
    }
  });

  test("a loop of empty elements, which take no room", () => {
    const spoil = (bench: HandRings) => {
      bench.descriptor(4, { address: 0x10000, bytes: 0, flags: NEXT, next: 4 });
      bench.offer(4);
    };
    expect(afterTwoGoodOnes({}, spoil)).toBe("chain-too-long");
  });

  test("direct elements and an indirect table that together exceed the queue size (INDIR-03)", () => {
    const chain = (tableEntries: number) => (bench: HandRings) => {
      bench.table(
        0x50000,
        Array.from({ length: tableEntries }, () => good),
      );
      bench.descriptor(4, { ...good, flags: NEXT, next: 5 });
      bench.descriptor(5, { address: 0x50000, bytes: tableEntries * 16, flags: INDIRECT });
      bench.offer(4);
    };
    expect(afterTwoGoodOnes({}, chain(16))).toBe("chain-too-long");
    const bench = new HandRings({ num: 16 });
    chain(15)(bench);
    expect(reasonOf(() => bench.relay.forwardAvail())).toBe("none");
    expect(bench.seen(bench.newHeads()[0]!).length).toBe(16);
  });

  test("readable after writable: of all orders of 1 to 6 elements exactly those (SPLIT-03)", () => {
    for (let length = 1; length <= 6; length++) {
      for (let order = 0; order < 1 << length; order++) {
        const chain = Array.from({ length }, (_, i) => ({ ...good, writable: ((order >>> i) & 1) === 1 }));
        const wrong = chain.some(({ writable }, i) => writable && chain.slice(i).some((later) => !later.writable));
        const bench = new HandRings();
        bench.chain(0, chain);
        bench.offer(0);
        expect(reasonOf(() => bench.relay.forwardAvail())).toBe(wrong ? "readable-after-writable" : "none");
        expect(bench.books().problems).toEqual([]);
      }
    }
  });

  test("indirect tables: nested, with NEXT, of a wrong length, not negotiated (INDIR-01, INDIR-02, INDIR-04)", () => {
    const pointer = (bytes: number, flags = INDIRECT): HandDescriptor => ({ address: 0x50000, bytes, flags });
    const spoil = (table: HandDescriptor[], element: HandDescriptor) => (bench: HandRings) => {
      bench.table(0x50000, table);
      bench.descriptor(4, element);
      bench.offer(4);
    };
    expect(afterTwoGoodOnes({}, spoil([pointer(16)], pointer(16)))).toBe("indirect-nested");
    expect(afterTwoGoodOnes({}, spoil([good, pointer(16)], pointer(32)))).toBe("indirect-nested");
    expect(afterTwoGoodOnes({}, spoil([good], pointer(16, INDIRECT | NEXT)))).toBe("indirect-with-next");
    expect(afterTwoGoodOnes({ indirect: false }, spoil([good], pointer(16)))).toBe("indirect-not-negotiated");
    for (const bytes of [...Array(16).keys(), 17, 31, 33, 2 ** 32 - 1]) {
      expect(afterTwoGoodOnes({}, spoil([good], pointer(bytes)))).toBe("indirect-length");
    }
    for (const bytes of [17 * 16, 1024 * 16, 2 ** 32 - 16]) {
      expect(afterTwoGoodOnes({}, spoil([good], pointer(bytes)))).toBe("chain-too-long");
    }
  });

  test("an available index that runs ahead by more than the queue, or backwards (SPLIT-10)", () => {
    for (const start of [0, 1, 0x7fff, 0xfff8, 0xffff]) {
      const bench = new HandRings({ start: { lastAvailIdx: start, usedIdx: start } });
      // Near ones from 0 each, others a prime apart.
      for (let distance = 9; distance < 65_536; distance += start === 0 && distance < 2000 ? 1 : 251) {
        bench.jumpAvail(start + distance);
        expect(reasonOf(() => bench.relay.forwardAvail())).toBe("avail-idx-overrun");
      }
      bench.jumpAvail(start - 1);
      expect(reasonOf(() => bench.relay.arm())).toBe("avail-idx-overrun");
      expect(bench.books()).toMatchObject({ free: 8, problems: [] });
    }
  });

  test("WRITE alone on an unused flag bit changes nothing", () => {
    const bench = new HandRings();
    bench.descriptor(0, { ...good, flags: 0xfff8 | WRITE });
    bench.offer(0);
    expect(reasonOf(() => bench.relay.forwardAvail())).toBe("none");
    expect(bench.seen(bench.newHeads()[0]!)).toMatchObject([{ writable: true, bytes: 8 }]);
  });
});

describe("the device lies", () => {
  /** Three chains of two descriptors in flight: shadow heads 0, 2 and 4. */
  function threeInFlight(options: HandOptions = {}): HandRings {
    const bench = new HandRings(options);
    for (const head of [6, 4, 2]) bench.chain(head, [good, { address: 0x20000, bytes: 100, writable: true }]);
    bench.offer(6, 4, 2);
    bench.relay.forwardAvail();
    expect(bench.newHeads()).toEqual([0, 2, 4]);
    return bench;
  }

  test("a used id that is no head in flight breaks the queue after the good ones before it (IMPL-03)", () => {
    const strangers = [1, 3, 5, 6, 7, 8, 9, 0x7fff, 0xffff, 0x10002, 0x20000, 0x8000_0000, 0xffff_ffff, -1 >>> 0];
    for (const id of strangers) {
      const bench = threeInFlight();
      bench.use([2, 100], [id, 100]);
      expect(reasonOf(() => bench.relay.forwardUsed())).toBe("used-id-unknown");
      expect([bench.usedIdx, bench.usedEntry(0)]).toEqual([1, { id: 4, len: 100 }]);
      expect(bench.calls).toBe(1);
      expect(bench.books()).toMatchObject({ inFlight: 4 });
      expect(bench.canariesIntact()).toBe(true);
    }
  });

  test("a used id given twice is unknown the second time", () => {
    const bench = threeInFlight();
    bench.use([2, 1], [2, 1]);
    expect(reasonOf(() => bench.relay.forwardUsed())).toBe("used-id-unknown");
    expect([bench.usedIdx, bench.books().inFlight]).toEqual([1, 4]);
  });

  test("a used index beyond what is in flight: near and far, also backwards", () => {
    const bench = threeInFlight();
    for (let distance = 4; distance < 65_536; distance += distance < 1000 || distance > 64_000 ? 1 : 13) {
      bench.jumpUsed(distance);
      expect(reasonOf(() => bench.relay.forwardUsed())).toBe("used-idx-overrun");
    }
    expect(reasonOf(() => bench.relay.arm())).toBe("used-idx-overrun");
    expect([bench.usedIdx, bench.books().inFlight]).toEqual([0, 6]);
  });

  test("a length beyond what was writable is cut down and counted (SPLIT-12, IMPL-08)", () => {
    for (const [len, seen] of [
      [99, 99],
      [100, 100],
      [101, 100],
      [2 ** 31, 100],
      [2 ** 32 - 1, 100],
    ] as const) {
      const bench = threeInFlight();
      bench.use([0, len]);
      bench.relay.forwardUsed();
      expect(bench.usedEntry(0)).toEqual({ id: 6, len: seen });
      expect(bench.counter("clampedLengths")).toBe(len === seen ? 0 : 1);
    }
  });

  test("a chain of 2^32 writable bytes can be used in full", () => {
    const mappings = [{ gpa: 0, bytes: 2 ** 40, iova: 0 }];
    const bench = new HandRings({ mappings, log: false });
    bench.chain(
      0,
      [0, 2 ** 33].map((address) => ({ address, bytes: 2 ** 31, writable: true })),
    );
    bench.offer(0);
    bench.relay.forwardAvail();
    bench.use([0, 2 ** 32 - 1]);
    bench.relay.forwardUsed();
    expect(bench.usedEntry(0).len).toBe(2 ** 32 - 1);
  });

  test("scribbles over the shadow ring: nothing of it is read back (SPLIT-07)", () => {
    const bench = threeInFlight();
    const rubbish = new Uint8Array(8 * 16 + 4 + 8 * 2).fill(0xee);
    bench.shadowRam.copyIn(bench.shadow.desc, rubbish);
    bench.use([4, 100], [0, 100], [2, 100]);
    bench.relay.forwardUsed();
    expect([0, 1, 2].map((i) => bench.usedEntry(i).id)).toEqual([2, 6, 4]);
    expect(bench.books()).toMatchObject({ free: 8, problems: [] });
  });
});

test("free and in flight descriptors add up through 5,000 steps of unequal chains out of order", () => {
  let random = 7;
  const below = (limit: number) => {
    random = (Math.imul(random, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return (random >>> 8) % limit;
  };
  const mappings = Array.from({ length: 256 }, (_, i) => ({ gpa: i * 4096, bytes: 4096, iova: (511 - 2 * i) * 4096 }));
  const bench = new HandRings({ num: 32, shadowNum: 16, mappings });
  const freeHeads = [0, 4, 8, 12, 16, 20, 24, 28];
  const device: number[] = [];
  let seen = 0;
  for (let step = 0; step < 5000; step++) {
    if (freeHeads.length > 0 && below(3) > 0) {
      const head = freeHeads.splice(below(freeHeads.length), 1)[0]!;
      const chain = Array.from({ length: 1 + below(4) }, () => ({
        address: 0x10000 + below(0xe0000),
        bytes: 1 + below(9000),
      }));
      bench.chain(head, chain);
      bench.offer(head);
    }
    bench.relay.step();
    device.push(...bench.newHeads());
    if (device.length > 0 && below(2) === 0) bench.use([device.splice(below(device.length), 1)[0]!, 0]);
    bench.relay.step();
    for (; seen !== bench.usedIdx; seen = (seen + 1) & 0xffff) freeHeads.push(bench.usedEntry(seen).id);
    expect(bench.books().problems).toEqual([]);
  }
  expect(seen).toBeGreaterThan(1000);
  expect(bench.counter("held")).toBeGreaterThan(100);
  expect(bench.canariesIntact()).toBe(true);
});
