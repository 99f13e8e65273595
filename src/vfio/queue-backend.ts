import { newCounters, type TrackerCounters } from "../dirty/tracker.js";
import type { ErrnoResult } from "../layout/errno.js";
import { BitmapBackend } from "./bitmap-backend.js";
import type { LogBackend, UnitVisitor } from "./log-backend.js";

/** Entries of a message: 4 KiB of 8 bytes each. */
const MESSAGE_ENTRIES = 512;
const MESSAGE_BYTES = MESSAGE_ENTRIES * 8;

/** How fast the host is. */
export interface QueuePace {
  /** Messages for which the host has posted buffers; 512 make 2 MiB. */
  readonly posted?: number;
  /** Messages that the host consumes, and posts again, each time it looks. */
  readonly consumed?: number;
  /** Called before each message that the device sends: what happens meanwhile. */
  readonly meanwhile?: () => void;
}

/**
 * A queue that the host pulls: asked for a range, the device streams addresses of pages, then says that it is done.
 *
 * A message carries 512 entries of 8 bytes. Where no buffer is posted the device waits (RNR) until the host consumed
 * some: it throttles itself and drops nothing. Entries of a message that is not full are delivered only once it was
 * sent, so the last message of a pull is sent as it is. What the device keeps inside until it is asked is no memory of
 * the host, so the footprint does not grow with RAM.
 */
export class QueueBackend implements LogBackend {
  readonly counters: TrackerCounters;
  readonly queue = { pulls: 0, messages: 0, done: 0, stalls: 0 };
  readonly #pace: Required<QueuePace>;
  /** Inside the device. */
  readonly #written = new BitmapBackend();
  /** The message that the device fills: first units and counts are spelled out, one entry to a unit. */
  #open: number[] = [];
  /** Messages in posted buffers, in their order. */
  #received: number[][] = [];
  #running = false;

  constructor(counters: TrackerCounters = newCounters(), pace: QueuePace = {}) {
    this.counters = counters;
    this.#pace = { posted: 512, consumed: 64, meanwhile: () => {}, ...pace };
  }

  start(unitCount: number): ErrnoResult {
    this.#open = [];
    this.#received = [];
    const result = this.#written.start(unitCount);
    this.#running = result === 0;
    return result;
  }

  stop(): void {
    this.#running = false;
    this.#written.stop();
  }

  mark(firstUnit: number, unitCount: number): void {
    const inside = this.#written.counters;
    const before = { words: inside.wordsTouched, rmw: inside.rmw };
    this.#written.mark(firstUnit, unitCount);
    this.counters.wordsTouched += inside.wordsTouched - before.words;
    this.counters.rmw += inside.rmw - before.rmw;
  }

  collect(firstUnit: number, endUnit: number, clears: boolean, visit: UnitVisitor): void {
    this.queue.pulls += 1;
    this.#written.collect(firstUnit, endUnit, clears, (first, count) => {
      for (let unit = first; unit < first + count; unit++) {
        this.#open.push(unit);
        if (this.#open.length === MESSAGE_ENTRIES) this.#send(visit);
      }
    });
    if (this.#open.length > 0) this.#send(visit);
    this.queue.done += 1;
    while (this.#received.length > 0) this.#consume(visit);
  }

  footprintBytes(): number {
    return this.#running ? this.#pace.posted * MESSAGE_BYTES : 0;
  }

  /** The device's side: waits for a buffer, then sends. */
  #send(visit: UnitVisitor): void {
    this.#pace.meanwhile();
    if (this.#received.length >= this.#pace.posted) {
      this.queue.stalls += 1;
      this.counters.stalls += 1;
      this.#consume(visit);
    }
    this.#received.push(this.#open);
    this.#open = [];
    this.queue.messages += 1;
  }

  /** The host's side. */
  #consume(visit: UnitVisitor): void {
    for (const entries of this.#received.splice(0, this.#pace.consumed)) {
      this.counters.harvestWords += entries.length;
      this.counters.bytesMarshalled += entries.length * 8;
      for (const unit of entries) visit(unit, 1);
    }
  }
}
