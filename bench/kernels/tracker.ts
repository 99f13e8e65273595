import { bitsBetween } from "../../src/dirty/dirty-log.js";
import { LogTracker } from "../../src/dirty/log-tracker.js";
import { PAGE_BYTES } from "../../src/memory/address.js";
import { DenseRam } from "../../src/memory/guest-ram.js";
import { RealMemory } from "../../src/memory/real-memory.js";
import { FRAME_HEADER_BYTES, PageSender } from "../../src/migration/sender.js";
import { TRACKER_HEADER as H, TRACKER_HEADER_WORDS, TRACKER_OPERATIONS } from "../inputs/tracker-input.js";
import { check, type Kernel, medianOfSlices, nowNs } from "./kernel.js";

/** Pages of one slice; the next one goes on behind them, so that a page has left the caches when it is sent again. */
const SLICE_PAGES = 1024;

/** A timed loop: one turn of it, how many operations that is, and what it left behind. */
interface Loop {
  readonly turn: () => void;
  readonly operations: number;
  readonly outputs: () => Uint8Array;
}

type Writes = readonly (readonly [page: number, count: number])[];

/** What trackers and page senders do most, and the bare loops that they are held against; the unit is the row's. */
export class TrackerKernel implements Kernel {
  readonly #loop: Loop;

  constructor(input: Int32Array) {
    const pages = input[H.pages]!;
    const writes = Array.from({ length: input[H.writes]! }, (_, i): [number, number] => [
      input[TRACKER_HEADER_WORDS + 2 * i]!,
      input[TRACKER_HEADER_WORDS + 2 * i + 1]!,
    ]);
    const makers = { mark, "bare-rmw": bareRmw, harvest, sum, send, set } as const;
    this.#loop = makers[TRACKER_OPERATIONS[input[H.operation]!]!](pages, writes);
  }

  outputs(): Uint8Array {
    this.#loop.turn();
    return this.#loop.outputs();
  }

  window(ns: number): number {
    const { turn, operations } = this.#loop;
    return medianOfSlices(ns, () => {
      const start = nowNs();
      turn();
      return (nowNs() - start) / operations;
    });
  }

  close(): void {}
}

/** Each write is reported to a log; what only a lab counts is not counted. */
function mark(pages: number, writes: Writes): Loop {
  const memory = RealMemory.allocate(pages / 8);
  const tracker = new LogTracker("log", pages * PAGE_BYTES, memory);
  check(tracker.start([], PAGE_BYTES) === PAGE_BYTES, "the tracker starts");
  const from = Float64Array.from(writes, ([page]) => page * PAGE_BYTES);
  const bytes = Float64Array.from(writes, ([, count]) => count * PAGE_BYTES);
  tracker.memory.counts = false;
  const turn = () => {
    for (let i = 0; i < from.length; i++) tracker.markAfterWrite(from[i]!, bytes[i]!);
  };
  return { turn, operations: wordsOf(writes).length, outputs: () => bytesOf(memory) };
}

/** The same words with the same bits, one read-modify-write each. */
function bareRmw(pages: number, writes: Writes): Loop {
  const memory = RealMemory.allocate(pages / 8);
  const words = wordsOf(writes);
  const offsets = Int32Array.from(words, ([word]) => word * 4);
  const bits = Int32Array.from(words, ([, mask]) => mask);
  const turn = () => {
    for (let i = 0; i < offsets.length; i++) memory.setBits32(offsets[i]!, bits[i]!);
  };
  return { turn, operations: words.length, outputs: () => bytesOf(memory) };
}

/** Harvests of a log in which nothing is marked. */
function harvest(pages: number, writes: Writes): Loop {
  const tracker = new LogTracker("log", pages * PAGE_BYTES);
  check(tracker.start([], PAGE_BYTES) === PAGE_BYTES, "the tracker starts");
  const bitmap = new Uint32Array(pages / 32);
  const turn = () => {
    for (let i = 0; i < writes.length; i++) tracker.report(0, pages * PAGE_BYTES, PAGE_BYTES, bitmap);
  };
  const outputs = () => {
    check(tracker.counters.harvestWords >= writes.length * bitmap.length, "all words were looked at");
    return new Uint8Array(Int32Array.of(tracker.counters.pagesReported).buffer);
  };
  return { turn, operations: writes.length, outputs };
}

/** A plain loop that adds the words of such a log. */
function sum(pages: number, writes: Writes): Loop {
  const words = new Int32Array(new SharedArrayBuffer(pages / 8));
  let total = 0;
  const turn = () => {
    for (let i = 0; i < writes.length; i++) {
      for (let word = 0; word < words.length; word++) total = (total + words[word]!) | 0;
    }
  };
  return { turn, operations: writes.length, outputs: () => new Uint8Array(Int32Array.of(total).buffer) };
}

/** Pages go through the migration's sender, whose frames are dropped. */
function send(pages: number, writes: Writes): Loop {
  const ram = filledRam(pages);
  let last = new Uint8Array(0);
  const sender = new PageSender(ram, (frame) => {
    last = frame as Uint8Array<ArrayBuffer>;
  });
  const list = Int32Array.from(writes, ([page]) => page);
  let at = 0;
  const turn = () => {
    for (let i = at; i < at + SLICE_PAGES; i++) sender.send(list[i]!);
    at = (at + SLICE_PAGES) % list.length;
  };
  return { turn, operations: SLICE_PAGES, outputs: () => last.slice(FRAME_HEADER_BYTES) };
}

/** TypedArray.set of the same pages into a buffer of the same size. */
function set(pages: number, writes: Writes): Loop {
  const bytes = new Uint8Array(filledRam(pages).blocks[0]!.buffer);
  const target = new Uint8Array(FRAME_HEADER_BYTES + PAGE_BYTES);
  const list = Int32Array.from(writes, ([page]) => page * PAGE_BYTES);
  let at = 0;
  const turn = () => {
    for (let i = at; i < at + SLICE_PAGES; i++) {
      target.set(bytes.subarray(list[i]!, list[i]! + PAGE_BYTES), FRAME_HEADER_BYTES);
    }
    at = (at + SLICE_PAGES) % list.length;
  };
  return { turn, operations: SLICE_PAGES, outputs: () => target.slice(FRAME_HEADER_BYTES) };
}

/** Words of a log that writes touch, in their order, with the bits that each write sets in them. */
function wordsOf(writes: Writes): (readonly [word: number, bits: number])[] {
  return writes.flatMap(([page, count]) => {
    const last = page + count - 1;
    const touched: [number, number][] = [];
    for (let word = page >>> 5; word <= last >>> 5; word++) {
      touched.push([word, bitsBetween(word === page >>> 5 ? page : 0, word === last >>> 5 ? last : 31)]);
    }
    return touched;
  });
}

function filledRam(pages: number): DenseRam {
  const ram = DenseRam.allocate([{ gpa: 0, bytes: pages * PAGE_BYTES }]);
  const words = new Int32Array(ram.blocks[0]!.buffer);
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i, 0x9e37_79b1);
  return ram;
}

function bytesOf(memory: RealMemory): Uint8Array {
  const bytes = new Uint8Array(memory.byteLength);
  memory.copyOut(0, bytes);
  return bytes;
}
