/**
 * The two ways in which a page gets marked, as two interfaces that do not fit into each other's place.
 *
 *     mark-after-write      payload ──► mark                      harvest: clear ──► copy
 *     mark-at-translate     walk, set D ──► cached ──► payload…   harvest: clear ──► invalidate, drain ──► copy
 *
 * What marks after each write may be harvested at any time. What marks when a translation is filled says nothing of
 * later writes through that translation, so its harvest has to end the translation as well. Whoever wires one where
 * the other belongs gets an error from the compiler: the choke points take each through a parameter of its own.
 */

/** One of the two orders of mark and write. */
export type Discipline = "mark-after-write" | "mark-at-translate";

/** A tracker as the writer sees it, when each write is followed by its mark. */
export interface AfterWriteHook {
  readonly discipline: "mark-after-write";
  /** Which address of the write it is told. */
  readonly space: "gpa" | "iova";
  /** `bytes` bytes at `address` of the tracker's address space have been written. */
  markAfterWrite(address: number, bytes: number): void;
}

/** A run of pages that one entry of a page table maps. */
export interface Leaf {
  /** First page in the address space of whoever writes. */
  readonly firstPage: number;
  readonly pageCount: number;
  /** Where `firstPage` lies in guest physical space, in pages. */
  readonly gpaPage: number;
}

/** A tracker as a translation cache sees it: the page table whose entries carry the dirty bit. */
export interface AtTranslateHook {
  readonly discipline: "mark-at-translate";
  /**
   * Walks to the entry that maps `page` and marks it, because a translation for writing is about to be cached.
   *
   * Undefined when nothing maps it: the write is a fault and does not happen.
   */
  walkForWrite(page: number): Leaf | undefined;
}

/** What a mark-at-translate tracker has to do to every cache of its translations before its report() returns. */
export interface TranslationFlush {
  /** Forgets every translation and waits for the writes that still use one. */
  flush(): void;
}
