import { newCounters, type TrackerCounters } from "../dirty/tracker.js";
import type { ErrnoResult } from "../layout/errno.js";
import { eachRun, eachWord, type LogBackend, type UnitVisitor, unitWords } from "./log-backend.js";

/**
 * Two bitmaps: the device writes seq, the host writes ack, and a unit is dirty where they differ.
 *
 * Nobody clears what the other sets, so there is no race and no read-modify-write across the two. The host handles
 * words; of a word's units it acknowledges those that it delivers, because the others would never be shown to anybody.
 */
export class SeqAckBackend implements LogBackend {
  readonly counters: TrackerCounters;
  #seq = new Int32Array(0);
  #ack = new Int32Array(0);

  constructor(counters: TrackerCounters = newCounters()) {
    this.counters = counters;
  }

  start(unitCount: number): ErrnoResult {
    this.#seq = new Int32Array(unitWords(unitCount));
    this.#ack = new Int32Array(unitWords(unitCount));
    return 0;
  }

  stop(): void {
    this.#seq = new Int32Array(0);
    this.#ack = new Int32Array(0);
  }

  mark(firstUnit: number, unitCount: number): void {
    eachWord(firstUnit, firstUnit + unitCount, (word, mask) => {
      this.#seq[word] = (this.#seq[word]! & ~mask) | (~this.#ack[word]! & mask);
      this.counters.wordsTouched += 1;
      this.counters.rmw += 1;
    });
  }

  collect(firstUnit: number, endUnit: number, clears: boolean, visit: UnitVisitor): void {
    eachWord(firstUnit, endUnit, (word, mask) => {
      this.counters.harvestWords += 2;
      const dirty = this.#seq[word]! ^ this.#ack[word]!;
      const delivered = dirty & mask;
      if (delivered === 0) return;
      if (clears) this.#ack[word]! ^= delivered;
      eachRun(word, delivered, visit);
    });
  }

  footprintBytes(): number {
    return this.#seq.byteLength + this.#ack.byteLength;
  }
}
