import { errnoName } from "../layout/errno.js";
import { PAGE_BYTES } from "../memory/address.js";
import type { RamBlock } from "../memory/guest-ram.js";
import { bitmapWords, orPages, setPages } from "./page-bitmap.js";
import type { Tracker } from "./tracker.js";

/** Who writes guest memory: vCPUs, the relay or VMM itself, or a device by its name. */
export type WriterClass = "vcpu" | "vmm" | `device:${string}`;

/** Where a block of RAM lies in a tracker's address space. */
export interface Window {
  readonly address: number;
  readonly bytes: number;
  /** Guest page of `address`. */
  readonly gpaPage: number;
}

/** A tracker in a set: whose writes it knows of, and where it sees guest memory. */
export interface TrackerEntry {
  readonly tracker: Tracker;
  /** Classes all of whose writes it reports. */
  readonly covers: readonly WriterClass[];
  /** Where a block lies in an IOVA space; its guest physical addresses where it is not given. */
  readonly windows?: (block: RamBlock) => readonly Window[];
}

/** What a set did to be sound although a tracker was not. */
export interface Degradation {
  /** The tracker, or the writer class that nobody covers. */
  readonly who: string;
  /** Name of the error number; "uncovered" for a writer class. */
  readonly why: string;
}

/** What is asked of a set besides its trackers. */
export interface TrackerSetOptions {
  readonly blocks: readonly RamBlock[];
  /** Classes that write while the migration runs: each has to be covered. */
  readonly writers: readonly WriterClass[];
  /**
   * "and", the rule: a class that nobody covers makes everything dirty at every sync. "or" asks only that some tracker
   * is there, as a container does that warns and goes on; it loses pages and is here to be shown to.
   */
  readonly policy?: "and" | "or";
  /** Now in nanoseconds of real time, for the cost of harvests; without it they cost nothing. */
  readonly now?: () => number;
}

/**
 * The trackers of one migration, OR-ed together (specification 0.6, 6.2).
 *
 * Any error of a tracker makes the whole range dirty for that sync, and the set says so. A writer class that no tracker
 * covers does the same at every sync.
 */
export class TrackerSet {
  readonly entries: readonly TrackerEntry[];
  /** All that was made dirty for want of knowledge, once for each reason. */
  readonly degraded: Degradation[] = [];
  /** Real nanoseconds of the quickest sync, by page of address space that was asked for; 0 before the first. */
  harvestNsPerPage = 0;
  readonly #options: TrackerSetOptions;
  readonly #now: () => number;
  readonly #started = new Set<Tracker>();

  constructor(entries: readonly TrackerEntry[], options: TrackerSetOptions) {
    this.entries = entries;
    this.#options = options;
    this.#now = options.now ?? (() => 0);
  }

  /** Writer classes that no tracker covers. */
  uncovered(): WriterClass[] {
    const { writers, policy } = this.#options;
    if (policy === "or" && this.entries.length > 0) return [];
    return writers.filter((writer) => !this.entries.some(({ covers }) => covers.includes(writer)));
  }

  /** Starts all; when one fails those that run are stopped again, and its answer is returned with its name. */
  start(pageHint = PAGE_BYTES): { readonly result: number; readonly tracker?: string } {
    for (const entry of this.entries) {
      const ranges = this.#windows(entry).map(({ address, bytes }) => ({ address, bytes }));
      const result = entry.tracker.start(ranges, pageHint);
      if (result < 0) {
        this.stop();
        return { result, tracker: entry.tracker.name };
      }
      this.#started.add(entry.tracker);
    }
    return { result: 0 };
  }

  /** Stops all that run, last first; the first failure is returned, and the others are stopped all the same. */
  stop(): number {
    let failed = 0;
    for (const { tracker } of this.entries.toReversed()) {
      if (!this.#started.delete(tracker)) continue;
      const result = tracker.stop();
      if (result < 0 && failed === 0) failed = result;
    }
    return failed;
  }

  /** Tells all that the writers have stopped for good, before the last sync. */
  settle(): void {
    for (const { tracker } of this.entries) {
      const result = tracker.settle?.() ?? 0;
      if (result < 0) this.#degrade(tracker.name, errnoName(result)!);
    }
  }

  /** Whether a tracker takes marks before a copy, and not when it reports them. */
  get clearsBeforeCopy(): boolean {
    return this.entries.some(({ tracker }) => tracker.beforeCopy !== undefined);
  }

  /** Tells all that pages are about to be copied. */
  beforeCopy(firstPage: number, pageCount: number): void {
    for (const { tracker } of this.entries) tracker.beforeCopy?.(firstPage, pageCount);
  }

  /**
   * Adds to `bitmap`, bit p for guest page p, what all trackers report of RAM; true unless all had to be marked.
   *
   * Without the devices' trackers when `asksDevices` is false: what they know stays with them until they are asked.
   */
  syncAll(bitmap: Uint32Array, asksDevices = true): boolean {
    const from = this.#now();
    let known = true;
    let pages = 0;
    for (const entry of this.entries) {
      if (!asksDevices && ofDevicesOnly(entry)) continue;
      for (const window of this.#windows(entry)) {
        pages += window.bytes / PAGE_BYTES;
        known = this.#report(entry.tracker, window, bitmap) && known;
      }
    }
    for (const writer of this.uncovered()) {
      this.#degrade(writer, "uncovered");
      known = false;
    }
    if (!known) this.markAll(bitmap);
    const ns = (this.#now() - from) / Math.max(1, pages);
    this.harvestNsPerPage = this.harvestNsPerPage === 0 ? ns : Math.min(ns, this.harvestNsPerPage);
    return known;
  }

  /** Sets the bit of every page of RAM. */
  markAll(bitmap: Uint32Array): void {
    for (const { gpa, bytes } of this.#options.blocks) setPages(bitmap, gpa / PAGE_BYTES, bytes / PAGE_BYTES);
  }

  /** Bytes that tracking takes now. */
  footprintBytes(): number {
    return this.entries.reduce((sum, { tracker }) => sum + tracker.footprintBytes(), 0);
  }

  #windows({ windows }: TrackerEntry): readonly Window[] {
    return this.#options.blocks.flatMap(
      (block) => windows?.(block) ?? [{ address: block.gpa, bytes: block.bytes, gpaPage: block.gpa / PAGE_BYTES }],
    );
  }

  #report(tracker: Tracker, { address, bytes, gpaPage }: Window, bitmap: Uint32Array): boolean {
    const pages = bytes / PAGE_BYTES;
    let result: number;
    if (gpaPage % 32 === 0) {
      // In place: nothing is marshalled between the tracker and the migration's own words.
      const words = bitmap.subarray(gpaPage / 32, gpaPage / 32 + bitmapWords(pages));
      result = tracker.report(address, bytes, PAGE_BYTES, words);
    } else {
      const words = new Uint32Array(bitmapWords(pages));
      result = tracker.report(address, bytes, PAGE_BYTES, words);
      orPages(bitmap, gpaPage, words, pages);
    }
    if (result >= 0) return true;
    this.#degrade(tracker.name, errnoName(result)!);
    return false;
  }

  #degrade(who: string, why: string): void {
    if (!this.degraded.some((one) => one.who === who && one.why === why)) this.degraded.push({ who, why });
  }
}

function ofDevicesOnly({ covers }: TrackerEntry): boolean {
  return covers.length > 0 && covers.every((writer) => writer.startsWith("device:"));
}
