import type { AfterWriteHook } from "../dirty/discipline.js";
import { PAGE_BYTES } from "../memory/address.js";
import { DeviceRing } from "../ring/device-ring.js";
import { REPORT_ASID, REPORT_ENTRIES, REPORT_ENTRY_BYTES, type ReportMemory, writeRun } from "./reported-memory.js";

/** What a device does that has no room for an entry: "drop" loses pages, and is here to be shown to. */
export type FullPolicy = "block" | "overflow" | "drop";

/** How a device reports. */
export interface ReportDeviceOptions {
  /** "push": a full buffer goes back by itself. "pull": all of them wait until they are asked for. */
  readonly mode: "push" | "pull";
  readonly whenFull?: FullPolicy;
  /** Entries that have to fit before the device begins another request: what one may take at worst. */
  readonly reserve?: number;
  /** Pages that it remembers having reported, a power of two; 0: it reports each write. */
  readonly cachePages?: number;
  /** Nanoseconds, for how long it stood still. */
  readonly now?: () => number;
}

/** A buffer that the device has: its head, and where it lies. */
interface HeldBuffer {
  readonly head: number;
  readonly offset: number;
}

const RESERVE = 64;
const CACHE_PAGES = 1024;
const NOBODY = -1;

/**
 * The device's half of a report queue: after each write it notes pages in a buffer of the host's (specification 6.6).
 *
 *     payload ──► fence ──► reported in this generation? ──► entry ──► the caller publishes the data queue's used index
 *
 * Where entries for the worst request do not fit any more, it takes no more requests: the consumer sets its pace.
 */
export class ReportDevice implements AfterWriteHook {
  readonly discipline = "mark-after-write";
  readonly space = "gpa";
  readonly counters = {
    ...{ marks: 0, wordsTouched: 0, fences: 0, entries: 0, skipped: 0, calls: 0 },
    ...{ stalls: 0, stalledTurns: 0, stallNs: 0, overflows: 0, dropped: 0, refusedBuffers: 0 },
  };
  readonly #report: ReportMemory;
  readonly #ring: DeviceRing;
  readonly #mode: "push" | "pull";
  readonly #whenFull: FullPolicy;
  readonly #reserve: number;
  readonly #cache: Float64Array;
  readonly #now: () => number;
  readonly #empty: HeldBuffer[] = [];
  #current: HeldBuffer | undefined;
  #filled = 0;
  #generation = NOBODY;
  #stalledSince = Number.NaN;

  constructor(report: ReportMemory, options: ReportDeviceOptions) {
    this.#report = report;
    this.#ring = new DeviceRing(report.areas, { eventIdx: false, indirect: false }, () => "unmapped");
    this.#mode = options.mode;
    this.#whenFull = options.whenFull ?? "block";
    this.#reserve = options.reserve ?? RESERVE;
    this.#cache = new Float64Array(options.cachePages ?? CACHE_PAGES).fill(NOBODY);
    this.#now = options.now ?? (() => 0);
  }

