import { VHOST_ACCESS_RW } from "../layout/vhost.js";
import type { Gpa, Iova } from "../memory/address.js";
import { GpaMap, type GpaMapping } from "./gpa-map.js";
import { IovaAllocator, type IovaRange } from "./iova-allocator.js";

/** Memory of our own that only the device is to reach, such as a shadow ring: an offset in a numbered backing. */
export interface HostKey {
  /** Non-negative int32. */
  readonly backing: number;
  /** Bytes; non-negative. */
  readonly offset: number;
}

/** What lies behind a mapping. */
type MappingTarget =
  | { readonly kind: "guest"; readonly gpa: Gpa }
  | { readonly kind: "host"; readonly backing: number; readonly offset: number };

/** One thing that the device can reach; `perm` is a VHOST_ACCESS_* value. */
export interface IovaMapping {
  readonly iova: Iova;
  readonly bytes: number;
  readonly perm: number;
  readonly target: MappingTarget;
}

/** Guest memory to map: at `iova` when that is given, else in the lowest room. */
export interface GuestRequest {
  readonly gpa: Gpa;
  readonly bytes: number;
  readonly perm: number;
  readonly iova?: Iova;
}

/** A run of bytes as the device addresses it, within one mapping. */
export interface IovaPiece {
  readonly iova: Iova;
  readonly bytes: number;
}

/** Why guest memory cannot be handed to the device. */
export type TranslateRefusal = "unmapped" | "permission";

/** In `#backings`, for a mapping of guest memory. */
const GUEST = -1;

/**
 * All that one device can reach: guest memory by GPA, and memory of our own such as shadow rings.
 *
 * One allocator keeps all IOVAs apart, a `GpaMap` finds those of guest memory. Two GPA ranges that are the same memory
 * get an IOVA each. A request that fails changes nothing (shadow-virtqueue.md, invariants 14 to 18). Guest memory lies
 * within 2^43 bytes from `range.first` rounded down to 2^32, host mappings anywhere in the range.
 */
export class IovaTree {
  readonly #allocator: IovaAllocator;
  readonly #guestMap: GpaMap;
  // By the allocator's handle:
  readonly #perms: number[] = [];
  /** Backing of a host mapping, or GUEST. */
  readonly #backings: number[] = [];
  /** GPA of a guest mapping, offset of a host mapping. */
  readonly #addresses: number[] = [];

  /** Serves the addresses of `range`, page 0 only with `pageZero`; throws RangeError when it ends before it begins. */
  constructor(range: IovaRange, pageZero = false) {
    this.#allocator = new IovaAllocator(range, pageZero);
    this.#guestMap = new GpaMap(Math.floor(range.first / 2 ** 32) * 2 ** 32);
  }

  /** How many mappings there are, of both kinds. */
  get size(): number {
    return this.#allocator.count;
  }

  /** Where guest memory is mapped, for the relay to look up; whoever changes it changes it through this tree. */
  get guestMap(): GpaMap {
    return this.#guestMap;
  }

  /** Maps guest memory in the lowest room; undefined when there is none in reach, or when part of it is mapped. */
  mapGuest(gpa: Gpa, bytes: number, perm: number): Iova | undefined {
    return this.mapGuestMany([{ gpa, bytes, perm }])?.[0];
  }

  /** Maps guest memory at an address of the caller's; false when either is taken or out of reach. */
  mapGuestAt(gpa: Gpa, bytes: number, iova: Iova, perm: number): boolean {
    return this.mapGuestMany([{ gpa, bytes, perm, iova }]) !== undefined;
  }

