import {
  availEventOffset,
  usedEventOffset,
  VRING_AVAIL,
  VRING_AVAIL_F_NO_INTERRUPT,
  VRING_USED,
  VRING_USED_F_NO_NOTIFY,
} from "../layout/virtio-ring.js";
import { u16 } from "../memory/shared-memory.js";
import type { VringAreas } from "./vring-areas.js";

/**
 * When a peer is told: one place for both directions and both modes (VIRTIO 1.3, 2.7.7 and 2.7.10).
 *
 * Each pair mirrors the other: kickWanted/callWanted ask, armKicks/armCalls ask to be told, suppressKicks/suppressCalls
 * ask not to be. With EVENT_IDX suppression is simply an event index left behind, so suppress… does nothing then.
 * The asker has published its index and called fence() before; whoever arms looks at the ring once more after it.
 */

/**
 * Decides whether moving an index from `oldIdx` to `newIdx` passed the entry after which the peer wants to be told.
 *
 * All three are free-running 16-bit counters; agrees with vring_need_event() of linux/virtio_ring.h.
 */
export function vringNeedEvent(eventIdx: number, newIdx: number, oldIdx: number): boolean {
  return u16(newIdx - eventIdx - 1) < u16(newIdx - oldIdx);
}

/** Whether the driver half is to kick after publishing avail.idx (2.7.10.1). */
export function kickWanted(ring: VringAreas, eventIdx: boolean, newIdx: number, oldIdx: number): boolean {
  if (eventIdx) {
    return vringNeedEvent(ring.usedMemory.observe16(ring.used + availEventOffset(ring.num)), newIdx, oldIdx);
  }
  return (ring.usedMemory.observe16(ring.used + VRING_USED.offsets.flags) & VRING_USED_F_NO_NOTIFY) === 0;
}

/** Whether the device half is to call after publishing used.idx (2.7.7.2). */
export function callWanted(ring: VringAreas, eventIdx: boolean, newIdx: number, oldIdx: number): boolean {
  if (eventIdx) {
    return vringNeedEvent(ring.availMemory.observe16(ring.avail + usedEventOffset(ring.num)), newIdx, oldIdx);
  }
  return (ring.availMemory.observe16(ring.avail + VRING_AVAIL.offsets.flags) & VRING_AVAIL_F_NO_INTERRUPT) === 0;
}

/** Device half: asks for a kick at the entry after `lastAvailIdx`; the caller then looks again. */
export function armKicks(ring: VringAreas, eventIdx: boolean, lastAvailIdx: number): void {
  if (eventIdx) ring.usedMemory.publish16(ring.used + availEventOffset(ring.num), lastAvailIdx);
  else ring.usedMemory.publish16(ring.used + VRING_USED.offsets.flags, 0);
  ring.usedMemory.fence();
}

/** Driver half: asks for a call at the entry after `lastUsedIdx`; the caller then looks again. */
export function armCalls(ring: VringAreas, eventIdx: boolean, lastUsedIdx: number): void {
  if (eventIdx) ring.availMemory.publish16(ring.avail + usedEventOffset(ring.num), lastUsedIdx);
  else ring.availMemory.publish16(ring.avail + VRING_AVAIL.offsets.flags, 0);
  ring.availMemory.fence();
}

/** Device half: asks not to be kicked while it is looking anyway. */
export function suppressKicks(ring: VringAreas, eventIdx: boolean): void {
  if (!eventIdx) ring.usedMemory.publish16(ring.used + VRING_USED.offsets.flags, VRING_USED_F_NO_NOTIFY);
}

/** Driver half: asks not to be called while it is looking anyway. */
export function suppressCalls(ring: VringAreas, eventIdx: boolean): void {
  if (!eventIdx) ring.availMemory.publish16(ring.avail + VRING_AVAIL.offsets.flags, VRING_AVAIL_F_NO_INTERRUPT);
}
