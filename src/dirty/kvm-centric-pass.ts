import { type ErrnoResult, errno } from "../layout/errno.js";
import { PAGE_BYTES } from "../memory/address.js";
import type { KvmBitmapTracker } from "./kvm-bitmap-tracker.js";
import type { KvmVm } from "./kvm-vm.js";
import { bitmapWords } from "./page-bitmap.js";
import { pageRanges } from "./page-ranges.js";
import type { AddressRange, ReportOptions, Tracker, TrackerCounters } from "./tracker.js";

/**
 * DMA's dirty bits go into KVM's bitmap, and a migration asks KVM only (Jason Gunthorpe, 2022).
 *
 *     device, IOMMU … ──► markWithoutVcpu ──► KVM's bitmap ──► one pass over the migration's bitmap
 *
 * A dirty ring cannot take such bits: an entry belongs to the vCPU that runs, and none does. So start() answers ENXIO.
 */
export class KvmCentricPass implements Tracker {
  readonly name: string;
  readonly space = "gpa";
  readonly discipline = "mark-at-translate";
  readonly beforeCopy?: (firstPage: number, pageCount: number) => void;
  readonly #vm: KvmVm;
  readonly #cpu: KvmBitmapTracker;
  readonly #dma: readonly Tracker[];

  /** `dma`: trackers of guest physical addresses. */
  constructor(vm: KvmVm, cpu: KvmBitmapTracker, dma: readonly Tracker[], name = "kvm-centric-pass") {
    this.name = name;
    this.#vm = vm;
    this.#cpu = cpu;
    this.#dma = dma;
    if (cpu.beforeCopy !== undefined) this.beforeCopy = cpu.beforeCopy;
  }

  get counters(): TrackerCounters {
    return this.#cpu.counters;
  }

  start(ranges: readonly AddressRange[], pageHint: number): ErrnoResult {
    if (this.#vm.hasRings) return errno("ENXIO");
    for (const tracker of [this.#cpu, ...this.#dma]) {
      const result = tracker.start(ranges, pageHint);
      if (result < 0) return result;
    }
    return PAGE_BYTES;
  }

  stop(): ErrnoResult {
    for (const tracker of [...this.#dma, this.#cpu]) tracker.stop();
    return 0;
  }

  report(
    address: number,
    bytes: number,
    pageBytes: number,
    bitmap: Uint32Array,
    options: ReportOptions = {},
  ): ErrnoResult {
    for (const tracker of this.#dma) {
      const found = new Uint32Array(bitmapWords(bytes / PAGE_BYTES));
      const result = tracker.report(address, bytes, PAGE_BYTES, found, options);
      if (result < 0) return result;
      for (const { firstPage, pageCount } of pageRanges(found)) {
        const marked = this.#vm.markWithoutVcpu(address / PAGE_BYTES + firstPage, pageCount);
        if (marked < 0) return marked;
      }
    }
    return this.#cpu.report(address, bytes, pageBytes, bitmap, options);
  }

  settle(): ErrnoResult {
    for (const tracker of this.#dma) {
      const result = tracker.settle?.() ?? 0;
      if (result < 0) return result;
    }
    return 0;
  }

  footprintBytes(): number {
    return [this.#cpu, ...this.#dma].reduce((sum, tracker) => sum + tracker.footprintBytes(), 0);
  }
}
