import { describe, expect, it } from "vitest";
import { DirtyLog } from "../../src/dirty/dirty-log.js";
import type { SharedMemory } from "../../src/memory/shared-memory.js";
import { everyOrder, type Outcomes, once, type Party, type StoreOrder } from "../helpers/every-order.js";
import { type Patch, patchedCopy } from "../helpers/patched-copy.js";

// A log of 64 pages in two words, a second log behind it, and words for what the parties have to say.
const PAGE = 4096;
const END = 64 * PAGE;
const LOG = 0;
const NEXT_LOG = 8;
const DATA = 16;
const COPY = 20;
const FIRST_TAKER = 24;
const SECOND_TAKER = 28;
const BYTES = 32;

const FILE = "dirty/dirty-log.ts";
type Log = typeof DirtyLog;

function word(bytes: Uint8Array, offset: number): number {
  return new DataView(bytes.buffer).getUint32(offset, true);
}

interface Scene {
  readonly parties: readonly Party<number>[];
  readonly outcome: (bytes: Uint8Array) => string;
  readonly order?: StoreOrder;
  /** Marks in the first word of the log to begin with. */
  readonly marks?: number;
}

function play({ parties, outcome, order = "sc", marks = 0 }: Scene): Outcomes {
  const bytes = new Uint8Array(BYTES);
  new DataView(bytes.buffer).setUint32(LOG, marks, true);
  return everyOrder({ order, bytes, parties, outcome });
}

function counts(scene: Scene): Record<string, number> {
  return Object.fromEntries(play(scene).orders);
}

async function patched(...patches: readonly Patch[]): Promise<Log> {
  return (await patchedCopy<{ DirtyLog: Log }>(FILE, ...patches)).DirtyLog;
}

/** Marks one bit by reading and writing, as two threads on one byte once did (BI-64). */
const PLAIN_MARK: Patch = [
  FILE,
  "this.memory.setBits32(this.offset + word * 4, bitsBetween(from, to));",
  "this.memory.write32(this.offset + word * 4, this.memory.read32(this.offset + word * 4) | bitsBetween(from, to));",
];
/** Takes a word by reading it and writing zero. */
const PLAIN_TAKE: Patch = [
  FILE,
  "const bits = memory.takeBits32(at);",
  "const bits = memory.read32(at); memory.write32(at, 0);",
];
/** Leaves out marks that are there. */
const TEST_FIRST: Patch = [
  FILE,
  "this.memory.setBits32(this.offset + word * 4, bitsBetween(from, to));",
  "const [at, bits] = [this.offset + word * 4, bitsBetween(from, to)];" +
    "if ((this.memory.read32(at) & bits) !== bits) this.memory.setBits32(at, bits);",
];

/** Takes what is marked, and copies the page if it is. */
function taker(Log: Log): Party<number> {
  return once("taker", (memory) => {
    const bitmap = new Uint32Array(2);
    if (new Log(memory, LOG, END).take(bitmap) > 0) memory.write32(COPY, memory.read32(DATA));
  });
}

/** After all is done comes the last round: what is still marked is copied. */
function lastRound(bytes: Uint8Array): string {
  const copied = word(bytes, LOG) !== 0 || word(bytes, COPY) === word(bytes, DATA);
  return copied ? "whole" : "lost";
}

/** A write to page 0 and its mark, in either order. */
function writer(Log: Log, markFirst = false): Party<number> {
  return once("writer", (memory) => {
    const log = new Log(memory, LOG, END);
    if (markFirst) log.markRange(0, 1);
    memory.write32(DATA, 77);
    if (!markFirst) log.markRange(0, 1);
  });
}

describe("a page that is written while somebody takes", () => {
  it.each(["sc", "tso", "pso"] as const)(
    "is copied in every order when it is written, then marked (S9): %s",
    (order) => {
      for (const marks of [0, 1, 2]) {
        const { orders } = play({ order, marks, parties: [writer(DirtyLog), taker(DirtyLog)], outcome: lastRound });
        expect([...orders.keys()]).toEqual(["whole"]);
      }
    },
  );

  it("is lost when it is marked, then written: in the orders where the write comes after the copy", () => {
    const { orders, examples } = play({ parties: [writer(DirtyLog, true), taker(DirtyLog)], outcome: lastRound });
    // The write before, or after, the copy is stored.
    expect(orders.get("lost")).toBe(2);
    expect(examples.get("lost")?.slice(0, 5)).toEqual([
      `writer: set 1 at ${LOG}`,
      `taker: load 1 at ${LOG}`,
      `taker: load 0 at ${LOG + 4}`,
      `taker: take 1 at ${LOG}`,
      `taker: load 0 at ${DATA}`,
    ]);
  });

  it("is lost where stores wait in a buffer, and nowhere else, when a mark that is there is left out", async () => {
    const TestFirst = await patched(TEST_FIRST);
    const scene = (order: StoreOrder) => ({
      order,
      marks: 1,
      parties: [writer(TestFirst), taker(TestFirst)],
      outcome: lastRound,
    });
    expect(Object.keys(counts(scene("sc")))).toEqual(["whole"]);
    expect(Object.keys(counts(scene("tso"))).sort()).toEqual(["lost", "whole"]);
  });
});

