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
/** Columns of a GpaMap's table: one row of int32 for each mapping, which is a quarter of a cache line. */
export const GPA_MAP = {
  /** First page of the mapping. */
  start: 0,
  /** Its last page, inclusive: so the last page of all, 2^31 - 1, needs no 33rd bit. */
  last: 1,
  /** What to add to a page for its page of IOVA above `iovaBase`. */
  delta: 2,
  /** What the device may do with it (VHOST_ACCESS_*). */
  perm: 3,
  /** log2 of the columns of a row. */
  rowShift: 2,
} as const;

const ROW_SHIFT = GPA_MAP.rowShift;
const START = GPA_MAP.start;
const LAST = GPA_MAP.last;
const DELTA = GPA_MAP.delta;
const PERM = GPA_MAP.perm;
const COLUMNS = 1 << ROW_SHIFT;

/** What `iovaBase` is a multiple of: the low half of an IOVA then needs no carry. */
const BASE_STEP_BYTES = 2 ** 32;

/**
 * Where the device finds guest memory: the lookup that the relay makes for every descriptor.
 *
 * One table with a row for each mapping, by address. A page p is int32 (GPAs below 2^43), and its IOVA is
 * `iovaBase + (p + delta) · 4096`. Mappings are disjoint, of whole pages, and in [iovaBase, iovaBase + 2^43).
 *
 * Every change replaces the arrays, in O(mappings): who keeps them in locals takes them anew for each batch. Whoever
 * adds many mappings adds them at once.
 */
export class GpaMap {
  readonly iovaBase: number;
  /** The bits of `iovaBase` from 32 up, as int32: what to add to the high half of a translated address. */
  readonly iovaHigh: number;
  /**
   * The mappings by first page, rising, in the columns of GPA_MAP; the closing row matches no page and gives no rights.
   *
   * A field like the next, not a getter: the relay reads both once a batch, where V8 has no room left to inline a call.
   */
  table: Readonly<Int32Array> = newTable(0);
  /** Where the closing row starts in the table. */
  closing = 0;
  #first: Int32Array = new Int32Array(1);
  #shift = 0;

  /** Serves IOVAs from `iovaBase` up; throws RangeError when that is no multiple of 2^32 below 2^53. */
  constructor(iovaBase: number) {
    if (!(Number.isSafeInteger(iovaBase) && iovaBase >= 0 && iovaBase % BASE_STEP_BYTES === 0)) {
      throw new RangeError(`IOVA base ${iovaBase} is no multiple of 2^32 below 2^53`);
    }
    this.iovaBase = iovaBase;
    this.iovaHigh = iovaBase / BASE_STEP_BYTES;
  }

  /** How many mappings there are. */
  get size(): number {
    return this.closing >>> ROW_SHIFT;
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

  /**
   * Where the row of a page starts in the table; that of the closing row when the page is not mapped.
   *
   * Any int32 may be asked for; none below 0 is mapped.
   */
  rowOf(page: number): number {
    const { table } = this;
    const first = this.#first;
    const bucket = page >>> this.#shift;
    // Pages below 0 as well: as unsigned numbers they lie in buckets beyond the last.
    if (bucket + 1 >= first.length) return this.closing;
    // A sign bit instead of two comparisons: on random pages nobody can predict either.
    let row = first[bucket]! << ROW_SHIFT;
    row += COLUMNS & ~((page - table[row + COLUMNS]!) >> 31);
    if (((page - table[row]!) | (table[row + LAST]! - page)) >= 0) return row;
    return this.#search(page, bucket);
  }

  /** The last row of a bucket that starts at or before a page, else its first: for buckets of more than two rows. */
  #search(page: number, bucket: number): number {
    const { table } = this;
    let row = this.#first[bucket]!;
    let count = (this.#first[bucket + 1]! - row + 1) | 0;
    while (count > 1) {
      const half = count >>> 1;
      row += half & ~((page - table[(row + half) << ROW_SHIFT]!) >> 31);
      count = (count - half) | 0;
    }
    row <<= ROW_SHIFT;
    return ((page - table[row]!) | (table[row + LAST]! - page)) >= 0 ? row : this.closing;
  }

  /** The row number of a page, -1 when it is not mapped; any int32 may be asked for. */
  indexOf(page: number): number {
    const row = this.rowOf(page);
    return row === this.closing ? -1 : row >>> ROW_SHIFT;
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
    const table = newTable(this.size + added.length);
    let from = 0;
    let to = 0;
    for (const mapping of added) {
      const page = mapping.gpa / PAGE_BYTES;
      const before = from;
      while (this.table[from << ROW_SHIFT]! < page) from++;
      copyRows(this.table, before, table, to, from - before);
      to += from - before;
      this.#write(table, to++, mapping);
    }
    copyRows(this.table, from, table, to, this.size - from);
    if (!disjoint(table)) return false;
    this.#install(table);
    return true;
  }

  /** Removes the mapping that starts exactly there; false when none does. */
  remove(gpa: Gpa): boolean {
    if (gpa >= FRAME_SPAN_BYTES || gpa % PAGE_BYTES !== 0) return false;
    const page = (gpa / PAGE_BYTES) | 0;
    const row = this.indexOf(page);
    if (row < 0 || this.table[row << ROW_SHIFT] !== page) return false;
    const table = newTable(this.size - 1);
    copyRows(this.table, 0, table, 0, row);
    copyRows(this.table, row + 1, table, row, this.size - row - 1);
    this.#install(table);
    return true;
  }

  /** All mappings, by guest physical address. */
  *entries(): IterableIterator<GpaMapping> {
    for (let row = 0; row < this.size; row++) yield this.#mapping(row);
  }

  #fits({ gpa, bytes, iova, perm }: GpaMapping): boolean {
    if (!(Number.isSafeInteger(bytes) && bytes > 0)) throw new RangeError(`${bytes} bytes is no size of a mapping`);
    if (!(Number.isInteger(perm) && perm > 0 && perm <= VHOST_ACCESS_RW))
      throw new RangeError(`${perm} is no access right`);
    const offset = iova - this.iovaBase;
    if (gpa % PAGE_BYTES !== 0 || bytes % PAGE_BYTES !== 0 || offset % PAGE_BYTES !== 0) return false;
    return gpa >= 0 && gpa + bytes <= FRAME_SPAN_BYTES && offset >= 0 && offset + bytes <= FRAME_SPAN_BYTES;
  }

