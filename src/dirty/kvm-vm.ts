import { type ErrnoResult, errno } from "../layout/errno.js";
import {
  KVM_DIRTY_GFN,
  KVM_DIRTY_LOG_INITIALLY_SET,
  KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE,
  KVM_MEM_LOG_DIRTY_PAGES,
} from "../layout/kvm.js";
import { PAGE_BYTES } from "../memory/address.js";
import { assert } from "../memory/assert.js";
import { RealMemory } from "../memory/real-memory.js";
import type { TranslationFlush } from "./discipline.js";
import { DIRTY_RING_ENTRIES_MAX, DIRTY_RING_RESERVE, KvmDirtyRing } from "./kvm-dirty-ring.js";
import { KvmSlot, type KvmSlotShape } from "./kvm-slot.js";
import { KvmVcpu, type KvmVcpuHost } from "./kvm-vcpu.js";

/**
 * KVM's dirty tracking: memory slots, vCPUs, and calls that say what they wrote (specification 5.1, 5.2).
 *
 * A page that is reported is protected again, and every TLB is flushed, before the call returns. Calls answer as the
 * ioctls do: 0, a count, or a negative error number.
 */
export class KvmVm implements KvmVcpuHost {
  readonly counters = { marks: 0, rmw: 0, tlbFlushes: 0, protectedPages: 0, gets: 0, clears: 0, resets: 0, kicks: 0 };
  readonly vcpus: KvmVcpu[] = [];
  /** What the user does when a vCPU comes back because its ring is full. */
  onRingFull: ((vcpu: KvmVcpu) => void) | undefined;
  readonly #slots = new Map<number, KvmSlot>();
  readonly #tlbs: TranslationFlush[] = [];
  readonly #pml: boolean;
  #manual = 0;
  #ringBytes = 0;
  #ringWithBitmap = false;

  /** `pml`: the CPU notes written pages in a buffer instead of faulting. */
  constructor(options: { readonly pml?: boolean } = {}) {
    this.#pml = options.pml ?? false;
  }

