// A node has up to 16 entries, so its gaps are one cache line, and a million mappings are six levels deep.
const NODE_SHIFT = 4;
const NODE_ENTRIES = 1 << NODE_SHIFT;
/** Entries that one step of a search for gaps looks at. */
const STEP = 4;
/** The largest gap that a column can note; it stands for larger ones, too. */
const WIDE = 0x7fff_ffff;

/**
 * The nodes of a GapTree in four columns: what can be asked of one node, and how entries move between neighbours.
 *
 * Node n owns the entries n · 16 … n · 16 + 15. The columns are replaced when they grow, which only add() does.
 */
export class GapNodes {
  /** Leaf: first page of the mapping. Inner: that of the child's first entry, always exact. */
  starts = new Float64Array(NODE_ENTRIES);
  /** Leaf: size of the mapping. Inner: unused. */
  pages = new Float64Array(NODE_ENTRIES);
  /** Leaf: free pages after the mapping. Inner: largest gap below the child. At most WIDE. Unused: 0. */
  gaps = new Int32Array(NODE_ENTRIES);
  /** Leaf: handle. Inner: node of the child. */
  links = new Int32Array(NODE_ENTRIES);
  /** Entries in use, per node. */
  counts = new Int32Array(1);
  readonly #spares: number[] = [];
  #size = 0;

  /** Takes a node, without entries; the columns may be others then. */
  add(): number {
    const node = this.#spares.pop() ?? this.#size++;
    if (node >= this.counts.length) this.#grow();
    this.counts[node] = 0;
    this.#forget(node);
    return node;
  }

  /** Gives a node back. */
  release(node: number): void {
    this.#spares.push(node);
  }

  /** The last entry of a node that starts at or before a page, else its first. */
  lastStart(node: number, page: number): number {
    const starts = this.starts;
    let entry = node << NODE_SHIFT;
    const end = entry + this.counts[node]!;
    while (entry + 1 < end && starts[entry + 1]! <= page) entry++;
    return entry;
  }

  /** The first entry of a node with so many free pages after it or below it; -1 when there is none. */
  firstGap(node: number, pages: number): number {
    const gaps = this.gaps;
    const first = node << NODE_SHIFT;
    for (let entry = first; entry < first + NODE_ENTRIES; entry = (entry + STEP) | 0) {
      if (gaps[entry]! >= pages) return entry;
      if (gaps[entry | 1]! >= pages) return entry | 1;
      if (gaps[entry | 2]! >= pages) return entry | 2;
      if (gaps[entry | 3]! >= pages) return entry | 3;
    }
    return -1;
  }

  /** The largest gap that an entry of a node has. */
  largestGap(node: number): number {
    const gaps = this.gaps;
    const first = node << NODE_SHIFT;
    const end = first + this.counts[node]!;
    // By sign bits: which of two gaps is larger is a wrong guess of the CPU's too often. By halves: shorter chains.
    let even = 0;
    let odd = 0;
    for (let entry = first; entry < end; entry = (entry + STEP) | 0) {
      const a = (gaps[entry]! - even) | 0;
      const b = (gaps[entry | 1]! - odd) | 0;
      even = (even + (a & ~(a >> 31))) | 0;
      odd = (odd + (b & ~(b >> 31))) | 0;
      const c = (gaps[entry | 2]! - even) | 0;
      const d = (gaps[entry | 3]! - odd) | 0;
      even = (even + (c & ~(c >> 31))) | 0;
      odd = (odd + (d & ~(d >> 31))) | 0;
    }
    const more = (even - odd) | 0;
    return (odd + (more & ~(more >> 31))) | 0;
  }

  /** Makes an inner entry say what its child holds; false when it did. */
  describe(entry: number): boolean {
    const child = this.links[entry]!;
    const start = this.starts[child << NODE_SHIFT]!;
    const gap = this.largestGap(child);
    if (this.starts[entry] === start && this.gaps[entry] === gap) return false;
    this.starts[entry] = start;
    this.gaps[entry] = gap;
    return true;
  }

