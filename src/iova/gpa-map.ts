import { VHOST_ACCESS_RW } from "../layout/vhost.js";
import { FRAME_SPAN_BYTES, type Gpa, type Iova, PAGE_BYTES } from "../memory/address.js";

/** Guest memory that the device reaches at an I/O virtual address; `perm` is a VHOST_ACCESS_* value. */
export interface GpaMapping {
  readonly gpa: Gpa;
  readonly bytes: number;
  readonly iova: Iova;
  /** What the device may do: VHOST_ACCESS_RO, VHOST_ACCESS_WO or VHOST_ACCESS_RW. */
  readonly perm: number;
}

// Bounds on the entries of `first`, where a bucket that holds the border of a mapping costs a wrong guess of the CPU's.
/** Even for few mappings; 4 KiB, which the first-level cache has to spare. */
const BUCKETS_MIN = 2 ** 10;
/** Up to here 16 to a mapping, beyond only two: 256 KiB are a part of the second-level cache. */
const BUCKETS_CHEAP = 2 ** 16;
/** What `iovaBase` is a multiple of: the low half of an IOVA then needs no carry. */
const BASE_STEP_BYTES = 2 ** 32;

/**
 * Where the device finds guest memory: the lookup that the relay makes for every descriptor.
 *
 * Rows in typed arrays, one per mapping, by address. A page p is int32 (GPAs below 2^43), and its IOVA is
 * `iovaBase + (p + deltas[row]) · 4096`. Mappings are disjoint, of whole pages, and in [iovaBase, iovaBase + 2^43).
 *
 * Every change replaces the arrays, in O(mappings): who keeps them in locals takes them anew for each batch. Whoever
 * adds many mappings adds them at once.
 */
export class GpaMap {
  readonly iovaBase: number;
  #size = 0;
  #rows = newRows(0);
  #starts = this.#rows.starts;
  #lasts = this.#rows.lasts;
  #first: Int32Array = new Int32Array(1);
  #shift = 0;
  /** The row of the last page found; a row that matches nothing after each change. */
  #hit = 0;

  /** Serves IOVAs from `iovaBase` up; throws RangeError when that is no multiple of 2^32 below 2^53. */
  constructor(iovaBase: number) {
    if (!(Number.isSafeInteger(iovaBase) && iovaBase >= 0 && iovaBase % BASE_STEP_BYTES === 0)) {
      throw new RangeError(`IOVA base ${iovaBase} is no multiple of 2^32 below 2^53`);
    }
    this.iovaBase = iovaBase;
  }

  /** The bits of `iovaBase` from 32 up, as int32: what to add to the high half of a translated address. */
  get iovaHigh(): number {
    return this.iovaBase / BASE_STEP_BYTES;
  }

  /** How many mappings there are. */
  get size(): number {
    return this.#size;
  }

  /** First page of each mapping, rising. Like every column it ends in one row more, which matches no page. */
  get starts(): Readonly<Int32Array> {
    return this.#rows.starts;
  }

  /** Last page of each mapping, inclusive: so the last page of all, 2^31 - 1, needs no 33rd bit. */
  get lasts(): Readonly<Int32Array> {
    return this.#rows.lasts;
  }

  /** What to add to a page for its page of IOVA above `iovaBase`. */
  get deltas(): Readonly<Int32Array> {
    return this.#rows.deltas;
  }

  /** What the device may do with each mapping (VHOST_ACCESS_*). */
  get perms(): Readonly<Uint8Array> {
    return this.#rows.perms;
  }

  /**
   * Where to search for page p: in rows `first[p >>> shift]` … `first[(p >>> shift) + 1]`, both included.
   *
   * Pages of which `p >>> shift` is not below `first.length - 1` are not mapped.
   */
  get first(): Readonly<Int32Array> {
    return this.#first;
  }

  /** log2 of the pages per entry of `first`. */
  get shift(): number {
    return this.#shift;
  }

