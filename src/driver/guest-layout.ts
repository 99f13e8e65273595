import { VRING_DESC } from "../layout/virtio-ring.js";
import { PAGE_BYTES } from "../memory/address.js";
import { ConfigError } from "../memory/config-error.js";
import { vringBytes, vringOffsets } from "../ring/vring-areas.js";

/** What the driver needs in guest RAM for one queue. */
export interface LayoutRequest {
  readonly queues: number;
  readonly num: number;
  /** Requests in flight at most. */
  readonly depth: number;
  /** Descriptors of the longest chain. */
  readonly chainLength: number;
  /** Bytes of each of a request's two data buffers, device-readable and device-writable. */
  readonly dataBytes: number;
}

/** Where one request's buffers are, as guest physical addresses. */
export interface RequestSlot {
  /** 64 bytes for header and status. */
  readonly meta: number;
  /** Indirect table of `chainLength` descriptors. */
  readonly table: number;
  /** Device-readable data, whole pages. */
  readonly out: number;
  /** Device-writable data, whole pages. */
  readonly in: number;
}

/** Where one queue's ring and requests are. */
export interface QueueLayout {
  readonly desc: number;
  readonly avail: number;
  readonly used: number;
  readonly slots: readonly RequestSlot[];
}

/** Bytes for the header and the status of a request; a slot's own line, so that none shares it. */
export const META_BYTES = 64;

/**
 * Places rings and request buffers in guest RAM: rings low, buffers of odd requests above the hole where there is one.
 *
 * Throws ConfigError when guest RAM is too small.
 */
export function layOutGuest(regions: readonly { gpa: number; bytes: number }[], request: LayoutRequest): QueueLayout[] {
  const space = regions.map(({ gpa, bytes }) => ({ next: gpa, end: gpa + bytes }));
  // The first page stays free, so that a stray null address hits nothing of ours.
  space[0]!.next += PAGE_BYTES;
  const take = (bytes: number, preferred: number): number => {
    const size = Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
    const order = [preferred, ...space.keys()];
    const found = order.find((i) => space[i]!.next + size <= space[i]!.end);
    if (found === undefined) throw tooSmall(regions, request);
    const at = space[found]!.next;
    space[found]!.next += size;
    return at;
  };
  const high = regions.length - 1;
  return Array.from({ length: request.queues }, () => {
    const ring = vringOffsets(request.num, take(vringBytes(request.num), 0));
    const meta = take(request.depth * META_BYTES, 0);
    const tableBytes = request.chainLength * VRING_DESC.size;
    const tables = take(request.depth * tableBytes, 0);
    const slots = Array.from({ length: request.depth }, (_, i) => ({
      meta: meta + i * META_BYTES,
      table: tables + i * tableBytes,
      out: take(request.dataBytes, i % 2 === 0 ? 0 : high),
      in: take(request.dataBytes, i % 2 === 0 ? 0 : high),
    }));
    return { ...ring, slots };
  });
}

function tooSmall(regions: readonly { bytes: number }[], request: LayoutRequest): ConfigError {
  const have = regions.reduce((sum, { bytes }) => sum + bytes, 0);
  const { queues, num, depth, dataBytes } = request;
  return new ConfigError(
    `guest RAM of ${have} bytes is too small for ${queues} queue(s) of ${num} entries ` +
      `and ${depth} requests of ${dataBytes} bytes`,
  );
}