  /**
   * Maps all of the requests, in their order, and gives their IOVAs; or none of them and gives undefined.
   *
   * Throws RangeError for a size that is no positive integer, and for rights that are none.
   */
  mapGuestMany(requests: readonly GuestRequest[]): Iova[] | undefined {
    for (const { bytes, perm } of requests) checkRequest(bytes, perm);
    const iovas: Iova[] = [];
    const mappings: GpaMapping[] = [];
    for (const { gpa, bytes, perm, iova: wanted } of requests) {
      const iova = this.#take(bytes, wanted);
      if (iova === undefined) return this.#giveBack(iovas);
      iovas.push(iova);
      mappings.push({ gpa, bytes, iova, perm });
    }
    if (!this.#guestMap.addAll(mappings)) return this.#giveBack(iovas);
    for (const { gpa, iova, perm } of mappings) this.#note(iova, perm, GUEST, gpa);
    return iovas;
  }

  /** Maps memory of our own in the lowest room; undefined when there is none. Throws RangeError. */
  mapHost(key: HostKey, bytes: number, perm: number): Iova | undefined {
    return this.#mapHost(key, bytes, perm, undefined);
  }

  /** Maps memory of our own at an address; false when that is taken or out of range. Throws RangeError. */
  mapHostAt(key: HostKey, bytes: number, iova: Iova, perm: number): boolean {
    return this.#mapHost(key, bytes, perm, iova) !== undefined;
  }

  /** Removes the mapping that starts exactly there, and no other; false when none does. */
  unmap(iova: Iova): boolean {
    const mapping = this.findByIova(iova);
    if (mapping?.iova !== iova) return false;
    if (mapping.target.kind === "guest") this.#guestMap.remove(mapping.target.gpa);
    return this.#allocator.free(iova);
  }

  /** Finds the mapping that covers an address of the device's. */
  findByIova(iova: Iova): IovaMapping | undefined {
    const span = this.#allocator.find(iova);
    return span && this.#mapping(span.iova, span.bytes, span.handle);
  }

  /** Finds the mapping of guest memory that covers a guest physical address. */
  findByGpa(gpa: Gpa): IovaMapping | undefined {
    const found = this.#guestMap.find(gpa);
    return (
      found && { iova: found.iova, bytes: found.bytes, perm: found.perm, target: { kind: "guest", gpa: found.gpa } }
    );
  }

  /**
   * Translates guest memory for the device, which needs `perm`: one piece per mapping, in order, or why not.
   *
   * The first mapping or hole on the way that refuses names the reason. No bytes need no mapping. For cold paths, and
   * to judge the relay's own lookup by.
   */
  translate(gpa: Gpa, bytes: number, perm: number): IovaPiece[] | TranslateRefusal {
    const pieces: IovaPiece[] = [];
    const end = gpa + bytes;
    for (let at: number = gpa; at < end; ) {
      const found = this.#guestMap.find(at as Gpa);
      if (found === undefined) return "unmapped";
      if ((found.perm & perm) !== perm) return "permission";
      const pieceEnd = Math.min(end, found.gpa + found.bytes);
      pieces.push({ iova: (found.iova + (at - found.gpa)) as Iova, bytes: pieceEnd - at });
      at = pieceEnd;
    }
    return pieces;
  }

  /** All mappings of both kinds, by IOVA. */
  *entries(): IterableIterator<IovaMapping> {
    for (const { iova, bytes, handle } of this.#allocator.entries()) yield this.#mapping(iova, bytes, handle);
  }

  /** The mappings as plain data, by IOVA. */
  toJSON(): IovaMapping[] {
    return [...this.entries()];
  }

  #mapHost({ backing, offset }: HostKey, bytes: number, perm: number, wanted: Iova | undefined): Iova | undefined {
    checkRequest(bytes, perm);
    if (!(Number.isSafeInteger(backing) && backing >= 0 && Number.isSafeInteger(offset) && offset >= 0)) {
      throw new RangeError(`offset ${offset} of backing ${backing} is no place in our memory`);
    }
    const iova = this.#take(bytes, wanted);
    if (iova !== undefined) this.#note(iova, perm, backing, offset);
    return iova;
  }

  #take(bytes: number, wanted: Iova | undefined): Iova | undefined {
    if (wanted === undefined) return this.#allocator.allocate(bytes);
    return this.#allocator.insert(wanted, bytes) ? wanted : undefined;
  }

  #giveBack(iovas: readonly Iova[]): undefined {
    for (const iova of iovas) this.#allocator.free(iova);
  }

  #note(iova: Iova, perm: number, backing: number, address: number): void {
    const handle = this.#allocator.handleOf(iova);
    this.#perms[handle] = perm;
    this.#backings[handle] = backing;
    this.#addresses[handle] = address;
  }

  #mapping(iova: Iova, bytes: number, handle: number): IovaMapping {
    const backing = this.#backings[handle]!;
    const address = this.#addresses[handle]!;
    const target: MappingTarget =
      backing === GUEST ? { kind: "guest", gpa: address as Gpa } : { kind: "host", backing, offset: address };
    return { iova, bytes, perm: this.#perms[handle]!, target };
  }
}

function checkRequest(bytes: number, perm: number): void {
  if (!(Number.isSafeInteger(bytes) && bytes > 0)) throw new RangeError(`${bytes} bytes is no size of a mapping`);
  if (!(Number.isInteger(perm) && perm > 0 && perm <= VHOST_ACCESS_RW))
    throw new RangeError(`${perm} is no access right`);
}