  #write(table: Int32Array, row: number, { gpa, bytes, iova, perm }: GpaMapping): void {
    const start = gpa / PAGE_BYTES;
    const at = row << ROW_SHIFT;
    table[at + START] = start;
    table[at + LAST] = start + bytes / PAGE_BYTES - 1;
    table[at + DELTA] = (iova - this.iovaBase) / PAGE_BYTES - start;
    table[at + PERM] = perm;
  }

  #mapping(row: number): GpaMapping {
    const at = row << ROW_SHIFT;
    const start = this.table[at + START]!;
    return {
      gpa: (start * PAGE_BYTES) as Gpa,
      bytes: (this.table[at + LAST]! - start + 1) * PAGE_BYTES,
      iova: (this.iovaBase + (start + this.table[at + DELTA]!) * PAGE_BYTES) as Iova,
      perm: this.table[at + PERM]!,
    };
  }

  #install(table: Int32Array): void {
    this.table = table;
    this.closing = table.length - COLUMNS;
    this.#shift = shiftFor(table, this.size);
    this.#first = firstRows(table, this.size, this.#shift);
  }
}

/** A table for so many mappings; its closing row starts after every page and ends before any. */
function newTable(count: number): Int32Array {
  const table = new Int32Array((count + 1) << ROW_SHIFT);
  table[(count << ROW_SHIFT) + START] = 0x7fff_ffff;
  table[(count << ROW_SHIFT) + LAST] = -1;
  return table;
}

function copyRows(from: Readonly<Int32Array>, fromRow: number, to: Int32Array, toRow: number, count: number): void {
  to.set(from.subarray(fromRow << ROW_SHIFT, (fromRow + count) << ROW_SHIFT), toRow << ROW_SHIFT);
}

function disjoint(table: Int32Array): boolean {
  // The closing row starts at the last page of all, which a mapping may end on.
  for (let at = COLUMNS; at < table.length - COLUMNS; at += COLUMNS) {
    if (table[at + START]! <= table[at - COLUMNS + LAST]!) return false;
  }
  return true;
}

/** log2 of the pages of a bucket: the smallest that needs no more buckets than so many mappings are worth. */
function shiftFor(table: Int32Array, count: number): number {
  if (count === 0) return 0;
  const buckets = Math.max(BUCKETS_MIN, 2 * count, Math.min(16 * count, BUCKETS_CHEAP));
  let shift = 0;
  while (lastPage(table, count) >>> shift >= buckets) shift++;
  return shift;
}

/** For each bucket and the one after the last: the last row that starts at or before its first page, else row 0. */
function firstRows(table: Int32Array, count: number, shift: number): Int32Array {
  if (count === 0) return new Int32Array(1);
  const first = new Int32Array((lastPage(table, count) >>> shift) + 2);
  let row = 0;
  for (let bucket = 0; bucket < first.length; bucket++) {
    // Not <<: the page after the last is 2^31.
    const page = bucket * 2 ** shift;
    while (row + 1 < count && table[(row + 1) << ROW_SHIFT]! <= page) row++;
    first[bucket] = row;
  }
  return first;
}

function lastPage(table: Int32Array, count: number): number {
  return table[((count - 1) << ROW_SHIFT) + LAST]!;
}
