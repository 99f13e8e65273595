import { recordRelay } from "./relay-input.js";

/** What two threads do with a ring. */
export interface RingCase {
  /** Whether a relay stands between guest and device, on the device's thread. */
  readonly relayed: boolean;
  /** Requests kept in flight, and how many are offered or returned together. */
  readonly outstanding: number;
  readonly batch: number;
  readonly queueSize: number;
}

/** Columns of the header, of which `twin/ring.c` has the same list; behind it stands a relay input. */
export const RING_HEADER = { relayed: 0, outstanding: 1, batch: 2, queueSize: 3, rounds: 4 } as const;
/** Words of the header. */
export const RING_HEADER_WORDS = 16;
/** Rounds in one thread, of `outstanding` requests each, before the rings are compared with the twin's. */
const ROUNDS = 1000;
const MAPPINGS = 64;

/** Records the input of a ring kernel: a header, then the mappings and buffers of a relay kernel. */
export function recordRing({ relayed, outstanding, batch, queueSize }: RingCase): Int32Array {
  const behind = { queueSize, chain: 1, mappings: MAPPINGS, batch, log: true, queues: 1, buffers: "random" } as const;
  const relay = recordRelay(behind);
  const words = new Int32Array(RING_HEADER_WORDS + relay.length);
  words.set([relayed ? 1 : 0, outstanding, batch, queueSize, ROUNDS]);
  words.set(relay, RING_HEADER_WORDS);
  return words;
}
