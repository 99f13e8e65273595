import type { GpaMap } from "../iova/gpa-map.js";
import { VHOST_ACCESS_RO, VHOST_ACCESS_WO } from "../layout/vhost.js";
import { VRING_DESC, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE } from "../layout/virtio-ring.js";
import { FRAME_SPAN_BYTES, type Gpa, highHalf, joinHalves, lowHalf, PAGE_BYTES } from "../memory/address.js";
import type { GuestMemory } from "../memory/guest-memory.js";
import { RealMemory } from "../memory/real-memory.js";
import type { SharedMemory } from "../memory/shared-memory.js";
import { indirectFault } from "../ring/chain-rules.js";
import { faultCode } from "../ring/peer-fault.js";
import type { VringAreas } from "../ring/vring-areas.js";
import { BOOKS, type ShadowBooks } from "./shadow-books.js";

/** Not a fault: the chain waits in the guest's ring until descriptors come free. */
export const NO_ROOM = 0xff;

const DESC = VRING_DESC.offsets;
const CHAIN_BYTES_MAX = 2 ** 32;
/** One descriptor of the shadow ring covers less than 2^31 bytes, so that its pages can be counted in int32. */
const PIECE_BYTES_MAX = 2 ** 31 - PAGE_BYTES;

const CHAIN_BYTES_OVERFLOW = faultCode("chain-bytes-overflow");
const CHAIN_NEVER_FITS = faultCode("chain-never-fits");
const CHAIN_EMPTY = faultCode("chain-empty");
const ADDRESS_UNMAPPED = faultCode("address-unmapped");
const PERMISSION_DENIED = faultCode("permission-denied");

/** What the odd cases of a walk work on. */
export interface OddBufferParts {
  readonly guest: VringAreas;
  readonly shadow: VringAreas;
  readonly guestMemory: GuestMemory;
  readonly map: GpaMap;
  /** VIRTIO_RING_F_INDIRECT_DESC was negotiated. */
  readonly indirect: boolean;
}

/**
 * What the walk from guest to device leaves aside: indirect tables, buffers across mappings, empty and huge ones.
 *
 * Everything is answered with a fault code (0 is fine), so that the walk can tidy up before it throws.
 */
export class OddBuffers {
  /** The private copy of one indirect table, walked like a descriptor table. */
  readonly tableMemory: SharedMemory;
  readonly #table: Uint8Array;
  readonly #parts: OddBufferParts;
  readonly #books: ShadowBooks;

  constructor(parts: OddBufferParts, books: ShadowBooks) {
    const buffer = new ArrayBuffer(parts.indirect ? parts.guest.num * VRING_DESC.size : 0);
    this.#table = new Uint8Array(buffer);
    this.tableMemory = new RealMemory(buffer);
    this.#parts = parts;
    this.#books = books;
  }

  /** Fetches an indirect table, once, into the private copy; `before` descriptors stood in the chain before it. */
  loadTable(low: number, high: number, bytes: number, flags: number, nested: boolean, before: number): number {
    const { guest, guestMemory, indirect } = this.#parts;
    const fault = indirectFault(flags, bytes, indirect, nested, before, guest.num);
    if (fault !== 0) return fault;
    return guestMemory.copyOut(joinHalves(low, high), this.#table.subarray(0, bytes)) ? 0 : ADDRESS_UNMAPPED;
  }

  /**
   * Writes a buffer that no single mapping covers, or an empty one, which is checked and dropped; returns how many
   * descriptors it took, or minus a fault code. The chain has `count` of `freeCount` free descriptors already.
   */
  add(address: number, length: number, flags: number, first: number, count: number, freeCount: number): number {
    const { map, shadow } = this.#parts;
    const writable = (flags & VRING_DESC_F_WRITE) !== 0;
    let cursor = first;
    let pieces = 0;
    let done = 0;
    do {
      const at = address + done;
      // Not >=: an address of 2^53 or above is NaN, which no comparison finds too large.
      const mapping = at < FRAME_SPAN_BYTES ? map.find(at as Gpa) : undefined;
      if (mapping === undefined) return -ADDRESS_UNMAPPED;
      if ((mapping.perm & (writable ? VHOST_ACCESS_WO : VHOST_ACCESS_RO)) === 0) return -PERMISSION_DENIED;
      const into = at - mapping.gpa;
      const bytes = Math.min(length - done, mapping.bytes - into, PIECE_BYTES_MAX);
      if (bytes === 0) return 0;
      if (count + pieces === freeCount) return freeCount === shadow.num ? -CHAIN_NEVER_FITS : -NO_ROOM;
      done += bytes;
      const more = done < length || (flags & VRING_DESC_F_NEXT) !== 0;
      cursor = this.#write(cursor, at, mapping.iova + into, bytes, writable, more);
      pieces += 1;
    } while (done < length);
    return pieces;
  }

  /** Ends a chain whose last elements were empty, or that is very large. */
  endChain(first: number, count: number): number {
    const { shadow } = this.#parts;
    const { rows } = this.#books;
    if (count === 0) return CHAIN_EMPTY;
    if (this.#books.chainBytes(first, count) > CHAIN_BYTES_MAX) return CHAIN_BYTES_OVERFLOW;
    let index = first;
    for (let i = 1; i < count; i++) index = rows[(index << BOOKS.rowShift) + BOOKS.next]!;
    const writable = rows[(index << BOOKS.rowShift) + BOOKS.length]! > 0;
    const at = shadow.desc + index * VRING_DESC.size;
    shadow.descMemory.write16(at + DESC.flags, writable ? VRING_DESC_F_WRITE : 0);
    return 0;
  }

  #write(index: number, address: number, iova: number, bytes: number, writable: boolean, more: boolean): number {
    const { shadow } = this.#parts;
    const { rows } = this.#books;
    const row = index << BOOKS.rowShift;
    const next = rows[row + BOOKS.next]!;
    const to = shadow.desc + index * VRING_DESC.size;
    shadow.descMemory.write32(to + DESC.addr, lowHalf(iova));
    shadow.descMemory.write32(to + DESC.addr + 4, highHalf(iova));
    shadow.descMemory.write32(to + DESC.len, bytes);
    shadow.descMemory.write16(to + DESC.flags, (more ? VRING_DESC_F_NEXT : 0) | (writable ? VRING_DESC_F_WRITE : 0));
    shadow.descMemory.write16(to + DESC.next, next);
    rows[row + BOOKS.page] = Math.floor(address / PAGE_BYTES);
    rows[row + BOOKS.offset] = address % PAGE_BYTES;
    rows[row + BOOKS.length] = writable ? bytes : -bytes;
    return next;
  }
}
