import type { ErrnoResult } from "../layout/errno.js";
import type { Discipline } from "./discipline.js";

/** A range of addresses of a tracker's address space, in bytes. */
export interface AddressRange {
  readonly address: number;
  readonly bytes: number;
}

/** What a tracker has done since it was made; each only ever grows. */
export interface TrackerCounters {
  /** Calls by which writers reported a write or filled a translation. */
  marks: number;
  /** 32-page words that those calls covered, each counted once a call. */
  wordsTouched: number;
  /** Read-modify-writes that it took to mark them. */
  rmw: number;
  /** Calls of report(). */
  harvests: number;
  /** 32-bit words of bitmap, entries of a ring or leaves of a table that those calls looked at. */
  harvestWords: number;
  /** Pages reported, each once a call. */
  pagesReported: number;
  /** Bytes of bitmap or records that were copied from the tracker's memory to the caller's. */
  bytesMarshalled: number;
  /** Invalidations of cached translations. */
  flushes: number;
  /** Faults of writers: write-protected pages, misses of a translation. */
  faults: number;
  /** Times a writer had to wait for the harvester. */
  stalls: number;
}

/** What report() may be asked for. */
export interface ReportOptions {
  /** Leaves what it reports in place, as VFIO and iommufd's NO_CLEAR. */
  readonly noClear?: boolean;
}

/**
 * A way to learn which pages were written: every mechanism of the threads behind the same calls (specification 0.6).
 *
 * Addresses are bytes below 2^53 of the tracker's own space. A failure is a negative error number; after one, nothing
 * is known of the range and all of it counts as dirty.
 */
export interface Tracker {
  /** For reports, and unique in a set. */
  readonly name: string;
  /** The address space that ranges and reports speak of. */
  readonly space: "gpa" | "iova";
  /** When it marks; "none": it never does, and reports everything. */
  readonly discipline: Discipline | "none";
  readonly counters: TrackerCounters;
  /**
   * Starts from a clean state: what was written before is never reported. `pageHint` is the granularity wanted, bytes.
   *
   * Returns the granularity it has, in bytes, which may be coarser; or a negative error number.
   */
  start(ranges: readonly AddressRange[], pageHint: number): ErrnoResult;
  /** Forgets what is pending; 0 also when it was not started. */
  stop(): ErrnoResult;
  /**
   * Sets in `bitmap` the bit of every page of [address, address + bytes) that was written, and forgets it there.
   *
   * Bit n, lowest first, is the page at `address + n · pageBytes`. Only ever sets bits, and none beyond the range.
   */
  report(address: number, bytes: number, pageBytes: number, bitmap: Uint32Array, options?: ReportOptions): ErrnoResult;
  /** All writers have stopped: brings what they or the hardware still hold to where report() finds it. */
  settle?(): ErrnoResult;
  /** The pages are about to be copied: for trackers that report first and clear later (KVM's manual protect). */
  beforeCopy?(firstPage: number, pageCount: number): void;
  /** Bytes that tracking takes now, beyond what is there without it. */
  footprintBytes(): number;
}

/** Counters that start at zero. */
export function newCounters(): TrackerCounters {
  return {
    marks: 0,
    wordsTouched: 0,
    rmw: 0,
    harvests: 0,
    harvestWords: 0,
    pagesReported: 0,
    bytesMarshalled: 0,
    flushes: 0,
    faults: 0,
    stalls: 0,
  };
}
