import { type ErrnoResult, errno } from "../layout/errno.js";
import { KVM_DIRTY_GFN } from "../layout/kvm.js";
import { PAGE_BYTES } from "../memory/address.js";
import { kvmCounts, startLogging, stopLogging } from "./kvm-bitmap-tracker.js";
import { KvmDirtyRingReader } from "./kvm-dirty-ring.js";
import type { KvmVm } from "./kvm-vm.js";
import { PendingPages, pageRequest } from "./page-request.js";
import { type AddressRange, newCounters, type ReportOptions, type Tracker, type TrackerCounters } from "./tracker.js";

/** How a user of dirty rings goes about it. */
export interface KvmRingOptions {
  readonly name?: string;
  /**
   * "reap", as QEMU: the thread of a vCPU whose ring is full empties it and goes on. "wait": the vCPU stands still
   * until the next report.
   */
  readonly whenFull?: "reap" | "wait";
}

/**
 * The vCPUs' writes by KVM's dirty rings, as QEMU reaps them (specification 5.2).
 *
 *     kick ──► harvest every ring ──► reset: protect, flush ──► report ──► copy
 *
 * Copying comes after the reset: a page that is written after its copy is written through a fault again. The slots'
 * bitmaps in which pages wait for a report are the user's own, as in QEMU.
 */
export class KvmRingTracker implements Tracker {
  readonly name: string;
  readonly space = "gpa";
  readonly discipline = "mark-at-translate";
  /** Entries that a reset did not have back although they were harvested, or had back and were not: none. */
  refused = 0;
  readonly #vm: KvmVm;
  readonly #whenFull: "reap" | "wait";
  readonly #counters = newCounters();
  #readers: KvmDirtyRingReader[] = [];
  #pending: { readonly slot: number; readonly pages: PendingPages }[] = [];
  #settled = false;

  constructor(vm: KvmVm, options: KvmRingOptions = {}) {
    this.name = options.name ?? "kvm-ring";
    this.#vm = vm;
    this.#whenFull = options.whenFull ?? "reap";
  }

  get counters(): TrackerCounters {
    return Object.assign(this.#counters, kvmCounts(this.#vm));
  }

  /** EINVAL where KVM has no rings. */
  start(ranges: readonly AddressRange[], _pageHint: number): ErrnoResult {
    if (!this.#vm.hasRings) return errno("EINVAL");
    if (this.#readers.length < this.#vm.vcpus.length) {
      this.#readers = this.#vm.vcpus.map(({ ring }) => new KvmDirtyRingReader(ring!.memory));
    }
    // What the rings still hold is of an earlier migration.
    this.#vm.kickVcpus();
    this.#reap();
    const slots = startLogging(this.#vm, ranges);
    this.#pending = slots.map((slot) => ({
      slot: slot.id,
      pages: new PendingPages(slot.firstPage, slot.pageCount),
    }));
    this.#settled = false;
    this.#vm.onRingFull = this.#whenFull === "reap" ? () => this.#reap() : undefined;
    return PAGE_BYTES;
  }

  stop(): ErrnoResult {
    stopLogging(this.#vm);
    this.#vm.onRingFull = undefined;
    this.#pending = [];
    return 0;
  }

  report(
    address: number,
    bytes: number,
    pageBytes: number,
    bitmap: Uint32Array,
    options: ReportOptions = {},
  ): ErrnoResult {
    const request = pageRequest(address, bytes, pageBytes);
    if (typeof request === "number") return request;
    if (this.#pending.length === 0) return errno("EINVAL");
    this.#counters.harvests += 1;
    this.#vm.kickVcpus();
    this.#reap();
    if (this.#settled && this.#vm.hasBackupBitmap) {
      const result = this.#readBackup();
      if (result < 0) return result;
    }
    for (const { pages } of this.#pending) {
      this.#counters.pagesReported += pages.hand(request, bitmap, options.noClear);
    }
    return 0;
  }

  /** From now on what was written without a vCPU is asked for as well: last of all, as KVM wants it. */
  settle(): ErrnoResult {
    this.#settled = true;
    return 0;
  }

  footprintBytes(): number {
    return this.#pending.reduce((sum, { pages }) => sum + pages.words.byteLength, this.#vm.footprintBytes());
  }

  /** Harvests every ring, then has KVM protect those pages: from then on a write to them is noticed again. */
  #reap(): void {
    const harvested = this.#harvest();
    const reset = this.#vm.resetDirtyRings();
    this.refused += Math.abs(harvested - reset);
  }

  #harvest(): number {
    let count = 0;
    for (const reader of this.#readers) {
      count += reader.harvest((slot, offset) => {
        const found = this.#pending.find((pending) => pending.slot === slot);
        found?.pages.add(found.pages.firstPage + offset);
      });
    }
    this.#counters.harvestWords += count;
    this.#counters.bytesMarshalled += count * KVM_DIRTY_GFN.size;
    return count;
  }

  #readBackup(): ErrnoResult {
    for (const { slot, pages } of this.#pending) {
      const found = new Uint32Array(pages.words.length);
      const result = this.#vm.getDirtyLog(slot, found);
      if (result < 0) return result;
      for (let word = 0; word < found.length; word++) pages.words[word]! |= found[word]!;
    }
    return 0;
  }
}
