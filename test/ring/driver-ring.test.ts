import { describe, expect, it } from "vitest";
import { RealMemory } from "../../src/memory/real-memory.js";
import { DriverRing, type Segment, writeDescriptor } from "../../src/ring/driver-ring.js";
import { PeerFault } from "../../src/ring/peer-fault.js";
import { CanaryRing } from "../helpers/canary-ring.js";
import { type Patch, patchedCopy } from "../helpers/patched-copy.js";

/** A driver half whose device is a test that writes words. */
class DriverBench {
  readonly ring: CanaryRing;
  readonly driver: DriverRing;
  readonly num: number;

  constructor(num: number, { eventIdx = false, Ring = DriverRing } = {}) {
    this.num = num;
    this.ring = new CanaryRing(num, eventIdx);
    this.driver = new Ring(this.ring.driverSide, { eventIdx });
  }

  /** Offers a chain of `count` elements and publishes it; gives its head. */
  offer(count: number): number {
    const head = this.driver.addChain(segments(count));
    this.driver.publishAvail();
    return head;
  }

  /** Puts used entries into the used ring from a free-running index on. */
  use(from: number, ...ids: number[]): void {
    const { memory, areas } = this.ring;
    for (const [i, id] of ids.entries()) {
      memory.write32(areas.used + 4 + ((from + i) % this.num) * 8, id);
      memory.write32(areas.used + 8 + ((from + i) % this.num) * 8, 100 + i);
    }
  }

  set usedIdx(idx: number) {
    this.ring.memory.write16(this.ring.areas.used + 2, idx);
  }

  /** Heads that come back, and what ended it. */
  takeAll(): { ids: number[]; end: string } {
    const ids: number[] = [];
    try {
      while (this.driver.takeUsed()) ids.push(this.driver.used.id);
      return { ids, end: "nothing" };
    } catch (error) {
      if (!(error instanceof PeerFault)) throw error;
      return { ids, end: error.reason };
    }
  }
}

function segments(count: number): Segment[] {
  return Array.from({ length: count }, (_, i) => ({ address: 4096 * i, bytes: 1 + i, deviceWritable: i > 0 }));
}

