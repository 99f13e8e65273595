import { Random } from "./random.js";

/** What a tracker is asked to do, or a bare loop beside it. */
export const TRACKER_OPERATIONS = ["mark", "bare-rmw", "harvest", "sum", "send", "set"] as const;

/** One operation over pages of chance. */
export interface TrackerCase {
  readonly operation: (typeof TRACKER_OPERATIONS)[number];
  /** Pages of guest memory; a multiple of 1024. */
  readonly pages: number;
  /** Writes, or pages that are sent, of one turn. */
  readonly writes: number;
  /** Pages of a write: from 1 to so many. */
  readonly runPages: number;
}

/** Words of the header; behind it a first page and a number of pages for each write. */
export const TRACKER_HEADER = { operation: 0, pages: 1, writes: 2 } as const;
/** How many words it has. */
export const TRACKER_HEADER_WORDS = 16;

/** Records the input of a tracker kernel; both sides of a row get the same writes. */
export function recordTracker({ operation, pages, writes, runPages }: TrackerCase): Int32Array {
  const random = new Random(pages + runPages);
  const words = new Int32Array(TRACKER_HEADER_WORDS + 2 * writes);
  words.set([TRACKER_OPERATIONS.indexOf(operation), pages, writes]);
  for (let write = 0; write < writes; write++) {
    const count = 1 + random.below(runPages);
    words.set([random.below(pages - count + 1), count], TRACKER_HEADER_WORDS + 2 * write);
  }
  return words;
}
