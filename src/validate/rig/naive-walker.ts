import { VHOST_ACCESS_RO } from "../../layout/vhost.js";
import { VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE } from "../../layout/virtio-ring.js";
import type { FaultReason } from "../../ring/peer-fault.js";
import { RIG_REGIONS, type World } from "./world.js";

/** Bytes that a chain covers, in order. */
export interface Extent {
  readonly gpa: number;
  readonly bytes: number;
  readonly writable: boolean;
}

/** What a chain is, by the book. */
export type Judgement =
  | { readonly outcome: "forward"; readonly extents: readonly Extent[]; readonly pieces: number }
  | { readonly outcome: "refuse"; readonly reason: FaultReason };

/** Reads a byte of guest RAM as whoever is judged saw it. */
export type ByteReader = (gpa: number) => number;

const CHAIN_BYTES_MAX = 2 ** 32;
const HIGH_WORDS = 2 ** 21;
/** A shadow descriptor covers less than 2^31 bytes; a longer buffer is cut into whole pages of at most so many. */
const PIECE_BYTES_MAX = 2 ** 31 - 4096;

/**
 * Judges the chain of a head by the book: byte by byte, mapping by mapping, and nothing in common with the relay.
 *
 * The second opinion that everything is compared with (VIRTIO 1.3, 2.7.4 to 2.7.5.3). `onDescriptor` is called before
 * the bytes of each descriptor are read, once for each time that the chain comes by it.
 */
export function judgeChain(world: World, head: number, read: ByteReader, onDescriptor?: () => void): Judgement {
  return new Walk(world, read, onDescriptor).judge(head);
}

interface Descriptor {
  /** Infinite from 2^53 up, where no memory is: below, sums with a length stay exact where it matters. */
  readonly address: number;
  readonly length: number;
  readonly flags: number;
  readonly next: number;
}

class Walk {
  readonly #world: World;
  readonly #read: ByteReader;
  readonly #onDescriptor: (() => void) | undefined;
  readonly #extents: Extent[] = [];
  #elements = 0;
  #pieces = 0;
  #writing = false;

  constructor(world: World, read: ByteReader, onDescriptor: (() => void) | undefined) {
    this.#world = world;
    this.#read = read;
    this.#onDescriptor = onDescriptor;
  }

  judge(head: number): Judgement {
    const { num } = this.#world.setup;
    if (head >= num) return { outcome: "refuse", reason: "head-out-of-range" };
    const reason = this.#table(this.#world.guestRing.desc, num, head, false) ?? this.#whole();
    if (reason !== undefined) return { outcome: "refuse", reason };
    return { outcome: "forward", extents: this.#extents, pieces: this.#pieces };
  }

  #table(start: number, entries: number, first: number, nested: boolean): FaultReason | undefined {
    for (let index = first; ; ) {
      if (index >= entries) return "next-out-of-range";
      const descriptor = this.#descriptor(start + index * 16);
      if ((descriptor.flags & VRING_DESC_F_INDIRECT) !== 0) return this.#indirect(descriptor, nested);
      const reason = this.#element(descriptor);
      if (reason !== undefined) return reason;
      if ((descriptor.flags & VRING_DESC_F_NEXT) === 0) return undefined;
      index = descriptor.next;
    }
  }

  #indirect({ address, length, flags }: Descriptor, nested: boolean): FaultReason | undefined {
    const { num, indirect } = this.#world.setup;
    if (nested) return "indirect-nested";
    if (!indirect) return "indirect-not-negotiated";
    if ((flags & VRING_DESC_F_NEXT) !== 0) return "indirect-with-next";
    if (length === 0 || length % 16 !== 0) return "indirect-length";
    if (this.#elements + length / 16 > num) return "chain-too-long";
    if (!isRam(address, length)) return "address-unmapped";
    return this.#table(address, length / 16, 0, true);
  }

  #element({ address, length, flags }: Descriptor): FaultReason | undefined {
    const { num } = this.#world.setup;
    const writable = (flags & VRING_DESC_F_WRITE) !== 0;
    if (this.#elements === num) return "chain-too-long";
    if (this.#writing && !writable) return "readable-after-writable";
    this.#elements += 1;
    this.#writing ||= writable;
    return this.#reach(address, length, writable);
  }

  /** Every byte is mapped with the right it needs; an empty buffer needs an address that could hold one. */
  #reach(address: number, length: number, writable: boolean): FaultReason | undefined {
    const { mappings, setup } = this.#world;
    let at = address;
    const end = address + length;
    do {
      const mapping = mappings.find(({ gpa, bytes }) => at >= gpa && at < gpa + bytes);
      if (mapping === undefined) return "address-unmapped";
      if (writable && mapping.perm === VHOST_ACCESS_RO) return "permission-denied";
      const border = Math.min(mapping.gpa + mapping.bytes, end);
      this.#pieces += length < 2 ** 31 ? Math.min(length, 1) : Math.ceil((border - at) / PIECE_BYTES_MAX);
      at = border;
    } while (at < end);
    if (length > 0) this.#extents.push({ gpa: address, bytes: length, writable });
    return this.#pieces > setup.shadowNum ? "chain-never-fits" : undefined;
  }

  #whole(): FaultReason | undefined {
    if (this.#pieces === 0) return "chain-empty";
    let total = 0;
    for (const { bytes } of this.#extents) total += bytes;
    return total > CHAIN_BYTES_MAX ? "chain-bytes-overflow" : undefined;
  }

  #descriptor(at: number): Descriptor {
    this.#onDescriptor?.();
    const [low, high] = [this.#word(at), this.#word(at + 4)];
    const address = high < HIGH_WORDS ? high * 2 ** 32 + low : Number.POSITIVE_INFINITY;
    return { address, length: this.#word(at + 8), flags: this.#half(at + 12), next: this.#half(at + 14) };
  }

  #word(gpa: number): number {
    return this.#half(gpa) + this.#half(gpa + 2) * 65_536;
  }

  #half(gpa: number): number {
    return this.#read(gpa) + this.#read(gpa + 1) * 256;
  }
}

/** Whether every byte is guest RAM: an indirect table is read by the relay, which needs no mapping. */
function isRam(address: number, length: number): boolean {
  let at = address;
  do {
    const region = RIG_REGIONS.find(({ gpa, bytes }) => at >= gpa && at < gpa + bytes);
    if (region === undefined) return false;
    at = region.gpa + region.bytes;
  } while (at < address + length);
  return true;
}
