import { assert } from "../memory/assert.js";

/** Entries of a table; a large leaf maps as many pages. */
const TABLE_ENTRIES = 512;
/** Pages of 4 KiB that the table can address: 48 bits. */
export const TABLE_END_PAGE = 2 ** 36;

/** The mapping may be written through. */
const WRITABLE = 2;
const PRESENT = 1;
const DIRTY = 4;
/** An entry is the guest page times this, and flags: an integer below 2^53. */
const FRAME = 8;

/** Entries of the level that maps 2 MiB: large leaves, or tables of small ones. */
interface Directory {
  readonly large: Float64Array;
  readonly small: (Float64Array | undefined)[];
}

/** A leaf: the entry, where it stands, and what it maps. */
export interface TableLeaf {
  readonly table: Float64Array;
  readonly index: number;
  readonly firstPage: number;
  readonly pageCount: number;
}

/**
 * The radix page table of an IOMMU: four levels of 512 entries, leaves of 4 KiB and of 2 MiB, a dirty bit in each.
 *
 * Numbers are pages of 4096 bytes. Whoever maps has checked that nothing is there.
 */
export class IoPageTable {
  readonly counters = { leafWrites: 0, tablesAllocated: 0, tablesFreed: 0, leafVisits: 0 };
  /** Two levels of 512, then directories of 1 GiB each. */
  readonly #root: (Directory | undefined)[][] = [];
  readonly #usesLarge: boolean;

  /** `usesLarge`: maps by large leaves where addresses allow it (HUGE_PAGES). */
  constructor(usesLarge: boolean) {
    this.#usesLarge = usesLarge;
  }

  /** Maps pages to guest pages, clean. */
  map(firstPage: number, pageCount: number, gpaPage: number, writable = true): void {
    const end = firstPage + pageCount;
    const flags = PRESENT + (writable ? WRITABLE : 0);
    for (let page = firstPage; page < end; ) {
      const frame = gpaPage + (page - firstPage);
      const directory = this.#directory(page);
      const slot = slotOf(page);
      const fits = page % TABLE_ENTRIES === 0 && frame % TABLE_ENTRIES === 0 && end - page >= TABLE_ENTRIES;
      if (fits && this.#usesLarge && directory.small[slot] === undefined) {
        directory.large[slot] = frame * FRAME + flags;
        page += TABLE_ENTRIES;
      } else {
        this.#smallTable(directory, slot)[page % TABLE_ENTRIES] = frame * FRAME + flags;
        page += 1;
      }
      this.counters.leafWrites += 1;
    }
  }

  /** Whether no leaf maps only a part of what is given. */
  unmapsWholeLeaves(firstPage: number, pageCount: number): boolean {
    const end = firstPage + pageCount;
    return [this.leafOf(firstPage), this.leafOf(end - 1)].every(
      (leaf) => leaf === undefined || (leaf.firstPage >= firstPage && leaf.firstPage + leaf.pageCount <= end),
    );
  }

  /** Takes leaves out, each by one exchange; `visit` sees those that were dirty. */
  unmap(firstPage: number, pageCount: number, visit: (leaf: TableLeaf) => void = () => {}): void {
    this.eachLeaf(firstPage, firstPage + pageCount, (leaf) => {
      const dirty = isDirty(leaf);
      leaf.table[leaf.index] = 0;
      this.counters.leafWrites += 1;
      if (dirty) visit(leaf);
    });
  }

  /** The leaf that maps a page. */
  leafOf(page: number): TableLeaf | undefined {
    const directory = this.#find(page);
    if (directory === undefined) return undefined;
    const slot = slotOf(page);
    const small = directory.small[slot];
    if (small !== undefined) {
      const index = page % TABLE_ENTRIES;
      return small[index] === 0 ? undefined : { table: small, index, firstPage: page, pageCount: 1 };
    }
    if (directory.large[slot] === 0) return undefined;
    const firstPage = page - (page % TABLE_ENTRIES);
    return { table: directory.large, index: slot, firstPage, pageCount: TABLE_ENTRIES };
  }

  /** Visits every leaf that maps some of [firstPage, endPage); returns how many of those pages are mapped. */
  eachLeaf(firstPage: number, endPage: number, visit: (leaf: TableLeaf) => void): number {
    let mapped = 0;
    for (let page = firstPage; page < endPage; ) {
      const directory = this.#find(page);
      const next = page - (page % TABLE_ENTRIES) + TABLE_ENTRIES;
      const end = Math.min(next, endPage);
      const slot = slotOf(page);
      const small = directory?.small[slot];
      if (small !== undefined) mapped += this.#eachSmall(small, page, end, visit);
      else if (directory !== undefined && directory.large[slot] !== 0) {
        this.counters.leafVisits += 1;
        visit({ table: directory.large, index: slot, firstPage: next - TABLE_ENTRIES, pageCount: TABLE_ENTRIES });
        mapped += end - page;
      }
      page = next;
    }
    return mapped;
  }

