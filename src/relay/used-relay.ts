import { VRING_USED, VRING_USED_ELEM } from "../layout/virtio-ring.js";
import type { Notifier } from "../memory/bell.js";
import type { GuestMemory } from "../memory/guest-memory.js";
import type { Parts } from "../memory/role.js";
import { type SharedMemory, u16 } from "../memory/shared-memory.js";
import { Chain } from "../ring/chain.js";
import { callWanted } from "../ring/notification.js";
import { PeerFault } from "../ring/peer-fault.js";
import type { RingState } from "../ring/ring-state.js";
import type { VringAreas } from "../ring/vring-areas.js";
import { COUNTERS } from "../telemetry/counters.js";
import type { DataPath } from "./data-path.js";
import type { GuestMarks } from "./guest-marks.js";

/** What a used-ring relay is made of. */
export interface UsedRelayParts {
  /** The guest's ring; the device reads its descriptors and available ring itself. */
  readonly guest: VringAreas;
  /** The used ring that the device writes. */
  readonly mediated: { readonly memory: SharedMemory; readonly used: number };
  readonly guestMemory: GuestMemory;
  readonly marks: GuestMarks;
  readonly indirect: boolean;
  readonly guestCall: Pick<Notifier, "signal">;
  readonly counters: Float64Array;
  readonly start: RingState;
}

/**
 * Relays the used ring and nothing else, marking what was written on the way (DPDK: rte_vdpa_relay_vring_used).
 *
 * It never saw the chains being offered, so it walks the guest's descriptors when they come back: a guest that changes
 * them in flight harms its own log and nothing else. The device calls here however the guest has set its flags, since
 * those speak of the guest's used ring; and the guest always kicks, since it cannot see the device's suppression.
 */
export class UsedRelay implements DataPath {
  readonly state = {
    /** Next entry to take from the mediated used ring and to fill in the guest's; free-running. */
    usedIdx: 0,
  };
  readonly #parts: UsedRelayParts;
  readonly #chain: Chain;

  constructor(parts: UsedRelayParts) {
    this.#parts = parts;
    this.#chain = new Chain(parts.guest.num, parts.indirect);
    this.state.usedIdx = parts.start.usedIdx;
  }

  step(): boolean {
    return this.drain();
  }

  /** Takes used entries, marks their chains, returns them to the guest; then calls once, if the guest asks for it. */
  drain(): boolean {
    const { state } = this;
    const { guest, marks, guestCall, counters } = this.#parts;
    const waiting = this.#observeUsed();
    if (waiting === 0) return false;
    const oldIdx = state.usedIdx;
    for (let i = 0; i < waiting; i++) this.#relayEntry();
    guest.usedMemory.publish16(guest.used + VRING_USED.offsets.idx, state.usedIdx);
    guest.usedMemory.fence();
    marks.usedEntries(oldIdx, state.usedIdx);
    counters[COUNTERS.usedBatches]! += 1;
    if (callWanted(guest, false, state.usedIdx, oldIdx)) {
      counters[COUNTERS.relayCalls]! += 1;
      guestCall.signal();
    }
    return true;
  }

  /** The device always calls, so nothing needs arming; looks again all the same. */
  arm(): boolean {
    return this.#observeUsed() === 0;
  }

  stop(base: RingState): RingState {
    return base;
  }

  /** It never saw what the device was given, so every page of the guest may have changed. */
  abandon(): void {
    const { guestMemory, marks } = this.#parts;
    for (const { gpa, bytes } of guestMemory.regions) marks.log?.markRange(gpa, bytes);
  }

  parts(): Parts {
    return { state: this.state, tables: [] };
  }

  #observeUsed(): number {
    const { guest, mediated } = this.#parts;
    const waiting = u16(mediated.memory.observe16(mediated.used + VRING_USED.offsets.idx) - this.state.usedIdx);
    if (waiting > guest.num)
      throw new PeerFault("used-idx-overrun", `${waiting} entries used in a queue of ${guest.num}`);
    return waiting;
  }

  #relayEntry(): void {
    const { state } = this;
    const { guest, mediated, counters } = this.#parts;
    const entry = VRING_USED.offsets.ring + (state.usedIdx & (guest.num - 1)) * VRING_USED_ELEM.size;
    const id = mediated.memory.read32(mediated.used + entry) >>> 0;
    const length = mediated.memory.read32(mediated.used + entry + VRING_USED_ELEM.offsets.len) >>> 0;
    if (id >= guest.num) throw new PeerFault("used-id-unknown", `head ${id} in a queue of ${guest.num}`);
    if (this.#parts.marks.log !== undefined) this.#markChain(id, length);
    guest.usedMemory.write32(guest.used + entry, id);
    guest.usedMemory.write32(guest.used + entry + VRING_USED_ELEM.offsets.len, length);
    state.usedIdx = u16(state.usedIdx + 1);
    counters[COUNTERS.chains]! += 1;
  }

  #markChain(head: number, length: number): void {
    const { guest, guestMemory, marks, counters } = this.#parts;
    const chain = this.#chain;
    // What lies outside guest memory the device could not reach either, and returned the chain unused: no fault here.
    chain.load(guest, head, (address, target) => (guestMemory.copyOut(address, target) ? "ok" : "miss"));
    let left = marks.exact ? length : Number.POSITIVE_INFINITY;
    for (let i = chain.readableCount; i < chain.count && left > 0; i++) {
      const bytes = Math.min(chain.lengths[i]!, left);
      left -= bytes;
      counters[COUNTERS.dirtyMarks]! += this.#mark(chain.addresses[i]!, bytes);
    }
    counters[COUNTERS.descriptors]! += chain.count;
  }

  #mark(address: number, bytes: number): number {
    const { log } = this.#parts.marks;
    const end = Math.min(address + bytes, this.#parts.guestMemory.end);
    // Not >=: an address of 2^53 or above is NaN.
    return log !== undefined && address < end ? log.markRange(address, end - address) : 0;
  }
}
