/**
 * Hands out I/O virtual addresses: the lowest room that fits, in O(log n), for a million live mappings and more.
 *
 * `IovaAllocator` speaks of bytes and addresses, `GapTree` below it of pages and gaps. The tree is drawn in README.md.
 */
import type { Iova } from "../memory/address.js";

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
    if (page < roomPage || page + pages > roomPage + this.#tree.gapAfter(before)) return false;
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
    let page = tree.nextStart(tree.seek(0));
    while (page < tree.endPage) {
      const entry = tree.seek(page);
      page = tree.nextStart(entry);
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

/** A node of the tree as plain data: a leaf's entries are mappings, an inner node's entries its children. */
export interface GapTreeNode {
  readonly entries: readonly GapTreeEntry[];
}

/** One entry: a mapping and the free pages after it, or a child with its first start and its largest gap. */
export interface GapTreeEntry {
  readonly start: number;
  readonly pages: number;
  readonly gap: number;
  readonly handle?: number;
  readonly child?: GapTreeNode;
}

// A node has up to 32 entries, so a column of one node is four cache lines and a million mappings are five levels deep.
const NODE_SHIFT = 5;
const NODE_ENTRIES = 1 << NODE_SHIFT;
/** A node with fewer entries takes some from a neighbour, or joins it. */
const FILL_MIN = NODE_ENTRIES / 4;
/** Neighbours join when the result still has room: an insertion right after does not split it again. */
const JOIN_MAX = (NODE_ENTRIES * 3) / 4;
/** A root of 2 and nodes of FILL_MIN: 2 · 8^11 entries are more than typed arrays can hold. */
const LEVELS_MAX = 12;

/**
 * A B+tree of mappings by start, in which each entry carries the free pages after it, and each child its largest gap.
 *
 * Node n owns the entries n · 32 … n · 32 + 31 of four columns. The first entry of the leftmost leaf is a mapping from
 * page -1 up to the floor that nobody can free: every page has an entry at or before it, every gap an owner.
 * A seek leaves its path behind, one entry per level; the change that follows works along it.
 */
class GapTree {
  /** First page that is out of reach. */
  readonly endPage: number;
  /** Leaf: first page of the mapping. Inner: that of the child's first entry, always exact. */
  #starts = new Float64Array(NODE_ENTRIES);
  /** Leaf: size of the mapping. Inner: unused. */
  #pages = new Float64Array(NODE_ENTRIES);
  /** Leaf: free pages after the mapping. Inner: largest gap below the child. */
  #gaps = new Float64Array(NODE_ENTRIES);
  /** Leaf: handle. Inner: node of the child. */
  #links = new Int32Array(NODE_ENTRIES);
  /** Entries in use, per node. */
  #counts = new Int32Array(1);
  /** Entry per level that the last seek went through; level 0 is the leaf. */
  readonly #path = new Int32Array(LEVELS_MAX);
  readonly #spareNodes: number[] = [];
  #nodeCount = 1;
  #root = 0;
  /** Levels above the leaves. */
  #height = 0;

  /** Has one gap, from `floorPage` up to and without `endPage`. */
  constructor(floorPage: number, endPage: number) {
    this.endPage = endPage;
    this.#write(0, -1, floorPage + 1, endPage - floorPage, NONE);
    this.#counts[0] = 1;
  }

  startOf(entry: number): number {
    return this.#starts[entry]!;
  }

  pagesOf(entry: number): number {
    return this.#pages[entry]!;
  }

  endOf(entry: number): number {
    return this.#starts[entry]! + this.#pages[entry]!;
  }

  gapAfter(entry: number): number {
    return this.#gaps[entry]!;
  }

  /** First page of the mapping after this one; `endPage` when it is the last. */
  nextStart(entry: number): number {
    return this.endOf(entry) + this.#gaps[entry]!;
  }

  handleOf(entry: number): number {
    return this.#links[entry]!;
  }

  /** Goes to the last mapping that starts at or before a page (not below 0). */
  seek(page: number): number {
    const links = this.#links;
    const path = this.#path;
    let node = this.#root;
    let entry = 0;
    for (let level = this.#height; level >= 0; level--) {
      entry = this.#lastStart(node, page);
      path[level] = entry;
      node = links[entry]!;
    }
    return entry;
  }

  /** Goes to the lowest mapping with so many free pages after it; NONE when there is none. */
  seekGap(pages: number): number {
    const links = this.#links;
    const path = this.#path;
    let node = this.#root;
    let entry = 0;
    for (let level = this.#height; level >= 0; level--) {
      entry = this.#firstGap(node, pages);
      // Only ever at the root: below it, the parent's gap says that there is one.
      if (entry === NONE) return NONE;
      path[level] = entry;
      node = links[entry]!;
    }
    return entry;
  }

  /** Adds a mapping into the gap after the one the last seek went to; the caller has seen that it fits. */
  insertAfterPath(start: number, pages: number, handle: number): void {
    this.#makeRoom();
    const before = this.#path[0]!;
    const next = this.nextStart(before);
    this.#gaps[before] = start - this.endOf(before);
    this.#open(before + 1);
    this.#write(before + 1, start, pages, next - start - pages, handle);
    this.#restate();
  }

  /** Removes the mapping that starts exactly there and gives its handle; NONE when none does. */
  remove(start: number): number {
    if (!(start > 0)) return NONE;
    const entry = this.seek(start);
    if (this.#starts[entry] !== start) return NONE;
    const handle = this.#links[entry]!;
    const freed = this.#pages[entry]! + this.#gaps[entry]!;
    if ((entry & (NODE_ENTRIES - 1)) === 0) {
      // The gap that grows is in the leaf before.
      this.#widen(this.seek(start - 1), freed);
      this.#close(this.seek(start));
      this.#repair();
    } else {
      this.#widen(entry - 1, freed);
      this.#close(entry);
      if (this.#counts[entry >> NODE_SHIFT]! < FILL_MIN) this.#repair();
    }
    return handle;
  }

  inspect(node = this.#root, level = this.#height): GapTreeNode {
    const first = node << NODE_SHIFT;
    const entries = Array.from({ length: this.#counts[node]! }, (_, slot): GapTreeEntry => {
      const entry = first + slot;
      const [start, pages, gap, link] = [
        this.startOf(entry),
        this.pagesOf(entry),
        this.gapAfter(entry),
        this.handleOf(entry),
      ];
      if (level === 0) return { start, pages, gap, handle: link };
      return { start, pages, gap, child: this.inspect(link, level - 1) };
    });
    return { entries };
  }

  #lastStart(node: number, page: number): number {
    const starts = this.#starts;
    let entry = node << NODE_SHIFT;
    const end = entry + this.#counts[node]!;
    while (entry + 1 < end && starts[entry + 1]! <= page) entry++;
    return entry;
  }

  #firstGap(node: number, pages: number): number {
    const gaps = this.#gaps;
    const first = node << NODE_SHIFT;
    const end = first + this.#counts[node]!;
    for (let entry = first; entry < end; entry++) {
      if (gaps[entry]! >= pages) return entry;
    }
    return NONE;
  }

  #largestGap(node: number): number {
    const gaps = this.#gaps;
    const first = node << NODE_SHIFT;
    const end = first + this.#counts[node]!;
    let largest = 0;
    for (let entry = first; entry < end; entry++) {
      const gap = gaps[entry]!;
      if (gap > largest) largest = gap;
    }
    return largest;
  }

  /** Lets the gap after the path's mapping, or the one before it in its leaf, grow, and carries that up. */
  #widen(entry: number, pages: number): void {
    const gap = (this.#gaps[entry]! += pages);
    for (let level = 1; level <= this.#height; level++) {
      const above = this.#path[level]!;
      if (this.#gaps[above]! >= gap) return;
      this.#gaps[above] = gap;
    }
  }

  /** Carries a changed gap or first start from the leaf up, as far as it matters. */
  #restate(): void {
    for (let level = 0; level < this.#height; level++) {
      if (!this.#describe(this.#path[level + 1]!)) return;
    }
  }

  /** Makes an inner entry say what its child holds; false when it did. */
  #describe(entry: number): boolean {
    const child = this.#links[entry]!;
    const start = this.#starts[child << NODE_SHIFT]!;
    const gap = this.#largestGap(child);
    if (this.#starts[entry] === start && this.#gaps[entry] === gap) return false;
    this.#starts[entry] = start;
    this.#gaps[entry] = gap;
    return true;
  }

  /** Splits the full nodes along the path, from the top down, so that the leaf can take one entry more. */
  #makeRoom(): void {
    let full = 0;
    while (full <= this.#height && this.#counts[this.#path[full]! >> NODE_SHIFT] === NODE_ENTRIES) full++;
    if (full > this.#height) this.#growRoot();
    for (let level = full - 1; level >= 0; level--) this.#split(level);
  }

  #growRoot(): void {
    const root = this.#newNode();
    const entry = root << NODE_SHIFT;
    this.#write(entry, -1, 0, this.#largestGap(this.#root), this.#root);
    this.#counts[root] = 1;
    this.#root = root;
    this.#height += 1;
    this.#path[this.#height] = entry;
  }

  /** Splits the path's node of a level, whose parent has room; the path then goes through the right one of the two. */
  #split(level: number): void {
    const entry = this.#path[level]!;
    const node = entry >> NODE_SHIFT;
    const slot = entry & (NODE_ENTRIES - 1);
    const right = this.#newNode();
    // Addresses that only rise would leave every leaf half empty.
    const kept = slot === NODE_ENTRIES - 1 ? JOIN_MAX : NODE_ENTRIES / 2;
    this.#moveRight(node, right, NODE_ENTRIES - kept);
    const parent = this.#path[level + 1]!;
    this.#open(parent + 1);
    this.#write(parent + 1, this.#starts[right << NODE_SHIFT]!, 0, this.#largestGap(right), right);
    this.#gaps[parent] = this.#largestGap(node);
    if (slot < kept) return;
    this.#path[level] = (right << NODE_SHIFT) + slot - kept;
    this.#path[level + 1] = parent + 1;
  }

  /** Puts right what a removal from the path's leaf has left: first starts, gaps, and nodes with too few entries. */
  #repair(): void {
    for (let level = 0; level < this.#height; level++) {
      if (this.#counts[this.#path[level]! >> NODE_SHIFT]! < FILL_MIN) this.#refill(this.#path[level + 1]!);
      else if (!this.#describe(this.#path[level + 1]!)) return;
    }
    if (this.#height > 0 && this.#counts[this.#root] === 1) this.#dropRoot();
  }

  /** Joins the child at an inner entry with a neighbour, or shares the entries of both evenly. */
  #refill(entry: number): void {
    const leftEntry = (entry & (NODE_ENTRIES - 1)) === 0 ? entry : entry - 1;
    const left = this.#links[leftEntry]!;
    const right = this.#links[leftEntry + 1]!;
    const excess = this.#counts[right]! - this.#counts[left]!;
    if (this.#counts[left]! + this.#counts[right]! <= JOIN_MAX) {
      this.#moveLeft(left, right, this.#counts[right]!);
      this.#close(leftEntry + 1);
      this.#spareNodes.push(right);
    } else {
      if (excess > 0) this.#moveLeft(left, right, excess >> 1);
      else this.#moveRight(left, right, -excess >> 1);
      this.#describe(leftEntry + 1);
    }
    this.#describe(leftEntry);
  }

  #dropRoot(): void {
    this.#spareNodes.push(this.#root);
    this.#root = this.#links[this.#root << NODE_SHIFT]!;
    this.#height -= 1;
  }

  /** Moves the first `count` entries of a node to the end of its left neighbour. */
  #moveLeft(left: number, right: number, count: number): void {
    const first = right << NODE_SHIFT;
    this.#copy(first, (left << NODE_SHIFT) + this.#counts[left]!, count);
    this.#copy(first + count, first, this.#counts[right]! - count);
    this.#counts[left]! += count;
    this.#counts[right]! -= count;
  }

  /** Moves the last `count` entries of a node to the beginning of its right neighbour. */
  #moveRight(left: number, right: number, count: number): void {
    const first = right << NODE_SHIFT;
    this.#copy(first, first + count, this.#counts[right]!);
    this.#copy((left << NODE_SHIFT) + this.#counts[left]! - count, first, count);
    this.#counts[left]! -= count;
    this.#counts[right]! += count;
  }

  /** Makes room for one entry more at a place of a node that is not full. */
  #open(entry: number): void {
    const node = (entry - 1) >> NODE_SHIFT;
    const end = (node << NODE_SHIFT) + this.#counts[node]!++;
    this.#copy(entry, entry + 1, end - entry);
  }

  /** Takes one entry out of its node. */
  #close(entry: number): void {
    const node = entry >> NODE_SHIFT;
    const end = (node << NODE_SHIFT) + this.#counts[node]!--;
    this.#copy(entry + 1, entry, end - entry - 1);
  }

  /** Copies entries, all four columns; the two places may overlap. */
  #copy(from: number, to: number, count: number): void {
    const starts = this.#starts;
    const pages = this.#pages;
    const gaps = this.#gaps;
    const links = this.#links;
    const step = to < from ? 1 : -1;
    let index = to < from ? 0 : count - 1;
    for (let left = count; left > 0; left--, index += step) {
      starts[to + index] = starts[from + index]!;
      pages[to + index] = pages[from + index]!;
      gaps[to + index] = gaps[from + index]!;
      links[to + index] = links[from + index]!;
    }
  }

  #write(entry: number, start: number, pages: number, gap: number, link: number): void {
    this.#starts[entry] = start;
    this.#pages[entry] = pages;
    this.#gaps[entry] = gap;
    this.#links[entry] = link;
  }

  #newNode(): number {
    const node = this.#spareNodes.pop() ?? this.#nodeCount++;
    if (node >= this.#counts.length) this.#grow();
    this.#counts[node] = 0;
    return node;
  }

  #grow(): void {
    const entries = this.#starts.length * 2;
    this.#starts = extended(this.#starts, new Float64Array(entries));
    this.#pages = extended(this.#pages, new Float64Array(entries));
    this.#gaps = extended(this.#gaps, new Float64Array(entries));
    this.#links = extended(this.#links, new Int32Array(entries));
    this.#counts = extended(this.#counts, new Int32Array(entries >> NODE_SHIFT));
  }
}

function extended<Column extends Float64Array | Int32Array>(from: Column, to: Column): Column {
  to.set(from);
  return to;
}