  /** Whether another request may begin: a gate for the device's port. */
  readonly ready = (): boolean => {
    if (this.#whenFull !== "block" || this.#hasRoom(this.#reserve)) {
      if (!Number.isNaN(this.#stalledSince)) this.counters.stallNs += this.#now() - this.#stalledSince;
      this.#stalledSince = Number.NaN;
      return true;
    }
    this.counters.stalledTurns += 1;
    // Who waits for room must not sit on a buffer that would never be full.
    if (this.#mode === "push") this.flush();
    if (Number.isNaN(this.#stalledSince)) {
      this.counters.stalls += 1;
      this.#stalledSince = this.#now();
    }
    return false;
  };

  markAfterWrite(address: number, bytes: number): void {
    if (bytes === 0) return;
    const first = Math.floor(address / PAGE_BYTES);
    const last = Math.floor((address + bytes - 1) / PAGE_BYTES);
    this.counters.marks += 1;
    this.counters.wordsTouched += Math.floor(last / 32) - Math.floor(first / 32) + 1;
    this.#observeGeneration();
    let from = first;
    for (let page = first; page <= last + 1; page++) {
      const known = page <= last && this.#isCached(page);
      if (page <= last && !known) continue;
      this.#push(from, page - from);
      if (known) this.counters.skipped += 1;
      from = page + 1;
    }
  }

  /** The flush command: gives back all that it has noted, partly filled buffers too. */
  flush(): void {
    this.#giveBack();
    this.#publish();
  }

  /** Bytes that it takes for itself. */
  footprintBytes(): number {
    return this.#cache.byteLength;
  }

  /** What was reported before the consumer's last harvest has been taken: it says nothing of writes since. */
  #observeGeneration(): void {
    if (this.#cache.length === 0) return;
    this.#report.fenceByWrite();
    this.counters.fences += 1;
    const generation = this.#report.observeGeneration();
    if (generation === this.#generation) return;
    this.#generation = generation;
    this.#cache.fill(NOBODY);
  }

  #isCached(page: number): boolean {
    return this.#cache.length > 0 && this.#cache[page % this.#cache.length] === page;
  }

  /** A run as entries of powers of two, the largest first. */
  #push(firstPage: number, pageCount: number): void {
    let page = firstPage;
    for (let left = pageCount; left > 0; ) {
      const shift = Math.floor(Math.log2(left));
      if (!this.#write(page, shift)) return;
      for (let i = 0; i < 2 ** shift && this.#cache.length > 0; i++) {
        this.#cache[(page + i) % this.#cache.length] = page + i;
      }
      page += 2 ** shift;
      left -= 2 ** shift;
    }
  }

  /** False where there is no room: the rest of the run is lost, or all of RAM is dirty. */
  #write(page: number, shift: number): boolean {
    if (!this.#hasRoom(1)) {
      if (this.#whenFull === "drop") {
        this.counters.dropped += 1;
        return false;
      }
      // Whoever blocks has reserved enough; should it not be, nothing is lost.
      this.counters.overflows += 1;
      this.#report.setOverflow();
      return false;
    }
    this.#current ??= this.#empty.shift()!;
    writeRun(this.#report.memory, this.#current.offset + this.#filled * REPORT_ENTRY_BYTES, page, shift);
    this.counters.entries += 1;
    this.#filled += 1;
    if (this.#filled < REPORT_ENTRIES) return true;
    this.#giveBack();
    if (this.#mode === "push") this.#publish();
    return true;
  }

  #hasRoom(entries: number): boolean {
    if (this.#room() >= entries) return true;
    this.#takeBuffers();
    return this.#room() >= entries;
  }

  #room(): number {
    return (this.#current === undefined ? 0 : REPORT_ENTRIES - this.#filled) + this.#empty.length * REPORT_ENTRIES;
  }

  /** Only what lies in its own address space is written to. */
  #takeBuffers(): void {
    const { chain } = this.#ring;
    while (this.#ring.takeAvail()) {
      const bytes = REPORT_ENTRIES * REPORT_ENTRY_BYTES;
      const usable = chain.count === 1 && chain.readableCount === 0 && chain.lengths[0]! >= bytes;
      const offset = usable ? this.#report.resolve(REPORT_ASID, chain.addresses[0]!, bytes) : undefined;
      if (offset !== undefined) {
        this.#empty.push({ head: chain.head, offset });
        continue;
      }
      this.counters.refusedBuffers += 1;
      this.#ring.addUsed(chain.head, 0);
    }
  }

  #giveBack(): void {
    if (this.#current === undefined) return;
    this.#ring.addUsed(this.#current.head, this.#filled * REPORT_ENTRY_BYTES);
    this.#current = undefined;
    this.#filled = 0;
  }

  #publish(): void {
    if (this.#ring.publishUsed()) this.counters.calls += 1;
  }
}
