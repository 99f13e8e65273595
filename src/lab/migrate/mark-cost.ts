import type { AfterWriteHook, AtTranslateHook } from "../../dirty/discipline.js";
import { LogTracker } from "../../dirty/log-tracker.js";
import type { Tracker } from "../../dirty/tracker.js";
import { PAGE_BYTES } from "../../memory/address.js";
import { seededRandom } from "../../migration/seeded.js";
import type { RowWiring } from "./row.js";

/** Pages that are marked for a figure, and how often; the best run counts. The first ones run in cold code. */
const PAGES = 4096;
const RUNS = 30;

/** Real nanoseconds for one mark of one page, scattered over the first pages of RAM; 0 where nobody marks. */
export function markNsPerPage(wiring: RowWiring): number {
  const random = seededRandom(1);
  const pages = Array.from({ length: PAGES }, () => Math.floor(random() * PAGES));
  const mark = wiring.probe ?? probeOf(wiring);
  if (mark === undefined) return 0;
  const ranges = [{ address: 0, bytes: PAGES * PAGE_BYTES }];
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < RUNS; run++) {
    for (const { tracker } of wiring.entries) tracker.start(ranges, PAGE_BYTES);
    const from = process.hrtime.bigint();
    mark(pages);
    best = Math.min(best, Number(process.hrtime.bigint() - from));
    for (const { tracker } of wiring.entries) tracker.stop();
  }
  return best / PAGES;
}

/** By the hook of the last tracker that has one: the row's own, behind those it shares. */
function probeOf({ entries }: RowWiring): ((pages: readonly number[]) => void) | undefined {
  const tracker = entries.map((entry) => entry.tracker).findLast((one) => one.discipline !== "none");
  if (tracker === undefined) return undefined;
  if (marksAfterWrite(tracker))
    return (pages) => probe(tracker, pages, (page) => tracker.markAfterWrite(page * PAGE_BYTES, 8));
  if (marksAtTranslate(tracker)) return (pages) => probe(tracker, pages, (page) => tracker.walkForWrite(page));
  return undefined;
}

function probe(tracker: Tracker, pages: readonly number[], mark: (page: number) => unknown): void {
  const counted = tracker instanceof LogTracker ? tracker.memory : { counts: true };
  counted.counts = false;
  for (const page of pages) mark(page);
  counted.counts = true;
}

function marksAfterWrite(tracker: Tracker): tracker is Tracker & AfterWriteHook {
  return "markAfterWrite" in tracker;
}

function marksAtTranslate(tracker: Tracker): tracker is Tracker & AtTranslateHook {
  return "walkForWrite" in tracker;
}
