import { GapNodes, notedGap } from "./gap-nodes.js";

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

/** What seeks that find nothing return. */
const NONE = -1;

// As in gap-nodes.ts; an imported constant is read again at each use in hot code.
const NODE_SHIFT = 4;
const NODE_ENTRIES = 1 << NODE_SHIFT;
/** The largest gap that a column can note; it stands for larger ones, too. */
const WIDE = 0x7fff_ffff;
/** A node with fewer entries takes some from a neighbour, or joins it. */
const FILL_MIN = NODE_ENTRIES / 4;
/** Neighbours join when the result still has room: an insertion right after does not split it again. */
const JOIN_MAX = (NODE_ENTRIES * 3) / 4;
/** A root of 2 and nodes of FILL_MIN: 2 · 4^17 entries are more than typed arrays can hold. */
const LEVELS_MAX = 18;

/**
 * A B+tree of mappings by start, in which each entry carries the free pages after it, and each child its largest gap.
 *
 * The first entry of the leftmost leaf is a mapping from page -1 up to the floor that nobody can free: every page has
 * an entry at or before it, every gap an owner.
 * A seek leaves its path behind, one entry per level; the change that follows works along it.
 */
export class GapTree {
  /** First page that is out of reach. */
  readonly endPage: number;
  readonly #nodes = new GapNodes();
  /** Entry per level that the last seek went through; level 0 is the leaf. */
  readonly #path = new Int32Array(LEVELS_MAX);
  #root: number;
  /** Levels above the leaves. */
  #height = 0;

  /** Has one gap, from `floorPage` up to and without `endPage`. */
  constructor(floorPage: number, endPage: number) {
    this.endPage = endPage;
    this.#root = this.#nodes.add();
    this.#nodes.write(0, -1, floorPage + 1, notedGap(endPage - floorPage), NONE);
    this.#nodes.counts[0] = 1;
  }

  startOf(entry: number): number {
    return this.#nodes.starts[entry]!;
  }

  pagesOf(entry: number): number {
    return this.#nodes.pages[entry]!;
  }

  endOf(entry: number): number {
    return this.#nodes.starts[entry]! + this.#nodes.pages[entry]!;
  }