  /** Slots in the order in which they were made. */
  get slots(): readonly KvmSlot[] {
    return [...this.#slots.values()];
  }

  /** Whether clearing is a call of its own. */
  get manualProtect(): boolean {
    return (this.#manual & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE) !== 0;
  }

  /** Whether pages are reported through rings. */
  get hasRings(): boolean {
    return this.#ringBytes > 0;
  }

  /** Whether rings have a bitmap beside them for what no vCPU wrote. */
  get hasBackupBitmap(): boolean {
    return this.#ringWithBitmap;
  }

  /** KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2; EINVAL for flags it does not know, or INITIALLY_SET alone. */
  enableManualProtect(flags: number): ErrnoResult {
    const known = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET;
    const alone = (flags & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE) === 0;
    if ((flags & ~known) !== 0 || (alone && flags !== 0)) return errno("EINVAL");
    this.#manual = flags;
    return 0;
  }

  /**
   * KVM_CAP_DIRTY_LOG_RING with `bytes` for each vCPU, once and before the first.
   *
   * EINVAL for no power of two, less than a page or than the reserve, a second time or too late; E2BIG above 1 MiB.
   */
  enableDirtyRing(bytes: number): ErrnoResult {
    const reserve = (DIRTY_RING_RESERVE.entries + DIRTY_RING_RESERVE.pml) * KVM_DIRTY_GFN.size;
    if (!Number.isSafeInteger(Math.log2(bytes)) || bytes < PAGE_BYTES || bytes <= reserve) return errno("EINVAL");
    if (bytes > DIRTY_RING_ENTRIES_MAX * KVM_DIRTY_GFN.size) return errno("E2BIG");
    if (this.hasRings || this.vcpus.length > 0) return errno("EINVAL");
    this.#ringBytes = bytes;
    return 0;
  }

  /** KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP; EINVAL without rings, or when there are slots. */
  enableRingWithBitmap(): ErrnoResult {
    if (!this.hasRings || this.#slots.size > 0) return errno("EINVAL");
    this.#ringWithBitmap = true;
    return 0;
  }

  /** KVM_SET_USER_MEMORY_REGION: adds a slot, or changes whether it logs; EEXIST over another, EINVAL for a move. */
  setMemoryRegion(shape: KvmSlotShape, flags = 0): ErrnoResult {
    const found = this.#slots.get(shape.id);
    if (found === undefined) {
      const end = shape.firstPage + shape.pageCount;
      const taken = this.slots.some(
        (other) => shape.firstPage < other.firstPage + other.pageCount && other.firstPage < end,
      );
      if (taken) return errno("EEXIST");
    } else if (found.firstPage !== shape.firstPage || found.pageCount !== shape.pageCount) {
      return errno("EINVAL");
    }
    const slot = found ?? new KvmSlot(shape);
    this.#slots.set(shape.id, slot);
    this.#setLogging(slot, (flags & KVM_MEM_LOG_DIRTY_PAGES) !== 0);
    return 0;
  }

  /** KVM_CREATE_VCPU. */
  createVcpu(): KvmVcpu {
    const ring = this.hasRings ? new KvmDirtyRing(RealMemory.allocate(this.#ringBytes)) : undefined;
    const vcpu = new KvmVcpu(this.vcpus.length, this, { ...(ring === undefined ? {} : { ring }), pml: this.#pml });
    this.vcpus.push(vcpu);
    return vcpu;
  }

  /** Flushes this cache of translations too, whenever pages are protected. */
  addTlb(tlb: TranslationFlush): void {
    this.#tlbs.push(tlb);
  }

  /**
   * KVM_GET_DIRTY_LOG: overwrites `bitmap`, of the slot's pages; clears and protects them unless clearing is manual.
   *
   * ENXIO where pages go into rings only, ENOENT for a slot that does not log.
   */
  getDirtyLog(slotId: number, bitmap: Uint32Array): ErrnoResult {
    const slot = this.#logged(slotId);
    if (typeof slot === "number") return slot;
    this.counters.gets += 1;
    for (const vcpu of this.vcpus) vcpu.leave();
    bitmap.fill(0);
    const log = slot.dirty!;
    if (this.manualProtect) {
      for (let word = 0; word * 32 < slot.pageCount; word++) bitmap[word] = log.memory.read32(word * 4);
      return 0;
    }
    log.take(bitmap);
    this.#protect(slot, 0, bitmap, Math.ceil(slot.pageCount / 32));
    return 0;
  }

  /**
   * KVM_CLEAR_DIRTY_LOG: clears and protects those of `pageCount` pages from `firstPage` on that are set in `bitmap`.
   *
   * EINVAL unless both are multiples of 64, the count also where it reaches the slot's end; ENXIO and ENOENT as above.
   */
  clearDirtyLog(slotId: number, firstPage: number, pageCount: number, bitmap: Uint32Array): ErrnoResult {
    const slot = this.#logged(slotId);
    if (typeof slot === "number") return slot;
    const left = slot.pageCount - firstPage;
    const aligned = firstPage % 64 === 0 && (pageCount % 64 === 0 || pageCount === left);
    if (firstPage < 0 || pageCount < 0 || pageCount > left || !aligned) return errno("EINVAL");
    this.counters.clears += 1;
    const words = Math.ceil(pageCount / 32);
    for (let i = 0; i < words; i++) {
      if (bitmap[i] !== 0) clearBits(slot, firstPage / 32 + i, bitmap[i]!);
    }
    this.#protect(slot, firstPage / 32, bitmap, words);
    return 0;
  }

  /** KVM_RESET_DIRTY_RINGS: protects the pages of all harvested entries again; returns how many entries there were. */
  resetDirtyRings(): number {
    let count = 0;
    let wasWritable = false;
    for (const { ring } of this.vcpus) {
      count +=
        ring?.reset((id, offset) => {
          const slot = this.#slots.get(id);
          // The user can write its entries: one that names no page protects none.
          if (slot === undefined || !(offset < slot.pageCount) || !slot.protect(offset)) return;
          this.counters.protectedPages += 1;
          wasWritable = true;
        }) ?? 0;
    }
    this.counters.resets += 1;
    if (wasWritable) this.#flushTlbs();
    return count;
  }

  /** Kicks every vCPU out of the guest, and waits for it. */
  kickVcpus(): void {
    this.counters.kicks += this.vcpus.length;
    for (const vcpu of this.vcpus) vcpu.leave();
  }

  /** Marks pages that were written by no vCPU, by guest page; ENXIO where only rings could take them. */
  markWithoutVcpu(page: number, pageCount = 1): ErrnoResult {
    if (this.hasRings && !this.#ringWithBitmap) return errno("ENXIO");
    for (let at = page; at < page + pageCount; at++) {
      const slot = this.slotOf(at);
      if (slot?.dirty !== undefined) this.#setBit(slot, at - slot.firstPage);
    }
    return 0;
  }

  slotOf(page: number): KvmSlot | undefined {
    for (const slot of this.#slots.values()) {
      if (page >= slot.firstPage && page < slot.firstPage + slot.pageCount) return slot;
    }
    return undefined;
  }

  markDirty(slot: KvmSlot, offset: number, vcpu: KvmVcpu): void {
    if (!slot.logsDirtyPages) return;
    this.counters.marks += 1;
    if (vcpu.ring === undefined) this.#setBit(slot, offset);
    else vcpu.ring.push(slot.id, offset);
  }

  ringFull(vcpu: KvmVcpu): void {
    this.onRingFull?.(vcpu);
  }

  /** Bytes of bitmaps and rings in the kernel. */
  footprintBytes(): number {
    return this.slots.reduce((sum, slot) => sum + slot.bitmapBytes, this.#ringBytes * this.vcpus.length);
  }

  #setLogging(slot: KvmSlot, logs: boolean): void {
    if (logs === slot.logsDirtyPages) return;
    if (!logs) {
      // What a CPU's buffer still holds is of no interest any more, and must not be found by the next one who asks.
      for (const vcpu of this.vcpus) vcpu.leave();
      slot.stopLog();
      return;
    }
    const initiallySet = (this.#manual & KVM_DIRTY_LOG_INITIALLY_SET) !== 0;
    slot.startLog(!this.hasRings || this.#ringWithBitmap, initiallySet);
    if (!initiallySet) this.counters.protectedPages += slot.pageCount;
    this.#flushTlbs();
  }

  #logged(slotId: number): KvmSlot | ErrnoResult {
    if (this.hasRings && !this.#ringWithBitmap) return errno("ENXIO");
    const slot = this.#slots.get(slotId);
    return slot?.dirty === undefined ? errno("ENOENT") : slot;
  }

  #protect(slot: KvmSlot, firstWord: number, bits: Uint32Array, words: number): void {
    let pages = 0;
    for (let i = 0; i < words; i++) pages += slot.protectWord(firstWord + i, bits[i]!);
    this.counters.protectedPages += pages;
    // A page that no TLB holds as writable needs none; the others are written unseen until this is done.
    if (pages > 0) this.#flushTlbs();
  }

  #flushTlbs(): void {
    this.counters.tlbFlushes += 1;
    for (const tlb of this.#tlbs) tlb.flush();
  }

  #setBit(slot: KvmSlot, offset: number): void {
    assert(offset >= 0 && offset < slot.pageCount, "a marked page lies in its slot");
    this.counters.rmw += 1;
    slot.dirty!.markWord(offset >>> 5, 1 << (offset & 31));
  }
}

/** Takes the word and puts back what was not asked for: a mark that comes between is kept by either half. */
function clearBits(slot: KvmSlot, word: number, bits: number): void {
  const log = slot.dirty!;
  const rest = log.memory.takeBits32(log.offset + word * 4) & ~bits;
  if (rest !== 0) log.markWord(word, rest);
}
