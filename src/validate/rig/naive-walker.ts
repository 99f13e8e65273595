import { VHOST_ACCESS_RO } from "../../layout/vhost.js";
import { VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE } from "../../layout/virtio-ring.js";
import type { FaultReason } from "../../ring/peer-fault.js";
import { RIG_REGIONS, type World } from "./world.js";

/** Bytes that a chain covers, in order. */
export interface Extent {
  readonly gpa: bigint;
  readonly bytes: bigint;
  readonly writable: boolean;
}

/** What a chain is, by the book. */
export type Judgement =
  | { readonly outcome: "forward"; readonly extents: readonly Extent[]; readonly pieces: number }
  | { readonly outcome: "refuse"; readonly reason: FaultReason };

/** Reads a byte of guest RAM as whoever is judged saw it. */
export type ByteReader = (gpa: number) => number;

const CHAIN_BYTES_MAX = 1n << 32n;

/**
 * Judges the chain of a head by the book: byte by byte, addresses as BigInt, and nothing in common with the relay.
 *
 * The second opinion that everything is compared with (VIRTIO 1.3, 2.7.4 to 2.7.5.3).
 */
export function judgeChain(world: World, head: number, read: ByteReader): Judgement {
  return new Walk(world, read).judge(head);
}

interface Descriptor {
  readonly address: bigint;
  readonly length: bigint;
  readonly flags: number;
  readonly next: number;
}

class Walk {
  readonly #world: World;
  readonly #read: ByteReader;
  readonly #extents: Extent[] = [];
  #elements = 0;
  #pieces = 0;
  #writing = false;

  constructor(world: World, read: ByteReader) {
    this.#world = world;
    this.#read = read;
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
    if (length === 0n || length % 16n !== 0n) return "indirect-length";
    if (BigInt(this.#elements) + length / 16n > BigInt(num)) return "chain-too-long";
    if (!this.#isRam(address, length)) return "address-unmapped";
    return this.#table(Number(address), Number(length / 16n), 0, true);
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
  #reach(address: bigint, length: bigint, writable: boolean): FaultReason | undefined {
    let at = address;
    const end = address + length;
    do {
      const mapping = this.#world.mappings.find(
        ({ gpa, bytes }) => at >= BigInt(gpa) && at < BigInt(gpa) + BigInt(bytes),
      );
      if (mapping === undefined) return "address-unmapped";
      if (writable && mapping.perm === VHOST_ACCESS_RO) return "permission-denied";
      const border = BigInt(mapping.gpa) + BigInt(mapping.bytes);
      if (length > 0n) this.#pieces += 1;
      at = border < end ? border : end;
    } while (at < end);
    if (length > 0n) this.#extents.push({ gpa: address, bytes: length, writable });
    return this.#pieces > this.#world.setup.shadowNum ? "chain-never-fits" : undefined;
  }

  #whole(): FaultReason | undefined {
    if (this.#pieces === 0) return "chain-empty";
    const bytes = this.#extents.reduce((sum, extent) => sum + extent.bytes, 0n);
    return bytes > CHAIN_BYTES_MAX ? "chain-bytes-overflow" : undefined;
  }

  #isRam(address: bigint, length: bigint): boolean {
    let at = address;
    while (at < address + length) {
      const region = RIG_REGIONS.find(({ gpa, bytes }) => at >= BigInt(gpa) && at < BigInt(gpa + bytes));
      if (region === undefined) return false;
      at = BigInt(region.gpa + region.bytes);
    }
    return true;
  }

  #descriptor(at: number): Descriptor {
    const half = (offset: number) => this.#read(at + offset) + this.#read(at + offset + 1) * 256;
    const word = (offset: number) => half(offset) + half(offset + 2) * 65_536;
    const address = BigInt(word(0)) + (BigInt(word(4)) << 32n);
    return { address, length: BigInt(word(8)), flags: half(12), next: half(14) };
  }
}