  /** First page of the mapping after the one the last seek went to; `endPage` when it is the last. */
  nextStart(): number {
    for (let level = 0; level <= this.#height; level++) {
      const next = this.#path[level]! + 1;
      const slot = next & (NODE_ENTRIES - 1);
      // The first start that an inner node notes is exact.
      if (slot !== 0 && slot < this.#nodes.counts[next >> NODE_SHIFT]!) return this.#nodes.starts[next]!;
    }
    return this.endPage;
  }

  handleOf(entry: number): number {
    return this.#nodes.links[entry]!;
  }

  /** Goes to the last mapping that starts at or before a page; -1 is where the one below the floor starts. */
  seek(page: number): number {
    const links = this.#nodes.links;
    const path = this.#path;
    let node = this.#root;
    let entry = 0;
    for (let level = this.#height; level >= 0; level--) {
      entry = this.#nodes.lastStart(node, page);
      path[level] = entry;
      node = links[entry]!;
    }
    return entry;
  }

  /** Goes to the lowest mapping with so many free pages after it; NONE when there is none. */
  seekGap(pages: number): number {
    if (pages > WIDE) return this.#seekWide(this.#root, this.#height, pages);
    const links = this.#nodes.links;
    const path = this.#path;
    let node = this.#root;
    let entry = 0;
    for (let level = this.#height; level >= 0; level--) {
      entry = this.#nodes.firstGap(node, pages);
      // Only ever at the root: below it, the parent's gap says that there is one.
      if (entry === NONE) return NONE;
      path[level] = entry;
      node = links[entry]!;
    }
    return entry;
  }

  /** The same for more pages than a gap is noted with; such gaps are so large that no aperture has many. */
  #seekWide(node: number, level: number, pages: number): number {
    const first = node << NODE_SHIFT;
    for (let entry = first; entry < first + this.#nodes.counts[node]!; entry++) {
      if (this.#nodes.gaps[entry] !== WIDE) continue;
      this.#path[level] = entry;
      if (level > 0) {
        const found = this.#seekWide(this.#nodes.links[entry]!, level - 1, pages);
        if (found !== NONE) return found;
      } else if (this.nextStart() - this.endOf(entry) >= pages) return entry;
    }
    return NONE;
  }

  /** Adds a mapping into the gap after the one the last seek went to; the caller has seen that it fits. */
  insertAfterPath(start: number, pages: number, handle: number): void {
    const next = this.nextStart();
    if (this.#nodes.counts[this.#path[0]! >> NODE_SHIFT] === NODE_ENTRIES) this.#makeRoom();
    const before = this.#path[0]!;
    this.#nodes.gaps[before] = notedGap(start - this.endOf(before));
    this.#nodes.insert(before + 1, start, pages, notedGap(next - start - pages), handle);
    this.#restate();
  }

  /** Removes the mapping that starts exactly there and gives its handle; NONE when none does. */
  remove(start: number): number {
    if (!(start >= 0)) return NONE;
    const entry = this.seek(start);
    if (this.#nodes.starts[entry] !== start) return NONE;
    const handle = this.#nodes.links[entry]!;
    const next = this.nextStart();
    if ((entry & (NODE_ENTRIES - 1)) === 0) {
      // The gap that grows is in the leaf before.
      this.#widen(this.seek(start - 1), next);
      this.#nodes.close(this.seek(start));
      this.#repair();
    } else {
      this.#widen(entry - 1, next);
      this.#nodes.close(entry);
      if (this.#nodes.counts[entry >> NODE_SHIFT]! < FILL_MIN) this.#repair();
    }
    return handle;
  }

  inspect(node = this.#root, level = this.#height, next = this.endPage): GapTreeNode {
    const first = node << NODE_SHIFT;
    const count = this.#nodes.counts[node]!;
    const entries = Array.from({ length: count }, (_, slot): GapTreeEntry => {
      const entry = first + slot;
      const [start, pages, link] = [this.startOf(entry), this.pagesOf(entry), this.handleOf(entry)];
      const end = slot + 1 < count ? this.startOf(entry + 1) : next;
      if (level === 0) return { start, pages, gap: end - start - pages, handle: link };
      return { start, pages, gap: this.#nodes.gaps[entry]!, child: this.inspect(link, level - 1, end) };
    });
    return { entries };
  }

  /** Lets the gap after the path's mapping, or the one before it in its leaf, reach up to `next`; carries that up. */
  #widen(entry: number, next: number): void {
    const gap = notedGap(next - this.endOf(entry));
    this.#nodes.gaps[entry] = gap;
    for (let level = 1; level <= this.#height; level++) {
      const above = this.#path[level]!;
      if (this.#nodes.gaps[above]! >= gap) return;
      this.#nodes.gaps[above] = gap;
    }
  }

  /** Carries a smaller gap from the leaf up, as far as it matters; an insertion changes no first start. */
  #restate(): void {
    const { gaps } = this.#nodes;
    for (let level = 0; level < this.#height; level++) {
      const gap = this.#nodes.largestGap(this.#path[level]! >> NODE_SHIFT);
      const above = this.#path[level + 1]!;
      if (gaps[above] === gap) return;
      gaps[above] = gap;
    }
  }

  /** Splits the full nodes along the path, from the top down, so that the leaf can take one entry more. */
  #makeRoom(): void {
    let full = 0;
    while (full <= this.#height && this.#nodes.counts[this.#path[full]! >> NODE_SHIFT] === NODE_ENTRIES) full++;
    if (full > this.#height) this.#growRoot();
    for (let level = full - 1; level >= 0; level--) this.#split(level);
  }

  #growRoot(): void {
    const root = this.#nodes.add();
    const entry = root << NODE_SHIFT;
    this.#nodes.write(entry, -1, 0, this.#nodes.largestGap(this.#root), this.#root);
    this.#nodes.counts[root] = 1;
    this.#root = root;
    this.#height += 1;
    this.#path[this.#height] = entry;
  }

  /** Splits the path's node of a level, whose parent has room; the path then goes through the right one of the two. */
  #split(level: number): void {
    const entry = this.#path[level]!;
    const node = entry >> NODE_SHIFT;
    const slot = entry & (NODE_ENTRIES - 1);
    const right = this.#nodes.add();
    // Addresses that only rise would leave every leaf half empty.
    const kept = slot === NODE_ENTRIES - 1 ? JOIN_MAX : NODE_ENTRIES / 2;
    this.#nodes.moveRight(node, right, NODE_ENTRIES - kept);
    const parent = this.#path[level + 1]!;
    this.#nodes.insert(parent + 1, this.#nodes.starts[right << NODE_SHIFT]!, 0, this.#nodes.largestGap(right), right);
    this.#nodes.gaps[parent] = this.#nodes.largestGap(node);
    if (slot < kept) return;
    this.#path[level] = (right << NODE_SHIFT) + slot - kept;
    this.#path[level + 1] = parent + 1;
  }

  /** Puts right what a removal from the path's leaf has left: first starts, gaps, and nodes with too few entries. */
  #repair(): void {
    for (let level = 0; level < this.#height; level++) {
      if (this.#nodes.counts[this.#path[level]! >> NODE_SHIFT]! < FILL_MIN) this.#refill(this.#path[level + 1]!);
      else if (!this.#nodes.describe(this.#path[level + 1]!)) return;
    }
    if (this.#height > 0 && this.#nodes.counts[this.#root] === 1) this.#dropRoot();
  }

  /** Joins the child at an inner entry with a neighbour, or shares the entries of both evenly. */
  #refill(entry: number): void {
    const leftEntry = (entry & (NODE_ENTRIES - 1)) === 0 ? entry : entry - 1;
    const left = this.#nodes.links[leftEntry]!;
    const right = this.#nodes.links[leftEntry + 1]!;
    const excess = this.#nodes.counts[right]! - this.#nodes.counts[left]!;
    if (this.#nodes.counts[left]! + this.#nodes.counts[right]! <= JOIN_MAX) {
      this.#nodes.moveLeft(left, right, this.#nodes.counts[right]!);
      this.#nodes.close(leftEntry + 1);
      this.#nodes.release(right);
    } else {
      if (excess > 0) this.#nodes.moveLeft(left, right, excess >> 1);
      else this.#nodes.moveRight(left, right, -excess >> 1);
      this.#nodes.describe(leftEntry + 1);
    }
    this.#nodes.describe(leftEntry);
  }

  #dropRoot(): void {
    this.#nodes.release(this.#root);
    this.#root = this.#nodes.links[this.#root << NODE_SHIFT]!;
    this.#height -= 1;
  }
}