/** Takes and says which pages of the first word it got. */
function teller(Log: Log, name: string, at: number): Party<number> {
  return once(name, (memory) => {
    const bitmap = new Uint32Array(2);
    new Log(memory, LOG, END).take(bitmap);
    memory.write32(at, bitmap[0]!);
  });
}

/** Whether pages 3 and 31 went to exactly one taker, or are still marked. */
function handedOut(bytes: Uint8Array): string {
  const [left, first, second] = [LOG, FIRST_TAKER, SECOND_TAKER].map((at) => word(bytes, at)) as [
    number,
    number,
    number,
  ];
  if ((first & second) !== 0 || (left & (first | second)) !== 0) return "twice";
  return ((left | first | second) >>> 0).toString(16);
}

const MARKED = ((1 << 3) | (1 << 31)) >>> 0;

function marker(Log: Log, name: string, ...pages: number[]): Party<number> {
  return once(name, (memory) => {
    const log = new Log(memory, LOG, END);
    for (const page of pages) log.markRange(page * PAGE, 1);
  });
}

function twoTakers(Log: Log): Party<number>[] {
  return [teller(Log, "first taker", FIRST_TAKER), teller(Log, "second taker", SECOND_TAKER)];
}

describe("a mark", () => {
  it("is handed out once, by whichever of two takers, while others are made (BI-64)", () => {
    for (const order of ["sc", "tso"] as const) {
      const parties = [...twoTakers(DirtyLog), marker(DirtyLog, "marker", 3)];
      const outcomes = counts({ order, marks: 2 ** 31, parties, outcome: handedOut });
      expect(Object.keys(outcomes)).toEqual([MARKED.toString(16)]);
    }
  });

  it("is handed out twice by takers that read and then clear", async () => {
    const parties = twoTakers(await patched(PLAIN_TAKE));
    expect(counts({ marks: MARKED, parties, outcome: handedOut })).toHaveProperty("twice");
  });

  it("is lost when it is made between a taker's read and its clearing", async () => {
    const parties = [teller(await patched(PLAIN_TAKE), "taker", FIRST_TAKER), marker(DirtyLog, "marker", 3)];
    const outcomes = counts({ marks: 2 ** 31, parties, outcome: handedOut });
    expect(Object.keys(outcomes).sort()).toEqual(["80000000", MARKED.toString(16)]);
  });

  it("stays when two mark one word at a time, and is lost when they read and write (BI-64)", async () => {
    const both = (Log: Log) => [marker(Log, "a", 3), marker(Log, "b", 31)];
    expect(counts({ parties: both(DirtyLog), outcome: handedOut })).toEqual({ [MARKED.toString(16)]: 2 });
    const outcomes = counts({ parties: both(await patched(PLAIN_MARK)), outcome: handedOut });
    expect(Object.keys(outcomes).sort()).toEqual(["8", "80000000", MARKED.toString(16)]);
  });
});

/** Moves all marks to the next log while somebody marks there. */
function mover(Log: Log): Party<number> {
  return once("mover", (memory) => new Log(memory, LOG, END).moveTo(new Log(memory, NEXT_LOG, END)));
}

const nextMarker = once("marker", (memory: SharedMemory) => new DirtyLog(memory, NEXT_LOG, END).markRange(5 * PAGE, 1));
const bothLogs = (bytes: Uint8Array) => `${word(bytes, LOG)} ${word(bytes, NEXT_LOG)}`;

describe("marks that move to another log", () => {
  it("are all there in every order, and so are those made there meanwhile", () => {
    const outcomes = counts({ marks: MARKED, parties: [mover(DirtyLog), nextMarker], outcome: bothLogs });
    expect(Object.keys(outcomes)).toEqual([`0 ${MARKED + 32}`]);
  });

  it("take others with them when they are written instead of set", async () => {
    const passage = "next.memory.setBits32(next.offset + word * 4, bitmap[word]!);";
    const Faulty = await patched([FILE, passage, passage.replace("setBits32", "write32")]);
    const outcomes = counts({ marks: MARKED, parties: [mover(Faulty), nextMarker], outcome: bothLogs });
    expect(Object.keys(outcomes)).toContain(`0 ${MARKED}`);
  });
});
