import { assert } from "../memory/assert.js";

/**
 * The columns of a counter block: one number each, only ever growing, written by one thread.
 *
 * A role uses the columns it needs and leaves the others at zero.
 */
export const COUNTERS = {
  /** Notifications sent from a driver half to a device half. */
  kicks: 0,
  /** Notifications sent from a device half to a driver half. */
  calls: 1,
  /** Kicks the relay passed on to the device. */
  relayKicks: 2,
  /** Calls the relay passed on to the guest. */
  relayCalls: 3,
  /** Requests completed, counted by the driver. */
  requests: 4,
  /** Descriptors read, of indirect tables too. */
  descriptors: 5,
  /** Chains handed on. */
  chains: 6,
  /** Publications of an avail idx. */
  availBatches: 7,
  /** Publications of a used idx. */
  usedBatches: 8,
  /** Calls of a tracker's mark. */
  dirtyMarks: 9,
  /** Pages covered by those marks. */
  dirtyPages: 10,
  /** Notifications that crossed a thread, of any kind. */
  hops: 11,
  /** Wake-ups that found no work. */
  spuriousWakes: 12,
  /** Times the thread went to sleep on its doorbell. */
  sleeps: 13,
  /** Sleeps that ended by their time limit. */
  timeouts: 14,
  /** Time limits that found work nobody had rung for. */
  lostNotifications: 15,
  /** Times a chain was held for want of room. */
  held: 16,
  /** Changes between passthrough and relay. */
  switches: 17,
  /** Bytes a device took from device-readable buffers. */
  readBytes: 18,
  /** Bytes a device put into device-writable buffers. */
  writtenBytes: 19,
  /** Translations the IOTLB did not hold. */
  iotlbMisses: 20,
  /** Faults of a peer that were noticed. */
  faults: 21,
  /** Calls of the role's step(). */
  steps: 22,
  /** Of those, the ones without work. */
  idleSteps: 23,
  /** Heartbeat: changes as long as the thread gets anywhere. */
  progress: 24,
  /** Chains returned unused because of a fault of their own. */
  quarantined: 25,
  /** Used lengths beyond what the device could write, cut down. */
  clampedLengths: 26,
  /** Bytes of the buffers of chains handed on, in both directions. */
  relayedBytes: 27,
} as const;

/** The name of a counter. */
export type CounterName = keyof typeof COUNTERS;
/** The column of a counter in its block. */
export type CounterColumn = (typeof COUNTERS)[CounterName];
/** All counters of a block at one moment, by name. */
export type CounterSnapshot = Record<CounterName, number>;

const COLUMNS = Object.entries(COUNTERS) as [CounterName, CounterColumn][];
const CACHE_LINE_BYTES = 64;

/** Bytes of one block: whole cache lines, so that no two writers share one. */
export const COUNTER_BLOCK_BYTES =
  Math.ceil((COLUMNS.length * Float64Array.BYTES_PER_ELEMENT) / CACHE_LINE_BYTES) * CACHE_LINE_BYTES;

/**
 * Takes block number `index` of a buffer of counter blocks; throws when the buffer ends before it.
 *
 * Doubles, because a counter must not wrap in a long run: exact up to 2^53. Read from another thread, a counter may be
 * a little old but is never torn, since it is eight aligned bytes.
 */
export function counterBlock(buffer: SharedArrayBuffer | ArrayBuffer, index: number): Float64Array {
  const offset = index * COUNTER_BLOCK_BYTES;
  assert(
    Number.isInteger(index) && index >= 0 && offset + COUNTER_BLOCK_BYTES <= buffer.byteLength,
    `counter block ${index} lies inside ${buffer.byteLength} bytes`,
  );
  return new Float64Array(buffer, offset, COUNTER_BLOCK_BYTES / Float64Array.BYTES_PER_ELEMENT);
}

/** Adds to one counter of the caller's own block. */
export function count(block: Float64Array, column: CounterColumn, amount = 1): void {
  block[column]! += amount;
}

/** Copies a block into names; columns are read one after the other, so sums across them may be off by a little. */
export function snapshot(block: Float64Array): CounterSnapshot {
  return byName((_, column) => block[column]!);
}

/** What was counted between two snapshots of the same block. */
export function difference(later: CounterSnapshot, earlier: CounterSnapshot): CounterSnapshot {
  return byName((name) => later[name] - earlier[name]);
}

function byName(value: (name: CounterName, column: CounterColumn) => number): CounterSnapshot {
  return Object.fromEntries(COLUMNS.map(([name, column]) => [name, value(name, column)])) as CounterSnapshot;
}