  /** The row of a page, -1 when it is not mapped; any int32 may be asked for, none below 0 is mapped. */
  indexOf(page: number): number {
    if (page < 0) return -1;
    const starts = this.#starts;
    const lasts = this.#lasts;
    // A sign bit instead of two comparisons: on random pages nobody can predict either.
    const hit = this.#hit | 0;
    if (((page - starts[hit]!) | (lasts[hit]! - page)) >= 0) return hit;
    const first = this.#first;
    const bucket = page >>> this.#shift;
    if (bucket + 1 >= first.length) return -1;
    let row = first[bucket]!;
    row += 1 & ~((page - starts[row + 1]!) >> 31);
    if (((page - starts[row]!) | (lasts[row]! - page)) < 0) {
      row = this.#search(page, bucket);
      if (((page - starts[row]!) | (lasts[row]! - page)) < 0) return -1;
    }
    this.#hit = row;
    return row;
  }

  /** The last row of a bucket that starts at or before a page, else its first: for buckets of more than two rows. */
  #search(page: number, bucket: number): number {
    const starts = this.#starts;
    let row = this.#first[bucket]!;
    let count = (this.#first[bucket + 1]! - row + 1) | 0;
    while (count > 1) {
      const half = count >>> 1;
      row += half & ~((page - starts[row + half]!) >> 31);
      count = (count - half) | 0;
    }
    return row;
  }

  /** Finds the mapping that covers a guest physical address. */
  find(gpa: Gpa): GpaMapping | undefined {
    // Not >=: NaN, an address of 2^53 or above, is no smaller than anything.
    if (!(gpa < FRAME_SPAN_BYTES)) return undefined;
    const row = this.indexOf((gpa / PAGE_BYTES) | 0);
    return row < 0 ? undefined : this.#mapping(row);
  }

  /**
   * Adds a mapping; false, and nothing changed, when it overlaps one or is not of whole pages inside both windows.
   *
   * Throws RangeError for a size that is no positive integer, and for rights that are none.
   */
  add(mapping: GpaMapping): boolean {
    return this.addAll([mapping]);
  }