/** Runs without the cost of a stack for each of many errors. */
function withoutStacks<T>(run: () => T): T {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return run();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

const STARTS = [0, 1, 0x7fff, 0x8000, 0xfffe];

/** The first jump of used.idx that is not judged by its distance. */
function wrongJump(Ring: typeof DriverRing): string | undefined {
  for (const start of STARTS) {
    let bench = new DriverBench(4, { Ring });
    for (let delta = 0; delta < 65_536; delta++) {
      if (bench.driver.state.outstanding < 4) {
        bench = new DriverBench(4, { Ring });
        for (let i = 0; i < 4; i++) bench.offer(1);
        bench.use(start, 0, 1, 2, 3);
        Object.assign(bench.driver.state, { lastUsedIdx: start, usedIdx: start });
      }
      bench.usedIdx = start + delta;
      const { ids, end } = bench.takeAll();
      const legal = delta <= 4;
      if (end !== (legal ? "nothing" : "used-idx-overrun")) return `${delta} from ${start}: ${end}`;
      if (ids.length !== (legal ? delta : 0)) return `${delta} from ${start}: ${ids.length} entries taken`;
    }
  }
  return undefined;
}

const FORGED = [65_536, 65_537, 65_540, 2 ** 31, 2 ** 31 + 1, 2 ** 32 - 8, 2 ** 32 - 1, ...Array(65_536).keys()];
const COUNTS = [1, 3, 2];

/** The first used id that is not judged by whether a chain with that head is out. */
function wrongId(Ring: typeof DriverRing): string | undefined {
  let bench = new DriverBench(8, { Ring });
  for (const id of FORGED) {
    if (bench.driver.state.outstanding !== COUNTS.length) {
      bench = new DriverBench(8, { Ring });
      expect(COUNTS.map((count) => bench.offer(count))).toEqual([0, 1, 4]);
    }
    Object.assign(bench.driver.state, { lastUsedIdx: 0, usedIdx: 0 });
    bench.use(0, id);
    bench.usedIdx = 1;
    const { end } = bench.takeAll();
    const known = [0, 1, 4].indexOf(id);
    if (end !== (known < 0 ? "used-id-unknown" : "nothing")) return `${id}: ${end}`;
    if (bench.driver.state.freeCount !== 2 + (COUNTS[known] ?? 0)) return `${id}: other descriptors`;
  }
  return undefined;
}

/** The first number of entries after which an id is taken twice. */
function wrongRepeat(Ring: typeof DriverRing): string | undefined {
  const num = 8;
  for (let distance = 1; distance < num; distance++) {
    const bench = new DriverBench(num, { Ring });
    for (let i = 0; i < num; i++) bench.offer(1);
    const ids = Array.from({ length: distance }, (_, i) => i);
    bench.use(0, ...ids, 0);
    bench.usedIdx = distance + 1;
    const { ids: taken, end } = bench.takeAll();
    if (end !== "used-id-unknown" || taken.length !== distance) return `at distance ${distance}: ${end}`;
    if (bench.driver.state.freeCount !== distance)
      return `at distance ${distance}: ${bench.driver.state.freeCount} free`;
  }
  return undefined;
}

describe("DriverRing.takeUsed()", () => {
  it("takes up to num entries, and breaks for every other jump of used.idx, with nothing taken (BI-48, BI-49)", () => {
    expect(withoutStacks(() => wrongJump(DriverRing))).toBeUndefined();
  });

  it("takes heads that are out, of all ids, and frees just their chain (IMPL-03, S12, BI-44, BI-45, BI-47)", () => {
    expect(withoutStacks(() => wrongId(DriverRing))).toBeUndefined();
  });

  it("takes no id a second time, at any distance (BI-46)", () => {
    expect(wrongRepeat(DriverRing)).toBeUndefined();
  });

  it("has done with an entry that names a stranger, and takes the next", () => {
    const bench = new DriverBench(8);
    const [first, second] = [bench.offer(2), bench.offer(3)];
    bench.use(0, 7, first, 5, second);
    bench.usedIdx = 4;
    expect([1, 2, 3].map(() => bench.takeAll())).toEqual([
      { ids: [], end: "used-id-unknown" },
      { ids: [first], end: "used-id-unknown" },
      { ids: [second], end: "nothing" },
    ]);
    expect(bench.driver.state).toMatchObject({ freeCount: 8, outstanding: 0, lastUsedIdx: 4 });
  });

  it("takes what it knows of before it looks at used.idx again", () => {
    const bench = new DriverBench(4);
    expect(bench.driver.used).toEqual({ id: 0, len: 0 });
    const heads = [bench.offer(1), bench.offer(1)];
    bench.use(0, ...heads);
    bench.usedIdx = 2;
    expect([bench.driver.takeUsed(), bench.driver.used.id]).toEqual([true, heads[0]]);
    bench.usedIdx = 50;
    expect([bench.driver.takeUsed(), bench.driver.used.id]).toEqual([true, heads[1]]);
    expect(() => bench.driver.takeUsed()).toThrow("used-idx-overrun");
  });

  it("finds an entry too many by its head, as long as there are no more than num", () => {
    const bench = new DriverBench(8);
    const head = bench.offer(1);
    bench.use(0, head, 3, 4);
    bench.usedIdx = 3;
    expect([bench.takeAll(), bench.takeAll(), bench.takeAll()].map(({ end }) => end)).toEqual([
      "used-id-unknown",
      "used-id-unknown",
      "nothing",
    ]);
  });

  it("gives a length as the device wrote it, up to 2^32 - 1", () => {
    const bench = new DriverBench(1);
    for (const [lap, len] of [0, 1, 2 ** 31, 2 ** 32 - 1].entries()) {
      bench.use(lap, bench.offer(1));
      bench.ring.memory.write32(bench.ring.areas.used + 8, len);
      bench.usedIdx = lap + 1;
      expect(bench.driver.takeUsed()).toBe(true);
      expect(bench.driver.used).toEqual({ id: 0, len });
    }
  });

  it("changes nothing on 10 000 calls for nothing (NOTIF-03)", () => {
    const bench = new DriverBench(4);
    bench.offer(2);
    const before = JSON.stringify(bench.driver.parts());
    for (let i = 0; i < 10_000; i++) expect(bench.driver.takeUsed()).toBe(false);
    expect(JSON.stringify(bench.driver.parts())).toBe(before);
  });
});

const FILE = "ring/driver-ring.ts";

describe("these entries notice that", () => {
  const faults: (readonly [
    what: string,
    patch: Patch,
    check: (Ring: typeof DriverRing) => string | undefined,
    says: RegExp,
  ])[] = [
    ["one entry too many is taken", [FILE, "waiting > areas.num", "waiting > areas.num + 1"], wrongJump, /^5 from 0/],
    [
      "a step back is taken for none",
      [FILE, "waiting > areas.num", "(waiting << 16) >> 16 > areas.num"],
      wrongJump,
      /^32768 from 0/,
    ],
    ["an id is not held against the size", [FILE, "id < areas.num && ", ""], wrongId, /^65536: /],
    ["an id is cut to 16 bits", [FILE, "read32(at) >>> 0", "read32(at) & 0xffff"], wrongId, /^65536: /],
    ["any id below the size is taken", [FILE, " && this.#table[id * COLUMNS + COUNT] !== 0", ""], wrongId, /^2: /],
    ["a head stays outstanding", [FILE, "    table[head * COLUMNS + COUNT] = 0;\n", ""], wrongRepeat, /^at distance 1/],
  ];
  for (const [what, patch, check, says] of faults) {
    it(what, async () => {
      const { DriverRing: Faulty } = await patchedCopy<{ DriverRing: typeof DriverRing }>(FILE, patch);
      expect(withoutStacks(() => check(Faulty))).toMatch(says);
    });
  }
});

describe("the descriptors of a driver half", () => {
  it("are each in one place, whatever a device writes over the table (S2, BI-52)", () => {
    const bench = new DriverBench(8);
    const scribble = new Uint8Array(8 * 16).fill(0xff);
    for (let lap = 0; lap < 200; lap++) {
      const heads = [1 + (lap % 3), 1 + (lap % 4)].map((count) => bench.offer(count));
      bench.ring.memory.copyIn(bench.ring.areas.desc, scribble.fill(lap));
      expect(bench.driver.accounting()).toEqual({
        size: 8,
        free: 6 - (lap % 3) - (lap % 4),
        inFlight: 2 + (lap % 3) + (lap % 4),
      });
      bench.use(2 * lap, ...(lap % 2 === 0 ? heads : heads.toReversed()));
      bench.usedIdx = 2 * lap + 2;
      expect(bench.takeAll()).toMatchObject({ end: "nothing" });
    }
    const all = bench.offer(8);
    expect(bench.driver.accounting()).toEqual({ size: 8, free: 0, inFlight: 8 });
    expect(bench.ring.brokenCanaries()).toEqual([]);
    expect(all).toBeLessThan(8);
  });

  it("are counted along the free list, which shows where it was cut short, and ends where it goes round", () => {
    const { driver } = new DriverBench(8);
    const table = driver.parts().tables[0]!;
    expect(driver.accounting()).toEqual({ size: 8, free: 8, inFlight: 0 });
    table[2 * 2] = 8;
    expect(driver.accounting()).toEqual({ size: 8, free: 3, inFlight: 0 });
    table[2 * 2] = 0;
    expect(driver.accounting()).toEqual({ size: 8, free: 8, inFlight: 0 });
  });

  it("are asked for by a caller who has counted them (IMPL-05)", () => {
    const bench = new DriverBench(4);
    expect(() => bench.driver.addChain([])).toThrow("caller checked freeCount");
    expect(() => bench.driver.addChain(segments(5))).toThrow("caller checked freeCount");
    bench.offer(4);
    expect(() => bench.driver.addChain(segments(1))).toThrow("caller checked freeCount");
    expect(() => bench.driver.addIndirect(4096, 1)).toThrow("caller checked freeCount");
  });

  it("hold a table in one, whatever its length", () => {
    const bench = new DriverBench(4);
    expect([1, 2, 3, 4].map((count) => bench.driver.addIndirect(4096 * count + 2 ** 40, count))).toEqual([0, 1, 2, 3]);
    const { memory, areas } = bench.ring;
    const words = [0, 1, 2, 3].map((i) => [0, 4, 8, 12].map((at) => memory.read32(areas.desc + 16 * i + at)));
    expect(words).toEqual([1, 2, 3, 4].map((count) => [4096 * count, 256, 16 * count, 4]));
  });
});

describe("writeDescriptor()", () => {
  it("writes address halves, length, flags, and a next that counts only when there is more", () => {
    const memory = new RealMemory(new ArrayBuffer(32));
    const segment = { address: 2 ** 53 - 1, bytes: 2 ** 32 - 1, deviceWritable: true };
    writeDescriptor(memory, 16, segment, true, 0xfffe);
    writeDescriptor(memory, 0, { address: 2 ** 32, bytes: 1, deviceWritable: false }, false, 0);
    const words = [0, 4, 8, 12, 16, 20, 24, 28].map((at) => memory.read32(at) >>> 0);
    expect(words).toEqual([0, 1, 1, 0, 0xffff_ffff, 0x1f_ffff, 0xffff_ffff, 0xfffe_0003]);
  });
});

describe("DriverRing.arm() and disarm()", () => {
  it("break for a jump of used.idx as takeUsed() does (S4)", () => {
    const bench = new DriverBench(4);
    for (const [idx, safe] of [
      [0, true],
      [1, false],
      [4, false],
    ] as const) {
      bench.usedIdx = idx;
      expect(bench.driver.arm()).toBe(safe);
    }
    bench.usedIdx = 0xffff;
    expect(() => bench.driver.arm()).toThrow("used-idx-overrun");
  });

  it("write only when they change something", () => {
    const bench = new DriverBench(4);
    const flags = () => bench.ring.memory.read16(bench.ring.areas.avail);
    bench.driver.disarm();
    expect(flags()).toBe(1);
    bench.ring.memory.write16(bench.ring.areas.avail, 0x77);
    bench.driver.disarm();
    expect(flags()).toBe(0x77);
    bench.driver.arm();
    expect(flags()).toBe(0);
  });
});
