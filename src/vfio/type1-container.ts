import { setPages } from "../dirty/page-bitmap.js";
import { type ErrnoResult, errno } from "../layout/errno.js";
import { PAGE_BYTES } from "../memory/address.js";

/** VFIO_IOMMU_DIRTY_PAGES_FLAG_START, _STOP and _GET_BITMAP of linux/vfio.h. */
export const DIRTY_PAGES = { start: 1, stop: 2, getBitmap: 4 } as const;
/** VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, _ALL and _VADDR of linux/vfio.h. */
export const DMA_UNMAP = { getDirtyBitmap: 1, all: 2, vaddr: 4 } as const;
/** Mappings of a container unless the module is told otherwise (dma_entry_limit). */
export const TYPE1_MAPPINGS_MAX = 65_535;
/** Bytes of a bitmap at most: 2^31 bits, 8 TiB at 4 KiB. */
const TYPE1_BITMAP_BYTES_MAX = 2 ** 28;

/** An IOMMU group in a container: what its driver promises about writes. */
export interface Type1Group {
  readonly name: string;
  /** Its driver pins whatever its device may write. */
  readonly pinnedOnly: boolean;
  /** Told of a range that is about to be unmapped: it has to unpin it. */
  readonly beforeUnmap?: (iova: number, bytes: number) => void;
}

/** A bitmap to be filled: what the user says of it, and its words. */
export interface Type1Bitmap {
  readonly pageBytes: number;
  readonly bits: Uint32Array;
}

/** A mapping of a container. */
export interface Type1Mapping {
  readonly iova: number;
  readonly bytes: number;
}

interface Mapping extends Type1Mapping {
  /** Pages by number, each with how often it is pinned. */
  readonly pins: Map<number, number>;
  /** Pages that are reported next time, besides those that are pinned. */
  readonly dirty: Set<number>;
  /** All of it is reported next time. */
  allDirty: boolean;
}

/** What a container is like. */
export interface Type1Options {
  /** VFIO_TYPE1v2_IOMMU, without which it tracks nothing. */
  readonly version?: 1 | 2;
  /** One past the last address that the IOMMU translates. */
  readonly apertureEnd?: number;
  readonly mappingsMax?: number;
}

/**
 * A legacy container (VFIO_TYPE1_IOMMU): maps, unmaps, and knows of writes only what is pinned (specification 3.6).
 *
 * A group that does not pin may write whatever is mapped, so that all of it counts as dirty, every time. GET overwrites
 * the user's words, other than all newer interfaces. Addresses are bytes below 2^53.
 */
export class Type1Container {
  readonly counters = { gets: 0, pagesReported: 0, bytesCopied: 0 };
  readonly #options: Required<Type1Options>;
  readonly #mappings: Mapping[] = [];
  readonly #groups = new Map<string, Type1Group>();
  #tracks = false;

  constructor(options: Type1Options = {}) {
    this.#options = { version: 2, apertureEnd: 2 ** 48, mappingsMax: TYPE1_MAPPINGS_MAX, ...options };
  }

  /** Whether it tracks. */
  get tracks(): boolean {
    return this.#tracks;
  }

  /** What is mapped now, by rising address. */
  get mappings(): readonly Type1Mapping[] {
    return this.#mappings;
  }

  /** Adds a group. */
  attach(group: Type1Group): void {
    this.#groups.set(group.name, group);
  }

