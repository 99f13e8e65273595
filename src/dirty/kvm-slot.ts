import { PAGE_BYTES } from "../memory/address.js";
import { RealMemory } from "../memory/real-memory.js";
import { DirtyLog, logBytes } from "./dirty-log.js";
import { countPages, hasPage, setPages } from "./page-bitmap.js";

/** A run of guest pages that the user of KVM gave it: a memory slot. */
export interface KvmSlotShape {
  /** Address space in the upper 16 bits, number in the lower. */
  readonly id: number;
  readonly firstPage: number;
  readonly pageCount: number;
}

/**
 * A memory slot: which of its pages are write-protected, and its dirty bitmap while it logs.
 *
 * Protected stands for what hardware has of it: an entry without the write bit, or with PML one whose D bit is clear.
 */
export class KvmSlot implements KvmSlotShape {
  readonly id: number;
  readonly firstPage: number;
  readonly pageCount: number;
  logsDirtyPages = false;
  /** Undefined where nothing is logged, or where all of it goes into rings. */
  dirty: DirtyLog | undefined;
  /** Pages that can be written without anybody noticing. */
  #writable = new Uint32Array(0);

  constructor({ id, firstPage, pageCount }: KvmSlotShape) {
    this.id = id;
    this.firstPage = firstPage;
    this.pageCount = pageCount;
  }

  /** Begins to log, with a bitmap or without; `initiallySet`: every page dirty, and none protected yet. */
  startLog(hasBitmap: boolean, initiallySet: boolean): void {
    const bytes = this.pageCount * PAGE_BYTES;
    this.logsDirtyPages = true;
    this.dirty = hasBitmap ? new DirtyLog(RealMemory.allocate(logBytes(bytes)), 0, bytes) : undefined;
    this.#writable = new Uint32Array(Math.ceil(this.pageCount / 32));
    if (!initiallySet || this.dirty === undefined) return;
    setPages(this.#writable, 0, this.pageCount);
    this.dirty.markRange(0, bytes);
  }

  /** Stops to log: every page can be written. */
  stopLog(): void {
    this.logsDirtyPages = false;
    this.dirty = undefined;
    this.#writable = new Uint32Array(0);
  }

  /** Whether a write to a page goes unnoticed; by its offset in the slot, as below. */
  isWritable(offset: number): boolean {
    return !this.logsDirtyPages || hasPage(this.#writable, offset);
  }

  /** Lets a page be written: its first write was noticed. */
  makeWritable(offset: number): void {
    setPages(this.#writable, offset, 1);
  }

  /** Protects a page again; false when it was protected. */
  protect(offset: number): boolean {
    return this.protectWord(offset >>> 5, 1 << (offset & 31)) === 1;
  }

  /** Protects the pages of one 32-page word that are set in `bits`; returns how many could be written before. */
  protectWord(word: number, bits: number): number {
    const before = this.#writable[word] ?? 0;
    if ((before & bits) === 0) return 0;
    this.#writable[word] = before & ~bits;
    return countPages(Uint32Array.of(before & bits));
  }

  /** Bytes of its dirty bitmap. */
  get bitmapBytes(): number {
    return this.dirty === undefined ? 0 : logBytes(this.pageCount * PAGE_BYTES);
  }
}
