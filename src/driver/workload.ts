import type { GuestMemory } from "../memory/guest-memory.js";
import type { Segment } from "../ring/driver-ring.js";
import type { RequestSlot } from "./guest-layout.js";

/**
 * What the driver asks of a device: a numbered sequence of requests, each a function of its number and the pass.
 *
 * prepare() fills a slot's buffers and names its segments, finish() judges what came back; both through guest memory.
 */
export interface Workload {
  /** For reports: "blk", "net", "null". */
  readonly name: string;
  /** Requests of one pass. */
  readonly requestCount: number;
  /** Descriptors of the longest chain. */
  readonly chainLength: number;
  /** Features of the device it wants, below bit 24. */
  readonly features: bigint;
  /** Begins a pass: the same requests, in another guise where a stale answer could pass for a fresh one. */
  begin(pass: number): void;
  /** Whether request `number` waits until all before it are complete. */
  isBarrier(number: number): boolean;
  /** Writes request `number` into `slot`; returns its chain. The array may be reused by the next call for the slot. */
  prepare(number: number, slot: number): readonly Segment[];
  /** Takes what came back for request `number`; false when the device said that it failed. */
  finish(number: number, slot: number, usedLength: number): boolean;
  /** What came back in this pass, to be compared with `expected`: the same bytes when all is well. */
  readonly received: Uint8Array;
  readonly expected: Uint8Array;
}

/** What every workload is given. */
export interface WorkloadContext {
  readonly guest: GuestMemory;
  /** Slots of all queues, one behind the other. */
  readonly slots: readonly RequestSlot[];
  /** Bytes of one request's data. */
  readonly requestBytes: number;
  /** Data segments of one request. */
  readonly segments: number;
  /** What is sent: a whole number of requests long, but for the last. */
  readonly input: Uint8Array;
  /** Whether to spoil each device-writable buffer before it is offered, so that a write which does not happen shows. */
  readonly poison?: boolean;
}

/** What a spoilt buffer holds. */
const POISON = 0xa5;

/** Spoils a device-writable buffer where the workload is asked to. */
export function poisonBuffer(context: WorkloadContext, address: number, bytes: number): void {
  if (context.poison === true) context.guest.copyIn(address, new Uint8Array(bytes).fill(POISON));
}

/** Cuts `bytes` at `address` into `count` segments, as equal as they come and none empty. */
export function cutSegments(address: number, bytes: number, count: number, deviceWritable: boolean): Segment[] {
  const wanted = Math.min(count, bytes);
  const edge = (i: number) => Math.floor((i * bytes) / wanted);
  return Array.from({ length: wanted }, (_, i) => ({
    address: address + edge(i),
    bytes: edge(i + 1) - edge(i),
    deviceWritable,
  }));
}
