import type { TrackerCounters } from "../dirty/tracker.js";
import type { ErrnoResult } from "../layout/errno.js";

/** Receives a run of units that were written. */
export type UnitVisitor = (firstUnit: number, unitCount: number) => void;

/**
 * How a device keeps what it wrote until it is asked: the three kinds that devices have (specification 3.5, 3.7).
 *
 * A unit is a page of the device's own size; units of all ranges are numbered through. Nothing of what is not asked for
 * changes.
 */
export interface LogBackend {
  /** Of the tracker it belongs to. */
  readonly counters: TrackerCounters;
  /** Begins clean, for so many units; ENOMEM when it has no room. */
  start(unitCount: number): ErrnoResult;
  /** Forgets everything. */
  stop(): void;
  /** The device wrote these. */
  mark(firstUnit: number, unitCount: number): void;
  /** Gives out what was written of `firstUnit` up to `endUnit`, and forgets it there if `clears`. */
  collect(firstUnit: number, endUnit: number, clears: boolean, visit: UnitVisitor): void;
  /** Bytes of the host's memory that it takes while it runs. */
  footprintBytes(): number;
}

/** Words of 32 units that hold `unitCount` of them: whole 64-bit ones. */
export function unitWords(unitCount: number): number {
  return Math.ceil(unitCount / 64) * 2;
}

/** Visits the words of a run of units, each with the mask of those of it that are meant. */
export function eachWord(firstUnit: number, endUnit: number, visit: (word: number, mask: number) => void): void {
  const lastWord = Math.floor((endUnit - 1) / 32);
  for (let word = Math.floor(firstUnit / 32); word <= lastWord; word++) {
    const from = Math.max(firstUnit - word * 32, 0);
    const to = Math.min(endUnit - word * 32, 32);
    visit(word, (-1 << from) & (-1 >>> (32 - to)));
  }
}

/** Visits the runs of set bits of one word. */
export function eachRun(word: number, bits: number, visit: UnitVisitor): void {
  let left = bits;
  while (left !== 0) {
    const from = 31 - Math.clz32(left & -left);
    const shifted = ~(left >>> from);
    // All ones from `from` up: the shift has filled with zeros above, which end the run.
    const length = shifted === 0 ? 32 : 31 - Math.clz32(shifted & -shifted);
    visit(word * 32 + from, length);
    left = from + length >= 32 ? 0 : left & (-1 << (from + length));
  }
}