  /** Takes a group out; with the last that does not pin goes what is known of its writes, so all is reported once. */
  detach(name: string): void {
    const before = this.#pinnedOnly();
    this.#groups.delete(name);
    if (!this.#tracks || before || !this.#pinnedOnly()) return;
    for (const mapping of this.#mappings) mapping.allDirty = true;
  }

  /** VFIO_IOMMU_MAP_DMA: 0, EINVAL, EEXIST or ENOSPC. */
  map(iova: number, bytes: number): ErrnoResult {
    const { apertureEnd, mappingsMax } = this.#options;
    if (bytes === 0 || iova % PAGE_BYTES !== 0 || bytes % PAGE_BYTES !== 0) return errno("EINVAL");
    if (iova + bytes > apertureEnd) return errno("EINVAL");
    if (this.#in(iova, bytes).length > 0) return errno("EEXIST");
    if (this.#mappings.length >= mappingsMax) return errno("ENOSPC");
    const mapping = { iova, bytes, pins: new Map(), dirty: new Set<number>(), allDirty: false };
    this.#mappings.splice(this.#firstEndingAfter(iova), 0, mapping);
    return 0;
  }

  /**
   * VFIO_IOMMU_UNMAP_DMA: the bytes unmapped, or EINVAL.
   *
   * With GET_DIRTY_BITMAP the bits are read before anything is removed, with nobody in between; the range is then one
   * mapping exactly.
   */
  unmap(iova: number, bytes: number, flags = 0, bitmap?: Type1Bitmap): number {
    if ((flags & ~(DMA_UNMAP.getDirtyBitmap | DMA_UNMAP.all | DMA_UNMAP.vaddr)) !== 0) return errno("EINVAL");
    const wantsBitmap = (flags & DMA_UNMAP.getDirtyBitmap) !== 0;
    if (wantsBitmap && flags !== DMA_UNMAP.getDirtyBitmap) return errno("EINVAL");
    if (!this.#unmapsWhole(iova, bytes, flags)) return errno("EINVAL");
    const gone = (flags & DMA_UNMAP.all) === 0 ? this.#in(iova, bytes) : [...this.#mappings];
    for (const mapping of gone) {
      for (const { beforeUnmap } of this.#groups.values()) beforeUnmap?.(mapping.iova, mapping.bytes);
    }
    if (wantsBitmap) {
      const result = bitmap === undefined || gone.length !== 1 ? errno("EINVAL") : this.#get(iova, bytes, bitmap);
      if (result < 0) return result;
    }
    for (const mapping of gone) this.#mappings.splice(this.#mappings.indexOf(mapping), 1);
    return gone.reduce((sum, mapping) => sum + mapping.bytes, 0);
  }

  /** VFIO_IOMMU_DIRTY_PAGES: exactly one of START, STOP and GET_BITMAP; 0, EACCES or EINVAL. */
  dirtyPages(flags: number, range?: Type1Mapping & { readonly bitmap: Type1Bitmap }): ErrnoResult {
    if (this.#options.version < 2) return errno("EACCES");
    if (flags === DIRTY_PAGES.start) return this.#start();
    if (flags === DIRTY_PAGES.stop) return this.#stop();
    if (flags !== DIRTY_PAGES.getBitmap || range === undefined) return errno("EINVAL");
    return this.#get(range.iova, range.bytes, range.bitmap);
  }

  /** A driver pins pages before its device writes them: 0, or EINVAL where they are not mapped. */
  pin(iova: number, bytes: number): ErrnoResult {
    return this.#eachPage(iova, bytes, (mapping, page) => mapping.pins.set(page, (mapping.pins.get(page) ?? 0) + 1));
  }

  /** The device writes them no more; what it wrote is reported once more. */
  unpin(iova: number, bytes: number): ErrnoResult {
    return this.#eachPage(iova, bytes, (mapping, page) => {
      const left = (mapping.pins.get(page) ?? 0) - 1;
      if (left > 0) mapping.pins.set(page, left);
      else mapping.pins.delete(page);
      if (this.#tracks) mapping.dirty.add(page);
    });
  }

  /** A driver has the CPU write for its device (vfio_dma_rw). */
  cpuWrite(iova: number, bytes: number): ErrnoResult {
    return this.#eachPage(iova, bytes, (mapping, page) => {
      if (this.#tracks) mapping.dirty.add(page);
    });
  }

  /** Bytes of bitmaps, one for each mapping, while it tracks. */
  footprintBytes(): number {
    if (!this.#tracks) return 0;
    return this.#mappings.reduce((sum, { bytes }) => sum + Math.ceil(bytes / PAGE_BYTES / 64) * 8, 0);
  }

  #start(): ErrnoResult {
    if (!this.#tracks) for (const mapping of this.#mappings) mapping.dirty.clear();
    this.#tracks = true;
    return 0;
  }

  #stop(): ErrnoResult {
    this.#tracks = false;
    for (const mapping of this.#mappings) {
      mapping.dirty.clear();
      mapping.allDirty = false;
    }
    return 0;
  }

  #get(iova: number, bytes: number, { pageBytes, bits }: Type1Bitmap): ErrnoResult {
    const invalid = errno("EINVAL");
    if (!this.#tracks || pageBytes !== PAGE_BYTES) return invalid;
    if (bytes === 0 || iova % PAGE_BYTES !== 0 || bytes % PAGE_BYTES !== 0) return invalid;
    const inside = this.#in(iova, bytes);
    if (inside.some((mapping) => mapping.iova < iova || mapping.iova + mapping.bytes > iova + bytes)) return invalid;
    const needed = Math.ceil(bytes / PAGE_BYTES / 64) * 8;
    if (bits.byteLength < needed || needed > TYPE1_BITMAP_BYTES_MAX) return invalid;
    const words = new Uint32Array(needed / 4);
    for (const mapping of inside) this.#report(mapping, mapping.iova - iova, words);
    bits.set(words);
    this.counters.gets += 1;
    this.counters.bytesCopied += needed;
    return 0;
  }

  #report(mapping: Mapping, at: number, words: Uint32Array): void {
    const first = at / PAGE_BYTES;
    if (mapping.allDirty || !this.#pinnedOnly()) {
      setPages(words, first, mapping.bytes / PAGE_BYTES);
      this.counters.pagesReported += mapping.bytes / PAGE_BYTES;
    } else {
      const pages = new Set([...mapping.pins.keys(), ...mapping.dirty]);
      for (const page of pages) setPages(words, first + page - mapping.iova / PAGE_BYTES, 1);
      this.counters.pagesReported += pages.size;
    }
    mapping.allDirty = false;
    mapping.dirty.clear();
  }

  #pinnedOnly(): boolean {
    return [...this.#groups.values()].every(({ pinnedOnly }) => pinnedOnly);
  }

  /** Whether a range to unmap cuts no mapping in two. */
  #unmapsWhole(iova: number, bytes: number, flags: number): boolean {
    if ((flags & DMA_UNMAP.all) !== 0) return iova === 0 && bytes === 0;
    if (bytes === 0 || iova % PAGE_BYTES !== 0 || bytes % PAGE_BYTES !== 0) return false;
    return this.#in(iova, bytes).every(
      (mapping) => mapping.iova >= iova && mapping.iova + mapping.bytes <= iova + bytes,
    );
  }

  #eachPage(iova: number, bytes: number, visit: (mapping: Mapping, page: number) => void): ErrnoResult {
    const first = Math.floor(iova / PAGE_BYTES);
    const end = Math.ceil((iova + bytes) / PAGE_BYTES);
    for (let page = first; page < end; page++) {
      const [mapping] = this.#in(page * PAGE_BYTES, PAGE_BYTES);
      if (mapping === undefined) return errno("EINVAL");
      visit(mapping, page);
    }
    return 0;
  }

  /** The mappings that a range touches. */
  #in(iova: number, bytes: number): Mapping[] {
    const found: Mapping[] = [];
    for (let i = this.#firstEndingAfter(iova); i < this.#mappings.length; i++) {
      const mapping = this.#mappings[i]!;
      if (mapping.iova >= iova + bytes) break;
      found.push(mapping);
    }
    return found;
  }

  /** Index of the first mapping that ends behind an address. */
  #firstEndingAfter(iova: number): number {
    let low = 0;
    let high = this.#mappings.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { iova: start, bytes } = this.#mappings[middle]!;
      if (start + bytes > iova) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
