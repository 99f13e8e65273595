/**
 * Hands out I/O virtual addresses: the lowest room that fits, in O(log n), for a million live mappings and more.
 *
 * `IovaAllocator` speaks of bytes and addresses, `GapTree` of pages and gaps. The tree is drawn in README.md.
 */
import type { Iova } from "../memory/address.js";
import { GapTree, type GapTreeNode } from "./gap-tree.js";

/** The addresses a device can reach, both ends included (VHOST_VDPA_GET_IOVA_RANGE). */
export interface IovaRange {
  readonly first: Iova;
  readonly last: Iova;
}

/** One live mapping as the allocator knows it; `handle` stays the same as long as it lives, and is reused after. */
export interface IovaSpan {
  readonly iova: Iova;
  readonly bytes: number;
  readonly handle: number;
}

/** What no mapping starts at and no handle equals. */
const NONE = -1;

// Not imported: an imported constant is read again at each use in hot code.
const PAGE = 4096;

/**
 * The live mappings of one aperture, and the gaps between them.
 *
 * All sizes are rounded up to pages. Page 0 is not handed out unless asked for: some devices take address 0 for "none".
 * Not for use by two threads, and not to be changed while `entries()` runs.
 */
export class IovaAllocator {
  readonly range: IovaRange;
  readonly #tree: GapTree;
  #count = 0;
  #handleCount = 0;
  /** Handles given back, the last one first, so that side tables stay as short as the most that ever lived. */
  readonly #spareHandles: number[] = [];

  /**
   * Covers the whole pages of `range`, page 0 only where `pageZero` asks for it (guest memory at its own addresses).
   *
   * Throws RangeError when `range` ends before it begins.
   */
  constructor(range: IovaRange, pageZero = false) {
    const { first, last } = range;
    if (!(first >= 0 && first <= last && Number.isSafeInteger(first) && Number.isSafeInteger(last))) {
      throw new RangeError(`${first}..${last} is no range of addresses`);
    }
    this.range = range;
    const floorPage = Math.max(pageZero ? 0 : 1, Math.ceil(first / PAGE));
    this.#tree = new GapTree(floorPage, Math.max(floorPage, Math.floor((last + 1) / PAGE)));
  }

  /** How many mappings live. */
  get count(): number {
    return this.#count;
  }

  /** Takes the lowest room of so many bytes; undefined, and nothing changed, when there is none. Throws RangeError. */
  allocate(bytes: number): Iova | undefined {
    const pages = pagesOf(bytes);
    const before = this.#tree.seekGap(pages);
    if (before === NONE) return undefined;
    const page = this.#tree.endOf(before);
    this.#insert(page, pages);
    return (page * PAGE) as Iova;
  }

  /**
   * Takes so many bytes at an address; false, and nothing changed, when part of them is taken or outside the range, or
   * when the address is not that of a page. Throws RangeError for a size that is no positive integer.
   */
  insert(at: Iova, bytes: number): boolean {
    const pages = pagesOf(bytes);
    const page = at / PAGE;
    if (!(Number.isInteger(page) && page >= 0)) return false;
    const before = this.#tree.seek(page);
    const roomPage = this.#tree.endOf(before);
    if (page < roomPage || page + pages > this.#tree.nextStart()) return false;
    this.#insert(page, pages);
    return true;
  }

  /** Gives back the mapping that starts exactly there; false when none does. */
  free(at: Iova): boolean {
    const handle = this.#tree.remove(at / PAGE);
    if (handle === NONE) return false;
    this.#spareHandles.push(handle);
    this.#count -= 1;
    return true;
  }

  /** Finds the mapping that covers an address. */
  find(at: Iova): IovaSpan | undefined {
    const entry = this.#covering(at);
    return entry === NONE ? undefined : this.#span(entry);
  }

  /** The handle of the mapping that covers an address, an index into tables beside this one; -1 when there is none. */
  handleOf(at: Iova): number {
    const entry = this.#covering(at);
    return entry === NONE ? NONE : this.#tree.handleOf(entry);
  }

  /** All mappings, by address. */
  *entries(): IterableIterator<IovaSpan> {
    const tree = this.#tree;
    tree.seek(-1);
    let page = tree.nextStart();
    while (page < tree.endPage) {
      const entry = tree.seek(page);
      page = tree.nextStart();
      yield this.#span(entry);
    }
  }

  /** The tree as plain data, for those who check or draw it. */
  inspect(): GapTreeNode {
    return this.#tree.inspect();
  }

  /** Adds a mapping into the gap that the last seek has found. */
  #insert(page: number, pages: number): void {
    const handle = this.#spareHandles.pop() ?? this.#handleCount++;
    this.#tree.insertAfterPath(page, pages, handle);
    this.#count += 1;
  }

  #covering(at: Iova): number {
    const page = Math.floor(at / PAGE);
    const entry = this.#tree.seek(page);
    return page < this.#tree.endOf(entry) && this.#tree.handleOf(entry) !== NONE ? entry : NONE;
  }

  #span(entry: number): IovaSpan {
    const tree = this.#tree;
    const iova = (tree.startOf(entry) * PAGE) as Iova;
    return { iova, bytes: tree.pagesOf(entry) * PAGE, handle: tree.handleOf(entry) };
  }
}

function pagesOf(bytes: number): number {
  if (!(Number.isSafeInteger(bytes) && bytes > 0)) throw new RangeError(`${bytes} bytes is no size of a mapping`);
  return Math.ceil(bytes / PAGE);
}
