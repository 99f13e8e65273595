import { KVM_DIRTY_GFN, KVM_DIRTY_GFN_F_DIRTY, KVM_DIRTY_GFN_F_RESET } from "../layout/kvm.js";
import { highHalf, joinHalves, lowHalf } from "../memory/address.js";
import { assert } from "../memory/assert.js";
import type { SharedMemory } from "../memory/shared-memory.js";

const GFN = KVM_DIRTY_GFN.offsets;

/** Entries that are kept free so that a vCPU on its way out finds room. */
export const DIRTY_RING_RESERVE = { entries: 64, pml: 512 } as const;
/** The most entries a ring may have. */
export const DIRTY_RING_ENTRIES_MAX = 65_536;

/** Is told a page of a slot, by its offset there. */
export type GfnVisitor = (slot: number, offset: number) => void;

/**
 * The kernel's half of a vCPU's dirty ring: fills entries, and has harvested ones back (specification 5.2).
 *
 *     empty 00 ──push──► dirty 01 ──harvest──► harvested 1x ──reset──► empty 00
 *
 * Its two indices are its own: what the other side can write is the entries, and of those it believes nothing.
 */
export class KvmDirtyRing {
  readonly memory: SharedMemory;
  readonly entryCount: number;
  readonly #softLimit: number;
  #dirtyIndex = 0;
  #resetIndex = 0;

  /** Lies in all of `memory`, whose size is 16 bytes times a power of two. */
  constructor(memory: SharedMemory) {
    this.memory = memory;
    this.entryCount = memory.byteLength / KVM_DIRTY_GFN.size;
    this.#softLimit = this.entryCount - DIRTY_RING_RESERVE.entries - DIRTY_RING_RESERVE.pml;
  }

  /** Entries that are not empty. */
  get used(): number {
    return this.#dirtyIndex - this.#resetIndex;
  }

  /** Whether the vCPU has to stop until a reset. */
  get softFull(): boolean {
    return this.used >= this.#softLimit;
  }

  /** Fills the next entry. The reserve is for what a vCPU does until it stops; a full ring is a mistake of ours. */
  push(slot: number, offset: number): void {
    assert(this.used < this.entryCount, "a vCPU stops before its dirty ring is full");
    const at = this.#at(this.#dirtyIndex);
    this.memory.write32(at + GFN.slot, slot);
    this.memory.write32(at + GFN.offset, lowHalf(offset));
    this.memory.write32(at + GFN.offset + 4, highHalf(offset));
    this.memory.publish16(at + GFN.flags, KVM_DIRTY_GFN_F_DIRTY);
    this.#dirtyIndex += 1;
  }

  /** Empties the entries that were harvested, in their order, up to the first that was not; returns how many. */
  reset(visit: GfnVisitor): number {
    let count = 0;
    for (; this.#resetIndex < this.#dirtyIndex; count++) {
      const at = this.#at(this.#resetIndex);
      if ((this.memory.observe16(at + GFN.flags) & KVM_DIRTY_GFN_F_RESET) === 0) break;
      visit(this.memory.read32(at + GFN.slot), offsetAt(this.memory, at));
      this.memory.publish16(at + GFN.flags, 0);
      this.#resetIndex += 1;
    }
    return count;
  }

  #at(index: number): number {
    return (index % this.entryCount) * KVM_DIRTY_GFN.size;
  }
}

/** The user's half of a dirty ring: harvests entries strictly in their order. */
export class KvmDirtyRingReader {
  readonly #memory: SharedMemory;
  readonly #entryCount: number;
  #fetchIndex = 0;

  constructor(memory: SharedMemory) {
    this.#memory = memory;
    this.#entryCount = memory.byteLength / KVM_DIRTY_GFN.size;
  }

  /** Tells of each entry that is dirty, and marks it harvested; returns how many there were. */
  harvest(visit: GfnVisitor): number {
    let count = 0;
    // As many as there are, at most: a vCPU that goes on meanwhile does not keep it here.
    for (; count < this.#entryCount; count++) {
      const at = (this.#fetchIndex % this.#entryCount) * KVM_DIRTY_GFN.size;
      if (this.#memory.observe16(at + GFN.flags) !== KVM_DIRTY_GFN_F_DIRTY) break;
      visit(this.#memory.read32(at + GFN.slot), offsetAt(this.#memory, at));
      this.#memory.publish16(at + GFN.flags, KVM_DIRTY_GFN_F_RESET);
      this.#fetchIndex += 1;
    }
    return count;
  }
}

/** NaN for an offset of 2^53 or more, which no slot has. */
function offsetAt(memory: SharedMemory, at: number): number {
  return joinHalves(memory.read32(at + GFN.offset), memory.read32(at + GFN.offset + 4));
}
