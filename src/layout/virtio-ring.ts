/** Split virtqueues, as in linux/virtio_ring.h (VIRTIO 1.3, 2.7). Offsets and sizes are bytes; little-endian. */

/** One entry of the descriptor table, and of an indirect table (VIRTIO 1.3, 2.7.5). */
export const VRING_DESC = { size: 16, offsets: { addr: 0, len: 8, flags: 12, next: 14 } } as const;

/** Head of the available ring; `ring` holds num u16 heads, then comes the used event (VIRTIO 1.3, 2.7.6). */
export const VRING_AVAIL = { size: 4, offsets: { flags: 0, idx: 2, ring: 4 } } as const;

/** Head of the used ring; `ring` holds num used elements, then comes the avail event (VIRTIO 1.3, 2.7.8). */
export const VRING_USED = { size: 4, offsets: { flags: 0, idx: 2, ring: 4 } } as const;

/** One entry of the used ring: the head of a chain and how many bytes of it were written (VIRTIO 1.3, 2.7.8). */
export const VRING_USED_ELEM = { size: 8, offsets: { id: 0, len: 4 } } as const;

/** Flag of a descriptor: the chain goes on at `next`. */
export const VRING_DESC_F_NEXT = 1;
/** Flag of a descriptor: the device writes the buffer; without it, it reads. */
export const VRING_DESC_F_WRITE = 2;
/** Flag of a descriptor: the buffer is a table of descriptors. */
export const VRING_DESC_F_INDIRECT = 4;

/** Flag of the available ring: the driver asks for no call. Void once EVENT_IDX is agreed (VIRTIO 1.3, 2.7.7). */
export const VRING_AVAIL_F_NO_INTERRUPT = 1;
/** Flag of the used ring: the device asks for no kick. Void once EVENT_IDX is agreed (VIRTIO 1.3, 2.7.10). */
export const VRING_USED_F_NO_NOTIFY = 1;

/** Feature bit number: descriptors may be indirect. */
export const VIRTIO_RING_F_INDIRECT_DESC = 28;
/** Feature bit number: event words say when to notify, not flags. */
export const VIRTIO_RING_F_EVENT_IDX = 29;

/** Alignment of the descriptor table, in bytes (VIRTIO 1.3, 2.7). */
export const VRING_DESC_ALIGN_SIZE = 16;
/** Alignment of the available ring, in bytes (VIRTIO 1.3, 2.7). */
export const VRING_AVAIL_ALIGN_SIZE = 2;
/** Alignment of the used ring, in bytes (VIRTIO 1.3, 2.7); legacy devices ask for 4096. */
export const VRING_USED_ALIGN_SIZE = 4;

/** The largest ring, in descriptors (VIRTIO 1.3, 2.7); the headers have no name for it. */
export const QUEUE_SIZE_MAX = 32768;

const HEAD_BYTES = 2;
const EVENT_BYTES = 2;

/** Says whether a ring may have `num` descriptors: a power of two from 1 to 32768 (VIRTIO 1.3, 2.7). */
export function isQueueSize(num: number): boolean {
  return Number.isInteger(num) && num >= 1 && num <= QUEUE_SIZE_MAX && (num & (num - 1)) === 0;
}

/** Bytes of the descriptor table of a ring of `num`, which is a queue size here and in the functions below. */
export function descTableBytes(num: number): number {
  return VRING_DESC.size * num;
}

/** Bytes of the available ring, the used event included whether or not EVENT_IDX is agreed. */
export function availRingBytes(num: number): number {
  return usedEventOffset(num) + EVENT_BYTES;
}

/** Bytes of the used ring, the avail event included whether or not EVENT_IDX is agreed. */
export function usedRingBytes(num: number): number {
  return availEventOffset(num) + EVENT_BYTES;
}

/** Offset of the used event (u16, written by the driver) from the start of the available ring. */
export function usedEventOffset(num: number): number {
  return VRING_AVAIL.offsets.ring + HEAD_BYTES * num;
}

/** Offset of the avail event (u16, written by the device) from the start of the used ring. */
export function availEventOffset(num: number): number {
  return VRING_USED.offsets.ring + VRING_USED_ELEM.size * num;
}
