import { VRING_DESC } from "../layout/virtio-ring.js";
import type { Notifier } from "../memory/bell.js";
import type { GuestMemory } from "../memory/guest-memory.js";
import type { Parts } from "../memory/role.js";
import { type DriverRing, type Segment, writeDescriptor } from "../ring/driver-ring.js";
import { COUNTERS } from "../telemetry/counters.js";
import type { RequestSlot } from "./guest-layout.js";
import type { Workload } from "./workload.js";

/** What one queue of a driver is made of. */
export interface DriverQueueParts {
  readonly ring: DriverRing;
  readonly kick: Pick<Notifier, "signal">;
  readonly guest: GuestMemory;
  readonly workload: Workload;
  /** Buffers of this queue's requests; one for each that can be in flight. */
  readonly slots: readonly RequestSlot[];
  /** Number of the first of them among the slots of all queues, as the workload counts them. */
  readonly firstSlot: number;
  /** Whether each request goes through an indirect table. */
  readonly useTables: boolean;
  readonly counters: Float64Array;
}

/** A request that came back. */
export interface Finished {
  /** Whether the device says that it did it. */
  ok: boolean;
  /** When it was submitted. */
  submittedNs: number;
}

/** One queue of the driver: its ring, and which request is in which slot. */
export class DriverQueue {
  readonly ring: DriverRing;
  readonly state = {
    /** Slots without a request. */
    freeSlots: 0,
  };
  readonly #parts: DriverQueueParts;
  /** Slots without a request, as a stack. */
  readonly #free: Int32Array;
  /** By descriptor head: the slot of the request. */
  readonly #slotOfHead: Int32Array;
  /** By slot: number of the request, and when it was submitted. */
  readonly #numbers: Float64Array;
  readonly #times: Float64Array;
  readonly #finished: Finished = { ok: true, submittedNs: 0 };

  constructor(parts: DriverQueueParts) {
    const depth = parts.slots.length;
    this.ring = parts.ring;
    this.#parts = parts;
    this.#free = Int32Array.from({ length: depth }, (_, slot) => depth - 1 - slot);
    this.#slotOfHead = new Int32Array(parts.ring.areas.num);
    this.#numbers = new Float64Array(depth);
    this.#times = new Float64Array(depth);
    this.state.freeSlots = depth;
  }

  /** Offers request `number`; false when there is no slot, or no room for its chain. */
  offer(number: number, timeNs: number): boolean {
    const { workload, useTables, firstSlot } = this.#parts;
    const { state, ring } = this;
    if (state.freeSlots === 0 || ring.state.freeCount < (useTables ? 1 : workload.chainLength)) return false;
    const slot = this.#free[state.freeSlots - 1]!;
    const chain = workload.prepare(number, firstSlot + slot);
    const head = useTables ? this.#offerTable(slot, chain) : ring.addChain(chain);
    state.freeSlots -= 1;
    this.#slotOfHead[head] = slot;
    this.#numbers[slot] = number;
    this.#times[slot] = timeNs;
    return true;
  }

  /** Makes what was offered visible, and kicks if the device asked for it. */
  publish(): void {
    if (!this.ring.publishAvail()) return;
    this.#parts.counters[COUNTERS.kicks]! += 1;
    this.#parts.kick.signal();
  }

  /** Takes the next used chain and judges it; undefined when there is none. Throws PeerFault as takeUsed() does. */
  finish(): Finished | undefined {
    const { ring, state } = this;
    const { workload, firstSlot, counters } = this.#parts;
    if (!ring.takeUsed()) return undefined;
    const slot = this.#slotOfHead[ring.used.id]!;
    this.#finished.ok = workload.finish(this.#numbers[slot]!, firstSlot + slot, ring.used.len);
    this.#finished.submittedNs = this.#times[slot]!;
    this.#free[state.freeSlots] = slot;
    state.freeSlots += 1;
    counters[COUNTERS.requests]! += 1;
    return this.#finished;
  }

  /** All that outlives a step. */
  parts(): Parts[] {
    return [
      this.ring.parts(),
      { state: this.state, tables: [this.#free, this.#slotOfHead, this.#numbers, this.#times] },
    ];
  }

  #offerTable(slot: number, chain: readonly Segment[]): number {
    const { guest, slots } = this.#parts;
    const { table } = slots[slot]!;
    const place = guest.locate(table, chain.length * VRING_DESC.size)!;
    for (let i = 0; i < chain.length; i++) {
      writeDescriptor(place.memory, place.offset + i * VRING_DESC.size, chain[i]!, i + 1 < chain.length, i + 1);
    }
    return this.ring.addIndirect(table, chain.length);
  }
}