  /** Visits every leaf there is. */
  everyLeaf(visit: (leaf: TableLeaf) => void): void {
    for (const [i, upper] of this.#root.entries()) {
      for (const [j, directory] of (upper ?? []).entries()) {
        const firstPage = i * 2 ** 27 + j * 2 ** 18;
        if (directory !== undefined) this.eachLeaf(firstPage, firstPage + 2 ** 18, visit);
      }
    }
  }

  /** Replaces large leaves by tables of small ones; what was dirty is dirty in each of them. */
  demote(firstPage: number, pageCount: number): void {
    this.#eachSlot(firstPage, firstPage + pageCount, (directory, slot) => {
      const entry = directory.large[slot]!;
      if (entry === 0) return;
      const table = this.#smallTable(directory, slot);
      for (let i = 0; i < TABLE_ENTRIES; i++) table[i] = entry + i * FRAME;
      this.counters.leafWrites += TABLE_ENTRIES;
      directory.large[slot] = 0;
    });
  }

  /** Replaces tables whose entries are contiguous and alike by large leaves, dirty where any of them was. */
  promote(firstPage: number, pageCount: number): void {
    const end = firstPage + pageCount;
    this.#eachSlot(firstPage, end, (directory, slot, page) => {
      const table = directory.small[slot];
      if (table === undefined || page < firstPage || page + TABLE_ENTRIES > end) return;
      const entry = promoted(table);
      if (entry === undefined) return;
      directory.small[slot] = undefined;
      directory.large[slot] = entry;
      this.counters.leafWrites += 1;
      this.counters.tablesFreed += 1;
    });
  }

  #eachSmall(table: Float64Array, firstPage: number, endPage: number, visit: (leaf: TableLeaf) => void): number {
    let mapped = 0;
    for (let page = firstPage; page < endPage; page++) {
      const index = page % TABLE_ENTRIES;
      this.counters.leafVisits += 1;
      if (table[index] === 0) continue;
      mapped += 1;
      visit({ table, index, firstPage: page, pageCount: 1 });
    }
    return mapped;
  }

  #eachSlot(
    firstPage: number,
    endPage: number,
    visit: (directory: Directory, slot: number, firstPage: number) => void,
  ): void {
    for (let page = firstPage - (firstPage % TABLE_ENTRIES); page < endPage; page += TABLE_ENTRIES) {
      const directory = this.#find(page);
      if (directory !== undefined) visit(directory, slotOf(page), page);
    }
  }

  #find(page: number): Directory | undefined {
    return this.#root[Math.floor(page / 2 ** 27)]?.[Math.floor(page / 2 ** 18) % TABLE_ENTRIES];
  }

  #directory(page: number): Directory {
    assert(page < TABLE_END_PAGE, "pages lie below 48 bits");
    const upper = (this.#root[Math.floor(page / 2 ** 27)] ??= []);
    const at = Math.floor(page / 2 ** 18) % TABLE_ENTRIES;
    return (upper[at] ??= { large: new Float64Array(TABLE_ENTRIES), small: [] });
  }

  #smallTable(directory: Directory, slot: number): Float64Array {
    const there = directory.small[slot];
    if (there !== undefined) return there;
    this.counters.tablesAllocated += 1;
    return (directory.small[slot] = new Float64Array(TABLE_ENTRIES));
  }
}

/** Whether a leaf is dirty. */
export function isDirty({ table, index }: TableLeaf): boolean {
  return (table[index]! & DIRTY) !== 0;
}

/** Whether a leaf may be written through. */
export function isWritable({ table, index }: TableLeaf): boolean {
  return (table[index]! & WRITABLE) !== 0;
}

/** Sets or clears the dirty bit of a leaf. */
export function setDirty(leaf: TableLeaf, dirty: boolean): void {
  if (isDirty(leaf) === dirty) return;
  leaf.table[leaf.index]! += dirty ? DIRTY : -DIRTY;
}

/** Guest page of a leaf's first page. */
export function gpaPageOf({ table, index }: TableLeaf): number {
  return Math.floor(table[index]! / FRAME);
}

/** Which of 512 entries of its directory maps a page. */
function slotOf(page: number): number {
  return Math.floor(page / TABLE_ENTRIES) % TABLE_ENTRIES;
}

function promoted(table: Float64Array): number | undefined {
  const first = table[0]! - (table[0]! & DIRTY);
  let dirty = 0;
  for (let i = 0; i < TABLE_ENTRIES; i++) {
    const entry = table[i]!;
    if (entry - (entry & DIRTY) !== first + i * FRAME) return undefined;
    dirty |= entry & DIRTY;
  }
  const aligned = Math.floor(first / FRAME) % TABLE_ENTRIES === 0;
  return first !== 0 && aligned ? first + dirty : undefined;
}
