import { type ErrnoResult, errno } from "../layout/errno.js";
import { KVM_MEM_LOG_DIRTY_PAGES } from "../layout/kvm.js";
import { PAGE_BYTES } from "../memory/address.js";
import type { KvmSlot } from "./kvm-slot.js";
import type { KvmVm } from "./kvm-vm.js";
import { PendingPages, pageRequest } from "./page-request.js";
import { type AddressRange, newCounters, type ReportOptions, type Tracker, type TrackerCounters } from "./tracker.js";

/** log2 of the pages that are cleared at once: QEMU's clear_bitmap_shift, for the lab's RAM; QEMU's default is 18. */
const CLEAR_BITMAP_SHIFT = { default: 8, min: 6 } as const;

/** What a user of KVM keeps of a slot. */
interface Known {
  readonly slot: KvmSlot;
  /** What the last KVM_GET_DIRTY_LOG said. */
  readonly pages: PendingPages;
  /** Chunks with pages that were reported and are not cleared. */
  readonly uncleared: Set<number>;
}

/**
 * The vCPUs' writes by KVM's dirty bitmaps, as QEMU asks for them (specification 5.1).
 *
 * Where clearing is manual a page stays marked until somebody is about to copy it: then what was reported of its whole
 * chunk is cleared and protected. What is written between the report and the clear needs no second copy.
 */
export class KvmBitmapTracker implements Tracker {
  readonly name: string;
  readonly space = "gpa";
  readonly discipline = "mark-at-translate";
  /** Only where clearing is manual. */
  readonly beforeCopy?: (firstPage: number, pageCount: number) => void;
  readonly #vm: KvmVm;
  readonly #chunkPages: number;
  readonly #counters = newCounters();
  #known: Known[] = [];

  /** `clearShift`: log2 of the pages of a chunk, at least 6. */
  constructor(vm: KvmVm, options: { readonly name?: string; readonly clearShift?: number } = {}) {
    this.name = options.name ?? "kvm-bitmap";
    this.#vm = vm;
    this.#chunkPages = 2 ** Math.max(CLEAR_BITMAP_SHIFT.min, options.clearShift ?? CLEAR_BITMAP_SHIFT.default);
    if (vm.manualProtect) this.beforeCopy = (firstPage, pageCount) => this.#clearPages(firstPage, pageCount);
  }

  get counters(): TrackerCounters {
    return Object.assign(this.#counters, kvmCounts(this.#vm));
  }

  /** Logs every slot that a range touches. With INITIALLY_SET all their pages are reported until they are cleared. */
  start(ranges: readonly AddressRange[], _pageHint: number): ErrnoResult {
    const slots = startLogging(this.#vm, ranges);
    this.#known = slots.map((slot) => ({
      slot,
      pages: new PendingPages(slot.firstPage, slot.pageCount),
      uncleared: new Set(),
    }));
    // A slot that begins full is cleared chunk by chunk by the first copies.
    if (this.#vm.manualProtect) {
      for (const known of this.#known) {
        const result = this.#get(known);
        if (result < 0) return result;
      }
    }
    return PAGE_BYTES;
  }

  stop(): ErrnoResult {
    stopLogging(this.#vm);
    this.#known = [];
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
    if (this.#known.length === 0) return errno("EINVAL");
    this.#counters.harvests += 1;
    for (const known of this.#known) {
      const { slot, pages } = known;
      if (request.firstPage >= slot.firstPage + slot.pageCount) continue;
      if (request.firstPage + request.pageCount <= slot.firstPage) continue;
      const result = this.#get(known);
      if (result < 0) return result;
      const keeps = this.#vm.manualProtect || options.noClear === true;
      this.#counters.pagesReported += pages.hand(request, bitmap, keeps);
    }
    return 0;
  }

  #clearPages(firstPage: number, pageCount: number): void {
    for (const known of this.#known) {
      const { slot } = known;
      const from = Math.max(0, firstPage - slot.firstPage);
      const to = Math.min(slot.pageCount, firstPage + pageCount - slot.firstPage);
      if (from >= to) continue;
      const last = Math.floor((to - 1) / this.#chunkPages);
      for (let chunk = Math.floor(from / this.#chunkPages); chunk <= last; chunk++) this.#clear(known, chunk);
    }
  }

  footprintBytes(): number {
    return this.#known.reduce((sum, { pages }) => sum + pages.words.byteLength, this.#vm.footprintBytes());
  }

  #get({ slot, pages, uncleared }: Known): ErrnoResult {
    const found = new Uint32Array(pages.words.length);
    const result = this.#vm.getDirtyLog(slot.id, found);
    if (result < 0) return result;
    this.#counters.harvestWords += found.length;
    this.#counters.bytesMarshalled += found.byteLength;
    for (let word = 0; word < found.length; word++) pages.words[word]! |= found[word]!;
    if (!this.#vm.manualProtect) return 0;
    for (let chunk = 0; chunk * this.#chunkPages < slot.pageCount; chunk++) uncleared.add(chunk);
    return 0;
  }

  /** Clears what was reported of a chunk, before the first of its pages is copied. */
  #clear({ slot, pages, uncleared }: Known, chunk: number): void {
    if (!uncleared.delete(chunk)) return;
    const first = chunk * this.#chunkPages;
    const count = Math.min(this.#chunkPages, slot.pageCount - first);
    const words = pages.words.subarray(first / 32, Math.ceil((first + count) / 32));
    if (words.every((bits) => bits === 0)) return;
    this.#vm.clearDirtyLog(slot.id, first, count, words);
    words.fill(0);
  }
}

/** Begins to log the slots that any range touches. */
export function startLogging(vm: KvmVm, ranges: readonly AddressRange[]): KvmSlot[] {
  const touched = vm.slots.filter(({ firstPage, pageCount }) =>
    ranges.some(
      ({ address, bytes }) =>
        address < (firstPage + pageCount) * PAGE_BYTES && address + bytes > firstPage * PAGE_BYTES,
    ),
  );
  for (const slot of touched) vm.setMemoryRegion(slot, KVM_MEM_LOG_DIRTY_PAGES);
  return touched;
}

/** Stops to log wherever it is logged. */
export function stopLogging(vm: KvmVm): void {
  for (const slot of vm.slots) vm.setMemoryRegion(slot, 0);
}

/** What the VM counts, in a tracker's terms: each mark is one word. */
export function kvmCounts(
  vm: KvmVm,
): Pick<TrackerCounters, "marks" | "wordsTouched" | "rmw" | "flushes" | "faults" | "stalls"> {
  const { marks, rmw, tlbFlushes } = vm.counters;
  return {
    marks,
    wordsTouched: marks,
    rmw,
    flushes: tlbFlushes,
    faults: vm.vcpus.reduce((sum, { counters }) => sum + counters.faults, 0),
    stalls: vm.vcpus.reduce((sum, { counters }) => sum + counters.ringFullExits, 0),
  };
}
