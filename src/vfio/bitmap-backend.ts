import { newCounters, type TrackerCounters } from "../dirty/tracker.js";
import { type ErrnoResult, errno } from "../layout/errno.js";
import { RealMemory } from "../memory/real-memory.js";
import { eachRun, eachWord, type LogBackend, type UnitVisitor, unitWords } from "./log-backend.js";

/** Bytes that a device has for its bitmap, unless it is told otherwise. */
const BITMAP_BYTES_MAX = 2 ** 28;

/** One bitmap, set by the device and exchanged for zero by the host. */
export class BitmapBackend implements LogBackend {
  readonly counters: TrackerCounters;
  readonly #bytesMax: number;
  #memory = RealMemory.allocate(0);

  constructor(counters: TrackerCounters = newCounters(), bytesMax = BITMAP_BYTES_MAX) {
    this.counters = counters;
    this.#bytesMax = bytesMax;
  }

  start(unitCount: number): ErrnoResult {
    const bytes = unitWords(unitCount) * 4;
    if (bytes > this.#bytesMax) return errno("ENOMEM");
    this.#memory = RealMemory.allocate(bytes);
    return 0;
  }

  stop(): void {
    this.#memory = RealMemory.allocate(0);
  }

  mark(firstUnit: number, unitCount: number): void {
    eachWord(firstUnit, firstUnit + unitCount, (word, mask) => {
      this.#memory.setBits32(word * 4, mask);
      this.counters.wordsTouched += 1;
      this.counters.rmw += 1;
    });
  }

  collect(firstUnit: number, endUnit: number, clears: boolean, visit: UnitVisitor): void {
    eachWord(firstUnit, endUnit, (word, mask) => {
      this.counters.harvestWords += 1;
      if ((this.#memory.read32(word * 4) & mask) === 0) return;
      const taken = this.#memory.takeBits32(word * 4);
      const back = clears ? taken & ~mask : taken;
      if (back !== 0) this.#memory.setBits32(word * 4, back);
      eachRun(word, taken & mask, visit);
    });
  }

  footprintBytes(): number {
    return this.#memory.byteLength;
  }
}
