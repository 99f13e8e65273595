import type { AtTranslateHook, Leaf } from "./discipline.js";
import { DIRTY_RING_RESERVE, type KvmDirtyRing } from "./kvm-dirty-ring.js";
import type { KvmSlot } from "./kvm-slot.js";

/** The VM behind a vCPU, as far as its writes need it. */
export interface KvmVcpuHost {
  slotOf(page: number): KvmSlot | undefined;
  /** Notes the first write to a page since it was protected. */
  markDirty(slot: KvmSlot, offset: number, vcpu: KvmVcpu): void;
  /** KVM_RUN came back with KVM_EXIT_DIRTY_RING_FULL. */
  ringFull(vcpu: KvmVcpu): void;
}

/**
 * A vCPU: its first write to a protected page is noticed, the following ones cost nothing (specification 5.1).
 *
 * Without PML the first write is a fault. With PML the CPU notes the page in a buffer of its own, which nobody sees
 * until it is full or the vCPU leaves the guest: so whoever harvests last has to kick every vCPU first.
 */
export class KvmVcpu implements AtTranslateHook {
  readonly discipline = "mark-at-translate";
  readonly index: number;
  readonly ring: KvmDirtyRing | undefined;
  readonly counters = { faults: 0, pmlFlushes: 0, ringFullExits: 0 };
  readonly #host: KvmVcpuHost;
  readonly #pml: { readonly slot: KvmSlot; readonly offset: number }[] | undefined;

  constructor(index: number, host: KvmVcpuHost, options: { readonly ring?: KvmDirtyRing; readonly pml: boolean }) {
    this.index = index;
    this.ring = options.ring;
    this.#host = host;
    this.#pml = options.pml ? [] : undefined;
  }

  walkForWrite(page: number): Leaf | undefined {
    const slot = this.#host.slotOf(page);
    if (slot === undefined) return undefined;
    const offset = page - slot.firstPage;
    if (!slot.isWritable(offset)) this.#firstWrite(slot, offset);
    return { firstPage: page, pageCount: 1, gpaPage: page };
  }

  /** Enters the guest: false when it may not run until its ring was reset. */
  readonly enter = (): boolean => {
    if (this.ring?.softFull !== true) return true;
    this.leave();
    this.counters.ringFullExits += 1;
    this.#host.ringFull(this);
    return !this.ring.softFull;
  };

  /** Leaves the guest, as after a kick: what the CPU's buffer holds is there for everybody. */
  leave(): void {
    if (this.#pml === undefined || this.#pml.length === 0) return;
    this.counters.pmlFlushes += 1;
    for (const { slot, offset } of this.#pml.splice(0)) this.#host.markDirty(slot, offset, this);
  }

  #firstWrite(slot: KvmSlot, offset: number): void {
    slot.makeWritable(offset);
    if (this.#pml === undefined) {
      this.counters.faults += 1;
      this.#host.markDirty(slot, offset, this);
      return;
    }
    this.#pml.push({ slot, offset });
    if (this.#pml.length === DIRTY_RING_RESERVE.pml) this.leave();
  }
}