  /** Adds all of the mappings, or none and says false (see `add`). */
  addAll(mappings: readonly GpaMapping[]): boolean {
    for (const mapping of mappings) {
      if (!this.#fits(mapping)) return false;
    }
    const added = [...mappings].sort((a, b) => a.gpa - b.gpa);
    const rows = newRows(this.#size + added.length);
    let from = 0;
    let to = 0;
    for (const mapping of added) {
      const page = mapping.gpa / PAGE_BYTES;
      while (this.#starts[from]! < page) copyRows(this.#rows, from++, rows, to++, 1);
      this.#write(rows, to++, mapping);
    }
    copyRows(this.#rows, from, rows, to, this.#size - from);
    if (!disjoint(rows)) return false;
    this.#install(rows);
    return true;
  }

  /** Removes the mapping that starts exactly there; false when none does. */
  remove(gpa: Gpa): boolean {
    if (gpa >= FRAME_SPAN_BYTES || gpa % PAGE_BYTES !== 0) return false;
    const page = (gpa / PAGE_BYTES) | 0;
    const row = this.indexOf(page);
    if (row < 0 || this.#starts[row] !== page) return false;
    const rows = newRows(this.#size - 1);
    copyRows(this.#rows, 0, rows, 0, row);
    copyRows(this.#rows, row + 1, rows, row, this.#size - row - 1);
    this.#install(rows);
    return true;
  }

  /** All mappings, by guest physical address. */
  *entries(): IterableIterator<GpaMapping> {
    for (let row = 0; row < this.#size; row++) yield this.#mapping(row);
  }

  #fits({ gpa, bytes, iova, perm }: GpaMapping): boolean {
    if (!(Number.isSafeInteger(bytes) && bytes > 0)) throw new RangeError(`${bytes} bytes is no size of a mapping`);
    if (!(Number.isInteger(perm) && perm > 0 && perm <= VHOST_ACCESS_RW))
      throw new RangeError(`${perm} is no access right`);
    const offset = iova - this.iovaBase;
    if (gpa % PAGE_BYTES !== 0 || bytes % PAGE_BYTES !== 0 || offset % PAGE_BYTES !== 0) return false;
    return gpa >= 0 && gpa + bytes <= FRAME_SPAN_BYTES && offset >= 0 && offset + bytes <= FRAME_SPAN_BYTES;
  }

  #write(rows: Rows, row: number, { gpa, bytes, iova, perm }: GpaMapping): void {
    const start = gpa / PAGE_BYTES;
    rows.starts[row] = start;
    rows.lasts[row] = start + bytes / PAGE_BYTES - 1;
    rows.deltas[row] = (iova - this.iovaBase) / PAGE_BYTES - start;
    rows.perms[row] = perm;
  }

  #mapping(row: number): GpaMapping {
    const { starts, lasts, deltas, perms } = this.#rows;
    const start = starts[row]!;
    return {
      gpa: (start * PAGE_BYTES) as Gpa,
      bytes: (lasts[row]! - start + 1) * PAGE_BYTES,
      iova: (this.iovaBase + (start + deltas[row]!) * PAGE_BYTES) as Iova,
      perm: perms[row]!,
    };
  }

  #install(rows: Rows): void {
    this.#rows = rows;
    this.#starts = rows.starts;
    this.#lasts = rows.lasts;
    this.#size = rows.perms.length - 1;
    this.#hit = this.#size;
    this.#shift = shiftFor(rows);
    this.#first = firstRows(rows, this.#shift);
  }
}

/** The columns of a GpaMap, each with the closing row that matches no page. */
interface Rows {
  readonly starts: Int32Array;
  readonly lasts: Int32Array;
  readonly deltas: Int32Array;
  readonly perms: Uint8Array;
}

function newRows(count: number): Rows {
  const [starts, lasts, deltas] = [new Int32Array(count + 1), new Int32Array(count + 1), new Int32Array(count + 1)];
  starts[count] = 0x7fff_ffff;
  lasts[count] = -1;
  return { starts, lasts, deltas, perms: new Uint8Array(count + 1) };
}

/** Copies rows of one set of columns to another. */
function copyRows(from: Rows, fromRow: number, to: Rows, toRow: number, count: number): void {
  for (let row = 0; row < count; row++) {
    to.starts[toRow + row] = from.starts[fromRow + row]!;
    to.lasts[toRow + row] = from.lasts[fromRow + row]!;
    to.deltas[toRow + row] = from.deltas[fromRow + row]!;
    to.perms[toRow + row] = from.perms[fromRow + row]!;
  }
}

function disjoint({ starts, lasts }: Rows): boolean {
  // The closing row starts at the last page of all, which a mapping may end on.
  for (let row = 1; row < starts.length - 1; row++) {
    if (starts[row]! <= lasts[row - 1]!) return false;
  }
  return true;
}

/** log2 of the pages of a bucket: the smallest that needs no more buckets than so many mappings are worth. */
function shiftFor({ starts, lasts }: Rows): number {
  const count = starts.length - 1;
  if (count === 0) return 0;
  const buckets = Math.max(BUCKETS_MIN, 2 * count, Math.min(16 * count, BUCKETS_CHEAP));
  let shift = 0;
  while (lasts[count - 1]! >>> shift >= buckets) shift++;
  return shift;
}

/** For each bucket and the one after the last: the last row that starts at or before its first page, else row 0. */
function firstRows({ starts, lasts }: Rows, shift: number): Int32Array {
  const count = starts.length - 1;
  if (count === 0) return new Int32Array(1);
  const first = new Int32Array((lasts[count - 1]! >>> shift) + 2);
  let row = 0;
  for (let bucket = 0; bucket < first.length; bucket++) {
    // Not <<: the page after the last is 2^31.
    const page = bucket * 2 ** shift;
    while (row + 1 < count && starts[row + 1]! <= page) row++;
    first[bucket] = row;
  }
  return first;
}
