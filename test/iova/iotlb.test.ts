import { describe, expect, it } from "vitest";
import { IOTLB_TABLE_BYTES, Iotlb, iotlbPlace } from "../../src/iova/iotlb.js";
import { IOTLB_RING_BYTES, type IotlbMessage, IotlbRing } from "../../src/iova/iotlb-ring.js";
import {
  VHOST_ACCESS_RO,
  VHOST_ACCESS_RW,
  VHOST_ACCESS_WO,
  VHOST_IOTLB_ACCESS_FAIL,
  VHOST_IOTLB_INVALIDATE,
  VHOST_IOTLB_MISS,
  VHOST_IOTLB_UPDATE,
} from "../../src/layout/vhost.js";
import { RealMemory } from "../../src/memory/real-memory.js";
import { seeded } from "./seeded.js";

const PAGE = 4096;
/** Mappings that the table holds. */
const CAPACITY = 1024;

type Known = ReturnType<Iotlb["entries"]>[number];

/** A device's IOTLB, with the relay's ends of its rings in the hands of a test. */
class Hands {
  readonly backings = [0, 1, 2].map(() => new RealMemory(new ArrayBuffer(64)));
  readonly #channel = new RealMemory(new ArrayBuffer(2 * IOTLB_RING_BYTES));
  readonly relay = new IotlbRing(this.#channel, 0);
  readonly misses = new IotlbRing(this.#channel, IOTLB_RING_BYTES);
  readonly toRelay = new IotlbRing(this.#channel, IOTLB_RING_BYTES);
  /** How often the relay's bell rang. */
  rings = 0;
  readonly iotlb: Iotlb;

  constructor(buffer = new ArrayBuffer(IOTLB_TABLE_BYTES), offset = 0) {
    const bell = { ring: () => void this.rings++ };
    const fromRelay = new IotlbRing(this.#channel, 0);
    this.iotlb = new Iotlb({ buffer, offset }, fromRelay, this.toRelay, bell, this.backings);
  }

  tell(type: number, iova: number, size: number, place = 0, perm: number = VHOST_ACCESS_RW): void {
    expect(this.relay.send({ iova, size, uaddr: place, perm, type })).toBe(true);
    expect(this.iotlb.poll()).toBe(true);
  }

  update({ iova, bytes, backing, offset, perm }: Known): void {
    this.tell(VHOST_IOTLB_UPDATE, iova, bytes, iotlbPlace(backing, offset), perm);
  }

  /** The misses that the relay has not yet received. */
  sentMisses(): IotlbMessage[] {
    const list: IotlbMessage[] = [];
    while (this.misses.receive()) list.push({ ...this.misses.message });
    return list;
  }

  /** Translates for reading, and says where that led. */
  place(address: number): string {
    const { iotlb } = this;
    const end = iotlb.translate(address, VHOST_ACCESS_RO);
    if (end !== "ok") return end;
    return `${this.backings.indexOf(iotlb.memory as RealMemory)}:${iotlb.offset} of ${iotlb.bytes}`;
  }
}

function known(iova: number, bytes: number, rest: Partial<Known> = {}): Known {
  return { iova, bytes, backing: 0, offset: 0, perm: VHOST_ACCESS_RW, ...rest };
}

describe("Iotlb.translate()", () => {
  it("leads to a mapping's bytes, from its first to its last, and to none beside them", () => {
    const hands = new Hands();
    hands.update(known(0x5000, 0x2000, { backing: 2, offset: 0x340 }));
    hands.update(known(0x9000, 0x1000, { backing: 1, offset: 0 }));
    const at = (address: number) => hands.place(address);
    expect([0x4fff, 0x5000, 0x6fff, 0x7000, 0x8fff, 0x9000, 0x9fff, 0xa000].map(at)).toEqual([
      "miss",
      `2:${0x340} of ${0x2000}`,
      `2:${0x340 + 0x1fff} of 1`,
      "miss",
      "miss",
      `1:0 of ${0x1000}`,
      `1:${0xfff} of 1`,
      "miss",
    ]);
  });

  it("finds the last byte of a mapping that it has not looked at before", () => {
    const hands = new Hands();
    for (const page of [1, 3]) hands.update(known(page * PAGE, PAGE, { offset: page }));
    expect([4 * PAGE - 1, 2 * PAGE - 1].map((address) => hands.place(address))).toEqual([
      `0:${3 + PAGE - 1} of 1`,
      `0:${1 + PAGE - 1} of 1`,
    ]);
  });

  it("keeps its last hit when it finds nothing", () => {
    const hands = new Hands();
    for (const page of [1, 2]) hands.update(known(page * PAGE, PAGE));
    const after = (address: number) => [hands.place(address), hands.iotlb.state.last];
    expect([2 * PAGE, 0, 3 * PAGE].map(after)).toEqual([
      ["0:0 of 4096", 1],
      ["miss", 1],
      ["miss", 1],
    ]);
  });

  it("keeps backing and offset of a place apart, up to the last offset", () => {
    const hands = new Hands();
    hands.update(known(0x1000, 0x1000, { backing: 2, offset: 2 ** 31 - 1 }));
    expect(hands.place(0x1000)).toBe(`2:${2 ** 31 - 1} of 4096`);
    expect(iotlbPlace(3, 7) - iotlbPlace(2, 7)).toBe(2 ** 40);
  });

  it("finds the mapping it found last only for its own addresses", () => {
    const hands = new Hands();
    for (const page of [1, 2, 3]) hands.update(known(page * PAGE, PAGE, { offset: page }));
    expect([2, 2, 3, 1, 1].map((page) => hands.place(page * PAGE))).toEqual(
      [2, 2, 3, 1, 1].map((page) => `0:${page} of 4096`),
    );
    // The last hit is now beyond the end of the table.
    expect(hands.place(3 * PAGE)).toBe("0:3 of 4096");
    hands.tell(VHOST_IOTLB_INVALIDATE, 3 * PAGE, PAGE);
    expect(hands.place(3 * PAGE)).toBe("miss");
  });

  it.each([
    { perm: VHOST_ACCESS_RO, asked: VHOST_ACCESS_RO, end: "ok" },
    { perm: VHOST_ACCESS_RO, asked: VHOST_ACCESS_WO, end: "denied" },
    { perm: VHOST_ACCESS_RO, asked: VHOST_ACCESS_RW, end: "denied" },
    { perm: VHOST_ACCESS_WO, asked: VHOST_ACCESS_WO, end: "ok" },
    { perm: VHOST_ACCESS_WO, asked: VHOST_ACCESS_RO, end: "denied" },
    { perm: VHOST_ACCESS_RW, asked: VHOST_ACCESS_RW, end: "ok" },
  ])("says $end to access $asked of a mapping with $perm, and sends no miss", ({ perm, asked, end }) => {
    const hands = new Hands();
    hands.update(known(0, PAGE, { perm: 0 }));
    hands.update(known(PAGE, PAGE, { perm }));
    expect(hands.iotlb.translate(PAGE, asked)).toBe(end);
    expect([hands.sentMisses(), hands.rings]).toEqual([[], 0]);
  });
});

describe("an Iotlb's miss", () => {
  it("goes to the relay with its address and access, once, and rings its bell", () => {
    const hands = new Hands();
    expect(hands.iotlb.memory).toBe(hands.backings[0]);
    expect(hands.iotlb.poll()).toBe(false);
    for (const address of [0x1234, 0x1234, 0x9999]) {
      expect(hands.iotlb.translate(address, VHOST_ACCESS_WO)).toBe("miss");
    }
    expect(hands.sentMisses()).toEqual([
      { iova: 0x1234, size: 1, uaddr: 0, perm: VHOST_ACCESS_WO, type: VHOST_IOTLB_MISS },
    ]);
    expect([hands.rings, hands.iotlb.state.misses]).toEqual([1, 1]);
  });

  it("is under way until it is answered, also across an invalidation", () => {
    const hands = new Hands();
    hands.place(0x1000);
    hands.tell(VHOST_IOTLB_INVALIDATE, 0, 2 ** 52);
    expect([hands.place(0x5000), hands.sentMisses().length, hands.rings]).toEqual(["miss", 1, 1]);
    hands.update(known(0x1000, PAGE));
    expect([hands.place(0x1000), hands.place(0x5000)]).toEqual(["0:0 of 4096", "miss"]);
    expect(hands.sentMisses().map(({ iova }) => iova)).toEqual([0x5000]);
    expect([hands.rings, hands.iotlb.state.misses]).toEqual([2, 2]);
  });

  it("that was refused ends in unmapped once, for its address alone; the next one asks again", () => {
    const hands = new Hands();
    hands.place(0x1000);
    hands.tell(VHOST_IOTLB_ACCESS_FAIL, 0x1000, 1, 0, 0);
    expect([hands.iotlb.entries(), hands.place(0x1001)]).toEqual([[], "miss"]);
    expect([hands.place(0x1000), hands.place(0x1000)]).toEqual(["unmapped", "miss"]);
    expect(hands.sentMisses().map(({ iova }) => iova)).toEqual([0x1000, 0x1001]);
  });

  it("of no address counts as refused before one was, nor after that was said", () => {
    expect([0, 1].map((address) => new Hands().place(address))).toEqual(["miss", "miss"]);
    const hands = new Hands();
    hands.tell(VHOST_IOTLB_ACCESS_FAIL, 5, 1, 0, 0);
    expect([5, 1, 0].map((address) => hands.place(address))).toEqual(["unmapped", "miss", "miss"]);
  });

  it("of an address that is no integer below 2^53 is none", () => {
    const hands = new Hands();
    expect([Number.NaN, 2 ** 53, 2 ** 53 - 1].map((address) => hands.place(address))).toEqual([
      "unmapped",
      "unmapped",
      "miss",
    ]);
    expect(hands.sentMisses().map(({ iova }) => iova)).toEqual([2 ** 53 - 1]);
  });

  it("waits for room in the ring to the relay", () => {
    const hands = new Hands();
    while (hands.toRelay.send({ iova: 1, size: 1, uaddr: 0, perm: 0, type: VHOST_IOTLB_MISS }));
    expect([hands.place(0x1000), hands.rings, hands.iotlb.state.misses]).toEqual(["miss", 0, 0]);
    hands.sentMisses();
    expect([hands.place(0x1000), hands.rings, hands.iotlb.state.misses]).toEqual(["miss", 1, 1]);
    expect(hands.sentMisses().map(({ iova }) => iova)).toEqual([0x1000]);
  });
});

/** The list that the table must hold, kept by walking all of it. */
class NaiveTable {
  list: Known[] = [];
  #victim = 0;

  forget(start: number, size: number): void {
    this.list = this.list.filter(({ iova, bytes }) => iova + bytes <= start || start + size <= iova);
  }

  update(mapping: Known): void {
    this.forget(mapping.iova, mapping.bytes);
    if (this.list.length === CAPACITY) {
      this.list.splice(this.#victim, 1);
      this.#victim = (this.#victim + 1) % CAPACITY;
    }
    this.list = [...this.list, mapping].sort((a, b) => a.iova - b.iova);
  }
}

/** Sends changes of mappings of one page in `span`, or of several; the first that the table does not follow. */
function firstDifference(hands: Hands, span: number, pagesMax: number, steps: number): string | undefined {
  const naive = new NaiveTable();
  const below = seeded(span + pagesMax);
  for (let step = 0; step < steps; step++) {
    const start = below(span) * PAGE;
    const bytes = (1 + below(pagesMax)) * PAGE;
    if (below(8) === 0) {
      hands.tell(VHOST_IOTLB_INVALIDATE, start, bytes);
      naive.forget(start, bytes);
    } else {
      const mapping = known(start, bytes, { backing: below(3), offset: below(2 ** 31), perm: 1 + below(3) });
      hands.update(mapping);
      naive.update(mapping);
    }
    if (step % 16 === 0 && JSON.stringify(hands.iotlb.entries()) !== JSON.stringify(naive.list)) return `step ${step}`;
  }
  return JSON.stringify(hands.iotlb.entries()) === JSON.stringify(naive.list) ? undefined : "at the end";
}

describe("an Iotlb's table", () => {
  it.each([
    { span: 30, pagesMax: 1, steps: 400 },
    { span: 60, pagesMax: 6, steps: 1_500 },
    { span: 4_000, pagesMax: 1, steps: 4_000 },
  ])("holds what a list would: $span pages, mappings of up to $pagesMax", ({ span, pagesMax, steps }) => {
    expect(firstDifference(new Hands(), span, pagesMax, steps)).toBeUndefined();
  });

  it.each([
    { start: 0x2000, size: 0x1000, left: [0x1000, 0x3000, 0x4000] },
    { start: 0x2fff, size: 1, left: [0x1000, 0x3000, 0x4000] },
    { start: 0x2fff, size: 2, left: [0x1000, 0x4000] },
    { start: 0x1fff, size: 0x2002, left: [] },
    { start: 0, size: 0x1000, left: [0x1000, 0x2000, 0x3000, 0x4000] },
    { start: 0, size: 0x1001, left: [0x2000, 0x3000, 0x4000] },
    { start: 0x5000, size: 0x1000, left: [0x1000, 0x2000, 0x3000, 0x4000] },
    { start: 0, size: 2 ** 52, left: [] },
  ])("loses by an invalidation of $size from $start what it touches, and keeps $left", ({ start, size, left }) => {
    const hands = new Hands();
    for (const page of [3, 1, 4, 2]) hands.update(known(page * PAGE, PAGE, { offset: page }));
    hands.tell(VHOST_IOTLB_INVALIDATE, start, size);
    expect(hands.iotlb.entries()).toEqual(left.map((iova) => known(iova, PAGE, { offset: iova / PAGE })));
  });

  it("forgets one mapping for each beyond 1024, by place, and comes back to the first", () => {
    const hands = new Hands();
    const naive = new NaiveTable();
    for (let i = 0; i < 2 * CAPACITY + 3; i++) {
      // Falling addresses: what is new comes before the place at which the next is forgotten.
      const mapping = known((4 * CAPACITY - i) * PAGE, PAGE, { offset: i });
      hands.update(mapping);
      naive.update(mapping);
      if (i === CAPACITY - 1) expect([hands.iotlb.state.count, hands.iotlb.state.victim]).toEqual([CAPACITY, 0]);
    }
    expect(hands.iotlb.entries()).toEqual(naive.list);
    expect([hands.iotlb.state.count, hands.iotlb.state.victim]).toEqual([CAPACITY, 3]);
  });

  it("replaces a mapping of a full table without forgetting another", () => {
    const hands = new Hands();
    for (let i = 0; i < CAPACITY; i++) hands.update(known(i * PAGE, PAGE));
    hands.update(known(7 * PAGE, PAGE, { offset: 9 }));
    expect([hands.iotlb.state.count, hands.iotlb.state.victim]).toEqual([CAPACITY, 0]);
    expect([hands.place(0), hands.place(7 * PAGE)]).toEqual(["0:0 of 4096", "0:9 of 4096"]);
  });

  it("lies in its bytes: when it is full, all before and behind are as they were", () => {
    const buffer = new ArrayBuffer(64 + IOTLB_TABLE_BYTES + 64);
    const bytes = new Uint8Array(buffer).fill(0xa5);
    const hands = new Hands(buffer, 64);
    const list = Array.from({ length: CAPACITY }, (_, i) =>
      known(i * PAGE, PAGE, { backing: i % 3, offset: i, perm: 1 + (i % 3) }),
    );
    for (const mapping of list) hands.update(mapping);
    expect(hands.iotlb.entries()).toEqual(list);
    const outside = [...bytes.subarray(0, 64), ...bytes.subarray(64 + IOTLB_TABLE_BYTES)];
    expect(outside).toEqual(Array.from({ length: 128 }, () => 0xa5));
  });

  it("is empty after clear(), and what was under way is forgotten", () => {
    const hands = new Hands();
    hands.update(known(0x1000, PAGE));
    hands.place(0x9000);
    hands.tell(VHOST_IOTLB_ACCESS_FAIL, 0x9000, 1);
    hands.place(0xa000);
    hands.relay.send({ iova: 0x2000, size: PAGE, uaddr: 0, perm: VHOST_ACCESS_RW, type: VHOST_IOTLB_UPDATE });
    hands.iotlb.state.victim = 5;
    hands.iotlb.clear();
    expect([hands.iotlb.entries(), hands.iotlb.poll()]).toEqual([[], false]);
    expect(hands.iotlb.state).toEqual({ count: 0, victim: 0, missing: 0, refused: -1, last: 0, misses: 2 });
    expect([hands.place(0x9000), hands.iotlb.state.misses]).toEqual(["miss", 3]);
  });
});
