import { describe, expect, it } from "vitest";
import type { TableReader } from "../../src/ring/chain.js";
import { DeviceRing } from "../../src/ring/device-ring.js";
import { PeerFault } from "../../src/ring/peer-fault.js";
import type { RingState } from "../../src/ring/ring-state.js";
import { CanaryRing } from "../helpers/canary-ring.js";
import { type Patch, patchedCopy } from "../helpers/patched-copy.js";
import { type HandDescriptor, plain, pointer, writeDescriptors } from "./chain-catalogue.js";

/** A device half whose driver is a test that writes words. */
class DeviceBench {
  readonly ring: CanaryRing;
  readonly device: DeviceRing;
  readonly num: number;

  constructor(
    num: number,
    options: {
      eventIdx?: boolean;
      start?: RingState;
      alwaysCall?: boolean;
      Ring?: typeof DeviceRing;
      readTable?: TableReader;
    } = {},
  ) {
    const { eventIdx = false, start, alwaysCall = false, Ring = DeviceRing, readTable = () => "unmapped" } = options;
    this.num = num;
    this.ring = new CanaryRing(num, eventIdx, start?.lastAvailIdx ?? 0);
    this.device = new Ring(this.ring.deviceSide, { eventIdx, indirect: true }, readTable, start, alwaysCall);
  }

  describe(index: number, ...descriptors: HandDescriptor[]): void {
    writeDescriptors(this.ring.memory, this.ring.areas.desc + index * 16, descriptors);
  }

  /** Puts heads into the available ring from a free-running index on. */
  heads(from: number, ...heads: number[]): void {
    const { memory, areas } = this.ring;
    for (const [i, head] of heads.entries()) memory.write16(areas.avail + 4 + ((from + i) % this.num) * 2, head);
  }

  set availIdx(idx: number) {
    this.ring.memory.write16(this.ring.areas.avail + 2, idx);
  }

  usedEntry(slot: number): [id: number, len: number] {
    const { memory, areas } = this.ring;
    return [memory.read32(areas.used + 4 + slot * 8), memory.read32(areas.used + 8 + slot * 8)];
  }

  get usedIdx(): number {
    return this.ring.memory.read16(this.ring.areas.used + 2);
  }

