import { bitmapWords, countPages, hasPage, setPages } from "../dirty/page-bitmap.js";
import { type AddressRange, newCounters, type Tracker } from "../dirty/tracker.js";
import { type ErrnoResult, errno } from "../layout/errno.js";
import { PAGE_BYTES } from "../memory/address.js";

/** What knows of writes by I/O address, behind an IOMMU of the guest's. */
export interface DirtySource {
  /** Which of the two orders at an unmap loses nothing. */
  readonly kind: "iommu" | "device";
  start(): ErrnoResult;
  stop(): ErrnoResult;
  map(iova: number, bytes: number, gpa: number): ErrnoResult;
  /** 0 or more, or a negative error number. */
  unmap(iova: number, bytes: number): number;
  /** Reads and clears: bit n of `bits` is the page n of the range. */
  query(iova: number, bytes: number, bits: Uint32Array): ErrnoResult;
}

/** A mapping that the guest has made. */
interface GuestMapping {
  readonly bytes: number;
  readonly gpa: number;
}

/**
 * Carries dirty bits from I/O addresses to guest pages before the guest's mappings go (specification 4.5, 4.6).
 *
 * An IOMMU's bits die with the entries, so they are read before the unmap. A device's log outlives them, and after the
 * unmap the device cannot write any more, so it is read then. Syncs replay the mappings there are, and query no other.
 */
export class ViommuTracker implements Tracker {
  readonly name: string;
  readonly space = "gpa";
  readonly discipline = "none";
  readonly counters = newCounters();
  /** Queries of the last replay. */
  replayed = 0;
  readonly #source: DirtySource;
  readonly #mappings = new Map<number, GuestMapping>();
  /** By guest page: what is known and not yet reported. */
  readonly #carried: Uint32Array;
  /** An unmap whose bits could not be read: everything is dirty. */
  #lost: ErrnoResult = 0;
  #started = false;

  /** `endPage`: one past the last guest page. */
  constructor(name: string, source: DirtySource, endPage: number) {
    this.name = name;
    this.#source = source;
    this.#carried = new Uint32Array(bitmapWords(endPage));
  }

  /** The guest maps: 0 or a negative error number. */
  map(iova: number, bytes: number, gpa: number): ErrnoResult {
    const result = this.#source.map(iova, bytes, gpa);
    if (result >= 0) this.#mappings.set(iova, { bytes, gpa });
    return result;
  }

  /** The guest unmaps what it mapped at `iova`: 0, or ENOENT. */
  unmap(iova: number): ErrnoResult {
    const mapping = this.#mappings.get(iova);
    if (mapping === undefined) return errno("ENOENT");
    this.#mappings.delete(iova);
    const asksFirst = this.#source.kind === "iommu";
    if (asksFirst) this.#carry(iova, mapping);
    this.#source.unmap(iova, mapping.bytes);
    if (!asksFirst) this.#carry(iova, mapping);
    return 0;
  }

  start(_ranges: readonly AddressRange[], pageHint: number): ErrnoResult {
    this.#carried.fill(0);
    this.#lost = 0;
    const result = this.#source.start();
    this.#started = result >= 0;
    return result < 0 ? result : pageHint;
  }

  stop(): ErrnoResult {
    this.#started = false;
    return this.#source.stop();
  }

  report(address: number, bytes: number, pageBytes: number, bitmap: Uint32Array): ErrnoResult {
    if (pageBytes !== PAGE_BYTES) return errno("EINVAL");
    this.#replay();
    if (this.#lost < 0) {
      const lost = this.#lost;
      this.#lost = 0;
      return lost;
    }
    const first = address / PAGE_BYTES;
    for (let page = first; page < first + bytes / PAGE_BYTES; page++) {
      if (!hasPage(this.#carried, page)) continue;
      setPages(bitmap, page - first, 1);
      this.#carried[Math.floor(page / 32)]! &= ~(1 << (page & 31));
      this.counters.pagesReported += 1;
    }
    return 0;
  }

  footprintBytes(): number {
    return this.#carried.byteLength;
  }

  #replay(): void {
    this.replayed = 0;
    for (const [iova, mapping] of this.#mappings) {
      this.replayed += 1;
      this.#carry(iova, mapping);
    }
  }

  #carry(iova: number, { bytes, gpa }: GuestMapping): void {
    if (!this.#started) return;
    const pages = bytes / PAGE_BYTES;
    const bits = new Uint32Array(bitmapWords(pages));
    const result = this.#source.query(iova, bytes, bits);
    if (result < 0) this.#lost = result;
    this.counters.harvests += 1;
    this.counters.bytesMarshalled += countPages(bits) === 0 ? 0 : bits.byteLength;
    for (let page = 0; page < pages; page++)
      if (hasPage(bits, page)) setPages(this.#carried, gpa / PAGE_BYTES + page, 1);
  }
}
