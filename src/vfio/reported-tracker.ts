import type { AfterWriteHook } from "../dirty/discipline.js";
import { setPages } from "../dirty/page-bitmap.js";
import { type PageRequest, pageRequest } from "../dirty/page-request.js";
import {
  type AddressRange,
  newCounters,
  type ReportOptions,
  type Tracker,
  type TrackerCounters,
} from "../dirty/tracker.js";
import { type ErrnoResult, errno } from "../layout/errno.js";
import { PAGE_BYTES } from "../memory/address.js";
import { ReportDevice, type ReportDeviceOptions } from "./reported-device.js";
import { ReportHost } from "./reported-host.js";
import { REPORT_ENTRIES, REPORT_ENTRY_BYTES, type ReportedRun, ReportMemory } from "./reported-memory.js";

/** A report queue, of which size, and how its device goes about it. */
export interface ReportedOptions extends ReportDeviceOptions {
  readonly name: string;
  /** One past the last guest page. */
  readonly endPage: number;
  /** Report buffers of 4 KiB, a power of two. */
  readonly bufferCount: number;
}

/**
 * A device that reports its dirty pages through a virtqueue of the host's (specification 6.6; Jason Wang, 2020).
 *
 * What it takes does not grow with RAM. What it has no room for it does not write: it waits for whoever reads.
 */
export class ReportedTracker implements Tracker, AfterWriteHook {
  readonly name: string;
  readonly space = "gpa";
  readonly discipline = "mark-after-write";
  readonly memory: ReportMemory;
  readonly device: ReportDevice;
  readonly host: ReportHost;
  readonly #mode: "push" | "pull";
  readonly #counters = newCounters();
  /** Runs that were taken from the queue and not asked for yet. */
  #held: ReportedRun[] = [];
  #ranges: PageRequest[] = [];

  constructor(options: ReportedOptions) {
    this.name = options.name;
    this.#mode = options.mode;
    this.memory = ReportMemory.allocate(options.bufferCount);
    this.host = new ReportHost(this.memory, options.endPage);
    this.device = new ReportDevice(this.memory, options);
  }

  get counters(): TrackerCounters {
    const { marks, wordsTouched, fences, stalls } = this.device.counters;
    return Object.assign(this.#counters, { marks, wordsTouched, rmw: fences, stalls });
  }

  start(ranges: readonly AddressRange[], _pageHint: number): ErrnoResult {
    // What the device still holds is of an earlier migration.
    this.device.flush();
    const result = this.host.harvest();
    if (typeof result === "number") return result;
    this.#held = [];
    this.#ranges = ranges.map(({ address, bytes }) => ({
      firstPage: address / PAGE_BYTES,
      pageCount: bytes / PAGE_BYTES,
      grain: 1,
    }));
    return PAGE_BYTES;
  }

  stop(): ErrnoResult {
    this.#ranges = [];
    this.#held = [];
    return 0;
  }

  /** Whether the device may begin another request: for its port. */
  readonly ready = (): boolean => this.#ranges.length === 0 || this.device.ready();

  markAfterWrite(address: number, bytes: number): void {
    if (this.#ranges.length > 0) this.device.markAfterWrite(address, bytes);
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
    if (this.#ranges.length === 0) return errno("EINVAL");
    this.#counters.harvests += 1;
    if (this.#mode === "pull") this.device.flush();
    const result = this.#take();
    if (result < 0) return result;
    this.#counters.pagesReported += this.#hand(request, bitmap, options.noClear ?? false);
    return 0;
  }

  settle(): ErrnoResult {
    this.device.flush();
    return 0;
  }

  footprintBytes(): number {
    return this.#ranges.length === 0 ? 0 : this.memory.memory.byteLength + this.device.footprintBytes();
  }

  /** Takes no more than fits: a range that nobody asks for holds the device up instead of filling memory. */
  #take(): ErrnoResult {
    if (this.#held.length >= this.memory.bufferCount * REPORT_ENTRIES) return 0;
    const before = this.host.counters.entries;
    const found = this.host.harvest();
    const entries = this.host.counters.entries - before;
    this.#counters.harvestWords += entries;
    this.#counters.bytesMarshalled += entries * REPORT_ENTRY_BYTES;
    if (typeof found === "number") return found;
    if (found === "all") this.#held = [...this.#ranges];
    else for (const run of found) this.#held.push(run);
    return 0;
  }

  /** Splits each run into what is asked for and what is not. */
  #hand(request: PageRequest, bitmap: Uint32Array, keeps: boolean): number {
    const end = request.firstPage + request.pageCount;
    const left: ReportedRun[] = [];
    let pages = 0;
    for (const run of this.#held) {
      const from = Math.max(run.firstPage, request.firstPage);
      const to = Math.min(run.firstPage + run.pageCount, end);
      if (from >= to || keeps) left.push(...this.#within(run));
      if (from >= to) continue;
      pages += to - from;
      const firstBit = Math.floor((from - request.firstPage) / request.grain);
      setPages(bitmap, firstBit, Math.floor((to - 1 - request.firstPage) / request.grain) - firstBit + 1);
      if (keeps) continue;
      if (run.firstPage < from) left.push({ firstPage: run.firstPage, pageCount: from - run.firstPage });
      const runEnd = run.firstPage + run.pageCount;
      if (to < runEnd) left.push({ firstPage: to, pageCount: runEnd - to });
    }
    this.#held = left;
    return pages;
  }

  /** Only what lies in a range that is tracked is worth keeping. */
  #within(run: ReportedRun): ReportedRun[] {
    const touches = (range: PageRequest) =>
      run.firstPage < range.firstPage + range.pageCount && range.firstPage < run.firstPage + run.pageCount;
    return this.#ranges.some(touches) ? [run] : [];
  }
}