  /** Heads that can be taken now, and what ended it. */
  takeAll(): { heads: number[]; end: string } {
    const heads: number[] = [];
    try {
      while (this.device.takeAvail()) heads.push(this.device.chain.head);
      return { heads, end: "nothing" };
    } catch (error) {
      if (!(error instanceof PeerFault)) throw error;
      return { heads, end: error.reason };
    }
  }
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
const ALL_DELTAS = 65_536;

/** The first jump of avail.idx that is not judged by its distance. */
function wrongJump(Ring: typeof DeviceRing): string | undefined {
  const bench = new DeviceBench(4, { Ring });
  bench.describe(0, ...plain(4));
  const { device } = bench;
  for (const start of STARTS) {
    bench.heads(start, 0, 1, 2, 3);
    for (let delta = 0; delta < ALL_DELTAS; delta++) {
      Object.assign(device.state, { lastAvailIdx: start, availIdx: start, usedIdx: start, publishedUsedIdx: start });
      bench.availIdx = start + delta;
      const { heads, end } = bench.takeAll();
      for (const head of heads) device.addUsed(head, 0);
      const legal = delta <= 4;
      const moved = device.state.lastAvailIdx !== (start + (legal ? delta : 0)) % 65_536;
      if (end !== (legal ? "nothing" : "avail-idx-overrun") || moved) return `${delta} from ${start}: ${end}`;
    }
  }
  return undefined;
}

/** The first entry of the available ring that is not judged by the size of the queue. */
function wrongHead(Ring: typeof DeviceRing): string | undefined {
  for (const num of [1, 2, 256]) {
    const bench = new DeviceBench(num, { Ring });
    bench.describe(0, ...plain(num));
    for (let head = 0; head < 65_536; head++) {
      Object.assign(bench.device.state, { lastAvailIdx: 0, availIdx: 0 });
      bench.heads(0, head);
      bench.availIdx = 1;
      const { heads, end } = bench.takeAll();
      for (const taken of heads) bench.device.addUsed(taken, 0);
      if (end !== (head < num ? "nothing" : "head-out-of-range")) return `${head} of ${num}: ${end}`;
    }
  }
  return undefined;
}

/** The first distance at which a head that comes again before it was returned is taken. */
function wrongRepeat(Ring: typeof DeviceRing): string | undefined {
  const num = 8;
  for (let distance = 1; distance <= num; distance++) {
    const bench = new DeviceBench(num, { Ring });
    bench.describe(0, ...plain(num));
    bench.heads(0, ...Array.from({ length: num }, (_, i) => i % distance));
    bench.availIdx = distance;
    bench.takeAll();
    bench.heads(distance, 0);
    bench.availIdx = distance + 1;
    const first = bench.takeAll();
    if (first.end !== "head-outstanding" || first.heads.length > 0) return `at distance ${distance}: ${first.end}`;
    bench.device.addUsed(0, 0);
    const second = bench.takeAll();
    if (second.end !== "nothing" || second.heads.join() !== "0")
      return `returned, at distance ${distance}: ${second.end}`;
  }
  return undefined;
}

describe("DeviceRing.takeAvail()", () => {
  it("takes up to num entries, and breaks for any other jump of avail.idx (SPLIT-10, BI-01, BI-02)", () => {
    expect(withoutStacks(() => wrongJump(DeviceRing))).toBeUndefined();
  });

  it("takes heads below num, and breaks for all others (BI-03)", () => {
    expect(withoutStacks(() => wrongHead(DeviceRing))).toBeUndefined();
  });

  it("takes a head again once it was returned, and breaks before that, at any distance (BI-04, BI-05)", () => {
    expect(wrongRepeat(DeviceRing)).toBeUndefined();
  });

  it("leaves a bad entry where it is: asked again, it says the same", () => {
    const bench = new DeviceBench(4);
    bench.describe(0, ...plain(2));
    bench.heads(0, 0, 9, 1);
    bench.availIdx = 3;
    expect([bench.takeAll(), bench.takeAll(), bench.takeAll()]).toEqual([
      { heads: [0], end: "head-out-of-range" },
      { heads: [], end: "head-out-of-range" },
      { heads: [], end: "head-out-of-range" },
    ]);
    expect(bench.device.state.lastAvailIdx).toBe(1);
  });

  it("takes what it knows of before it looks at avail.idx again", () => {
    const bench = new DeviceBench(4);
    bench.describe(0, ...plain(4));
    bench.heads(0, 2, 1);
    bench.availIdx = 2;
    expect(bench.device.takeAvail()).toBe(true);
    bench.availIdx = 40_000;
    expect(bench.device.takeAvail()).toBe(true);
    expect(bench.takeAll().end).toBe("avail-idx-overrun");
  });

  it("takes a chain later when its table is not at hand, and nothing before it", () => {
    let answer: "miss" | "ok" = "miss";
    const readTable: TableReader = (_, target) => {
      target.fill(0);
      return answer;
    };
    const bench = new DeviceBench(4, { readTable });
    bench.describe(0, pointer(1), ...plain(1));
    bench.heads(0, 0, 1);
    bench.availIdx = 2;
    expect([bench.takeAll(), bench.takeAll()].map(({ heads }) => heads)).toEqual([[], []]);
    expect([bench.device.inFlight, bench.device.arm()]).toEqual([0, false]);
    answer = "ok";
    expect(bench.takeAll()).toEqual({ heads: [0, 1], end: "nothing" });
  });

  it("changes nothing on 10 000 kicks for nothing (NOTIF-19)", () => {
    const bench = new DeviceBench(4);
    const before = JSON.stringify(bench.device.parts());
    for (let i = 0; i < 10_000; i++) expect(bench.device.takeAvail()).toBe(false);
    expect(JSON.stringify(bench.device.parts())).toBe(before);
    expect([bench.usedIdx, bench.device.publishUsed()]).toEqual([0, false]);
  });
});

const FILE = "ring/device-ring.ts";

describe("these entries notice that", () => {
  const faults: (readonly [
    what: string,
    patch: Patch,
    check: (Ring: typeof DeviceRing) => string | undefined,
    says: RegExp,
  ])[] = [
    ["one entry too many is taken", [FILE, "waiting > areas.num", "waiting > areas.num + 1"], wrongJump, /^5 from 0/],
    [
      "a step back is taken for none",
      [FILE, "waiting > areas.num", "(waiting << 16) >> 16 > areas.num"],
      wrongJump,
      /^32768 from 0/,
    ],
    [
      "a jump over the wrap is not seen",
      [FILE, "u16(availIdx - state.lastAvailIdx)", "availIdx - state.lastAvailIdx"],
      wrongJump,
      /from/,
    ],
    ["a head one too high is taken", [FILE, "if (head >= areas.num)", "if (head > areas.num)"], wrongHead, /^1 of 1/],
    [
      "a head is not held against those outstanding",
      [FILE, "this.#outstanding[head] === 1", "false"],
      wrongRepeat,
      /^at distance 1/,
    ],
    ["a head stays outstanding", [FILE, "this.#outstanding[head] = 0;", ""], wrongRepeat, /^returned, at distance 1/],
  ];
  for (const [what, patch, check, says] of faults) {
    it(what, async () => {
      const { DeviceRing: Faulty } = await patchedCopy<{ DeviceRing: typeof DeviceRing }>(FILE, patch);
      expect(withoutStacks(() => check(Faulty))).toMatch(says);
    });
  }
});

describe("DeviceRing.quarantine()", () => {
  it("returns the bad chain with nothing written, and goes on with the next (S6, O8)", () => {
    const bench = new DeviceBench(4);
    bench.describe(0, pointer(1), ...plain(2));
    bench.heads(0, 1, 0, 2);
    bench.availIdx = 3;
    expect(bench.takeAll()).toEqual({ heads: [1], end: "address-unmapped" });
    bench.device.quarantine();
    expect(bench.takeAll()).toEqual({ heads: [2], end: "nothing" });
    bench.device.addUsed(2, 7);
    bench.device.addUsed(1, 5);
    expect(bench.usedIdx).toBe(0);
    expect([bench.device.unpublished, bench.device.publishUsed(), bench.usedIdx]).toEqual([3, true, 3]);
    expect([0, 1, 2].map((slot) => bench.usedEntry(slot))).toEqual([
      [0, 0],
      [2, 7],
      [1, 5],
    ]);
    expect(bench.device.inFlight).toBe(0);
    expect(bench.ring.brokenCanaries()).toEqual([]);
  });

  it("lets the head of the bad chain come again", () => {
    const bench = new DeviceBench(2);
    bench.describe(0, pointer(1));
    for (let lap = 0; lap < 5; lap++) {
      bench.heads(lap, 0);
      bench.availIdx = lap + 1;
      expect(bench.takeAll()).toEqual({ heads: [], end: "address-unmapped" });
      bench.device.quarantine();
    }
    expect(bench.device.state).toMatchObject({ lastAvailIdx: 5, usedIdx: 5 });
  });
});

describe("a device half that takes over", () => {
  it("goes on where the state says, with chains of its predecessor still out", () => {
    const bench = new DeviceBench(4, { start: { lastAvailIdx: 0xffff, usedIdx: 0xfffd } });
    bench.describe(0, ...plain(4));
    bench.heads(0xffff, 3, 1);
    bench.availIdx = 1;
    expect(bench.device.inFlight).toBe(2);
    expect(bench.takeAll()).toEqual({ heads: [3, 1], end: "nothing" });
    bench.device.addUsed(0, 9);
    expect([bench.device.inFlight, bench.device.publishUsed(), bench.usedIdx]).toEqual([3, true, 0xfffe]);
    expect(bench.usedEntry(0xfffd % 4)).toEqual([0, 9]);
  });

  it("calls whatever the driver wishes where it has to, but never for nothing", () => {
    const { ring, device } = new DeviceBench(4, { alwaysCall: true });
    ring.memory.write16(ring.areas.avail, 1);
    expect(device.publishUsed()).toBe(false);
    device.addUsed(0, 0);
    expect(device.publishUsed()).toBe(true);
    const heeding = new DeviceBench(4);
    heeding.ring.memory.write16(heeding.ring.areas.avail, 1);
    heeding.device.addUsed(0, 0);
    expect(heeding.device.publishUsed()).toBe(false);
  });
});

describe("the parts of a device half", () => {
  it("begin armed, with nothing taken and nobody's head", () => {
    const { state, tables } = new DeviceBench(4).device.parts();
    expect(state).toEqual({ lastAvailIdx: 0, availIdx: 0, usedIdx: 0, publishedUsedIdx: 0, armed: 1 });
    expect(tables).toEqual([new Int32Array(4)]);
  });

  it("are all that another needs to go on: it knows which heads are out", () => {
    const bench = new DeviceBench(4);
    bench.describe(0, ...plain(4));
    bench.heads(0, 2, 1, 2);
    bench.availIdx = 2;
    expect(bench.takeAll()).toEqual({ heads: [2, 1], end: "nothing" });
    const next = new DeviceRing(bench.ring.deviceSide, { eventIdx: false, indirect: true }, () => "unmapped");
    const [from, to] = [bench.device.parts(), next.parts()];
    Object.assign(to.state, from.state);
    expect(from.tables.length).toBe(to.tables.length);
    for (const [i, table] of from.tables.entries()) to.tables[i]!.set(table as Int32Array);
    bench.availIdx = 3;
    expect(() => next.takeAvail()).toThrow("head-outstanding");
    next.addUsed(2, 0);
    expect([next.takeAvail(), next.chain.head]).toEqual([true, 2]);
  });
});

describe("DeviceRing.arm()", () => {
  it("breaks for a jump of avail.idx as takeAvail() does (S4)", () => {
    const bench = new DeviceBench(4);
    for (const [idx, safe] of [
      [0, true],
      [1, false],
      [4, false],
    ] as const) {
      bench.availIdx = idx;
      expect(bench.device.arm()).toBe(safe);
    }
    bench.availIdx = 5;
    expect(() => bench.device.arm()).toThrow("avail-idx-overrun");
  });
});

describe("DeviceRing.disarm()", () => {
  it("writes only when it was armed", () => {
    const bench = new DeviceBench(4);
    const flags = () => bench.ring.memory.read16(bench.ring.areas.used);
    bench.device.disarm();
    expect(flags()).toBe(1);
    bench.ring.memory.write16(bench.ring.areas.used, 0x77);
    bench.device.disarm();
    expect(flags()).toBe(0x77);
    bench.device.arm();
    expect(flags()).toBe(0);
  });
});
