import { IovaAllocator } from "../../src/iova/iova-allocator.js";
import { type Iova, PAGE_BYTES } from "../../src/memory/address.js";
import { Random } from "./random.js";

/** An allocator in use: how many mappings live, and how many requests to record. */
export interface IovaCase {
  readonly live: number;
  /** Requests before the map is compared with the twin's; peers that walk have time for few. */
  readonly verified: number;
}

/** Columns of the header, of which the twins have the same list. */
export const IOVA_HEADER = { live: 0, requests: 1, verified: 2, endPage: 3 } as const;
/** Words of the header. */
export const IOVA_HEADER_WORDS = 16;
/** Pages from 1 up to this are handed out: far more than ever live. */
const END_PAGE = 2 ** 28;
const PAGES_MAX = 16;
const REQUESTS = 2 ** 16;

/**
 * Records the input of an allocator kernel: a map that has seen much coming and going, then what comes next.
 *
 * Map: start and pages of each mapping, in an order of chance. Requests: the number of a mapping to free and the pages
 * to allocate in its place. The map is inserted as it is, so no peer is fed by the algorithm under test.
 */
export function recordIova({ live, verified }: IovaCase): Int32Array {
  const random = new Random(live);
  const words = new Int32Array(IOVA_HEADER_WORDS + 2 * live + 2 * REQUESTS);
  words.set([live, REQUESTS, verified, END_PAGE]);
  const map = words.subarray(IOVA_HEADER_WORDS, IOVA_HEADER_WORDS + 2 * live);
  wearIn(map, live, random);
  const requests = words.subarray(IOVA_HEADER_WORDS + 2 * live);
  for (let i = 0; i < REQUESTS; i++) requests.set([random.below(live), 1 + random.below(PAGES_MAX)], 2 * i);
  return words;
}

/** Fills a map, then frees and allocates at random until its holes are those of a map in use. */
function wearIn(map: Int32Array, live: number, random: Random): void {
  const allocator = new IovaAllocator({ first: 0 as Iova, last: (END_PAGE * PAGE_BYTES - 1) as Iova });
  const allocate = (slot: number) => {
    const pages = 1 + random.below(PAGES_MAX);
    map.set([allocator.allocate(pages * PAGE_BYTES)! / PAGE_BYTES, pages], 2 * slot);
  };
  for (const slot of random.order(live)) allocate(slot);
  const turns = Math.min(10 * live, 1_500_000);
  for (let i = 0; i < turns; i++) {
    const slot = random.below(live);
    allocator.free((map[2 * slot]! * PAGE_BYTES) as Iova);
    allocate(slot);
  }
}