  /** Fills in an entry. */
  write(entry: number, start: number, pages: number, gap: number, link: number): void {
    this.starts[entry] = start;
    this.pages[entry] = pages;
    this.gaps[entry] = gap;
    this.links[entry] = link;
  }

  /** Puts an entry at a place of a node that is not full, before the one that is there. */
  insert(entry: number, newStart: number, newPages: number, newGap: number, newLink: number): void {
    const starts = this.starts;
    const sizes = this.pages;
    const gaps = this.gaps;
    const links = this.links;
    const node = (entry - 1) >> NODE_SHIFT;
    const end = (node << NODE_SHIFT) + this.counts[node]!++;
    let start = newStart;
    let size = newPages;
    let gap = newGap;
    let link = newLink;
    for (let at = entry; at <= end; at = (at + 1) | 0) {
      const nextStart = starts[at]!;
      const nextSize = sizes[at]!;
      const nextGap = gaps[at]!;
      const nextLink = links[at]!;
      starts[at] = start;
      sizes[at] = size;
      gaps[at] = gap;
      links[at] = link;
      start = nextStart;
      size = nextSize;
      gap = nextGap;
      link = nextLink;
    }
  }

  /** Takes one entry out of its node. */
  close(entry: number): void {
    const node = entry >> NODE_SHIFT;
    const end = (node << NODE_SHIFT) + this.counts[node]!--;
    this.#copy(entry + 1, entry, end - entry - 1);
    this.gaps[end - 1] = 0;
  }

  /** Moves the first `count` entries of a node to the end of its left neighbour. */
  moveLeft(left: number, right: number, count: number): void {
    const first = right << NODE_SHIFT;
    this.#copy(first, (left << NODE_SHIFT) + this.counts[left]!, count);
    this.#copy(first + count, first, this.counts[right]! - count);
    this.counts[left]! += count;
    this.counts[right]! -= count;
    this.#forget(right);
  }

  /** Moves the last `count` entries of a node to the beginning of its right neighbour. */
  moveRight(left: number, right: number, count: number): void {
    const first = right << NODE_SHIFT;
    this.#copy(first, first + count, this.counts[right]!);
    this.#copy((left << NODE_SHIFT) + this.counts[left]! - count, first, count);
    this.counts[left]! -= count;
    this.counts[right]! += count;
    this.#forget(left);
  }

  /** Clears the gaps of a node's unused entries. */
  #forget(node: number): void {
    const first = node << NODE_SHIFT;
    this.gaps.fill(0, first + this.counts[node]!, first + NODE_ENTRIES);
  }

  /** Copies entries, all four columns; the two places may overlap. */
  #copy(from: number, to: number, count: number): void {
    const starts = this.starts;
    const pages = this.pages;
    const gaps = this.gaps;
    const links = this.links;
    const step = to < from ? 1 : -1;
    let index = to < from ? 0 : count - 1;
    for (let left = count; left > 0; left--, index += step) {
      starts[to + index] = starts[from + index]!;
      pages[to + index] = pages[from + index]!;
      gaps[to + index] = gaps[from + index]!;
      links[to + index] = links[from + index]!;
    }
  }

  #grow(): void {
    const entries = this.starts.length * 2;
    this.starts = extended(this.starts, new Float64Array(entries));
    this.pages = extended(this.pages, new Float64Array(entries));
    this.gaps = extended(this.gaps, new Int32Array(entries));
    this.links = extended(this.links, new Int32Array(entries));
    this.counts = extended(this.counts, new Int32Array(entries >> NODE_SHIFT));
  }
}

/** A gap of so many pages as the column has it. */
export function notedGap(gap: number): number {
  return gap < WIDE ? gap : WIDE;
}

function extended<Column extends Float64Array | Int32Array>(from: Column, to: Column): Column {
  to.set(from);
  return to;
}
