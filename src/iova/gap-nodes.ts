// A node has up to 32 entries, so a column of one node is four cache lines and a million mappings are five levels deep.
const NODE_SHIFT = 5;
const NODE_ENTRIES = 1 << NODE_SHIFT;

/**
 * The nodes of a GapTree in four columns: what can be asked of one node, and how entries move between neighbours.
 *
 * Node n owns the entries n · 32 … n · 32 + 31. The columns are replaced when they grow, which only add() does.
 */
export class GapNodes {
  /** Leaf: first page of the mapping. Inner: that of the child's first entry, always exact. */
  starts = new Float64Array(NODE_ENTRIES);
  /** Leaf: size of the mapping. Inner: unused. */
  pages = new Float64Array(NODE_ENTRIES);
  /** Leaf: free pages after the mapping. Inner: largest gap below the child. */
  gaps = new Float64Array(NODE_ENTRIES);
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
    const end = first + this.counts[node]!;
    for (let entry = first; entry < end; entry++) {
      if (gaps[entry]! >= pages) return entry;
    }
    return -1;
  }

  /** The largest gap that an entry of a node has. */
  largestGap(node: number): number {
    const gaps = this.gaps;
    const first = node << NODE_SHIFT;
    const end = first + this.counts[node]!;
    let largest = 0;
    for (let entry = first; entry < end; entry++) {
      const gap = gaps[entry]!;
      if (gap > largest) largest = gap;
    }
    return largest;
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

  /** Makes room for one entry more at a place of a node that is not full. */
  open(entry: number): void {
    const node = (entry - 1) >> NODE_SHIFT;
    const end = (node << NODE_SHIFT) + this.counts[node]!++;
    this.#copy(entry, entry + 1, end - entry);
  }

  /** Takes one entry out of its node. */
  close(entry: number): void {
    const node = entry >> NODE_SHIFT;
    const end = (node << NODE_SHIFT) + this.counts[node]!--;
    this.#copy(entry + 1, entry, end - entry - 1);
  }

  /** Moves the first `count` entries of a node to the end of its left neighbour. */
  moveLeft(left: number, right: number, count: number): void {
    const first = right << NODE_SHIFT;
    this.#copy(first, (left << NODE_SHIFT) + this.counts[left]!, count);
    this.#copy(first + count, first, this.counts[right]! - count);
    this.counts[left]! += count;
    this.counts[right]! -= count;
  }

  /** Moves the last `count` entries of a node to the beginning of its right neighbour. */
  moveRight(left: number, right: number, count: number): void {
    const first = right << NODE_SHIFT;
    this.#copy(first, first + count, this.counts[right]!);
    this.#copy((left << NODE_SHIFT) + this.counts[left]! - count, first, count);
    this.counts[left]! -= count;
    this.counts[right]! += count;
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
    this.gaps = extended(this.gaps, new Float64Array(entries));
    this.links = extended(this.links, new Int32Array(entries));
    this.counts = extended(this.counts, new Int32Array(entries >> NODE_SHIFT));
  }
}

function extended<Column extends Float64Array | Int32Array>(from: Column, to: Column): Column {
  to.set(from);
  return to;
}
