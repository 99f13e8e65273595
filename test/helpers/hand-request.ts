import { MappedChain } from "../../src/device/mapped-chain.js";
import { IOTLB_TABLE_BYTES, Iotlb, iotlbPlace } from "../../src/iova/iotlb.js";
import { IOTLB_RING_BYTES, IotlbRing } from "../../src/iova/iotlb-ring.js";
import { VHOST_ACCESS_RW, VHOST_IOTLB_UPDATE } from "../../src/layout/vhost.js";
import { RealMemory } from "../../src/memory/real-memory.js";
import type { SharedMemory } from "../../src/memory/shared-memory.js";
import { Chain } from "../../src/ring/chain.js";

const NUM = 1024;
const PAGE = 4096;
/** Between two descriptors, so that nothing is whole by chance. */
const GAP_BYTES = 3;

/** A request as a device model gets it, cut into descriptors by hand, from the end of RAM down. */
export class HandRequest {
  static readonly UNTOUCHED = 0x7e;
  readonly #memory: RealMemory;
  readonly #segments: { address: number; bytes: number; writable: boolean }[] = [];
  #next: number;

  /** `readable`: the bytes of the readable part, in descriptors of `outLengths`; `inLengths`: of the writable part. */
  constructor(readable: Uint8Array, outLengths: readonly number[], inLengths: readonly number[]) {
    const total = inLengths.reduce((sum, bytes) => sum + bytes, readable.length);
    const gaps = GAP_BYTES * (outLengths.length + inLengths.length + 1);
    this.#next = Math.ceil((total + gaps) / PAGE) * PAGE;
    this.#memory = new RealMemory(new ArrayBuffer(this.#next));
    let from = 0;
    for (const bytes of outLengths) {
      const address = this.#place(bytes, false);
      this.#memory.copyIn(address, readable.subarray(from, from + bytes));
      from += bytes;
    }
    // What the lengths leave over goes into a last descriptor.
    if (from < readable.length)
      this.#memory.copyIn(this.#place(readable.length - from, false), readable.subarray(from));
    for (const bytes of inLengths) {
      this.#memory.copyIn(this.#place(bytes, true), new Uint8Array(bytes).fill(HandRequest.UNTOUCHED));
    }
  }

  /** The chain as a device reaches it; `wrap` stands between the two. */
  chain(wrap = (memory: SharedMemory) => memory): MappedChain {
    const chain = new Chain(NUM, false);
    const words = new RealMemory(new ArrayBuffer(NUM * 16));
    for (const [i, { address, bytes, writable }] of this.#segments.entries()) {
      const more = i + 1 < this.#segments.length;
      words.write32(i * 16, address);
      words.write32(i * 16 + 8, bytes);
      words.write32(i * 16 + 12, (writable ? 2 : 0) | (more ? 1 | ((i + 1) << 16) : 0));
    }
    const ring = { num: NUM, descMemory: words, desc: 0, availMemory: words, avail: 0, usedMemory: words, used: 0 };
    chain.load(ring, 0, () => "unmapped");
    const mapped = new MappedChain(wholeRam(wrap(this.#memory)));
    if (!mapped.map(chain)) throw new Error("all of RAM is mapped");
    return mapped;
  }

  /** Whether an offset lies in the writable part, in the readable part, or in neither. */
  partOf(offset: number): "writable" | "readable" | "neither" {
    const segment = this.#segments.find(({ address, bytes }) => offset >= address && offset < address + bytes);
    if (segment === undefined) return "neither";
    return segment.writable ? "writable" : "readable";
  }

  /** The offset of every byte of the writable part, in the order of the chain. */
  writablePlaces(): number[] {
    return this.#segments
      .filter(({ writable }) => writable)
      .flatMap(({ address, bytes }) => Array.from({ length: bytes }, (_, i) => address + i));
  }

  /** What the writable part holds now. */
  written(): Uint8Array {
    const parts = this.#segments.filter(({ writable }) => writable);
    const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.bytes, 0));
    let at = 0;
    for (const part of parts) {
      this.#memory.copyOut(part.address, bytes.subarray(at, at + part.bytes));
      at += part.bytes;
    }
    return bytes;
  }

  #place(bytes: number, writable: boolean): number {
    this.#next -= bytes + GAP_BYTES;
    this.#segments.push({ address: this.#next, bytes, writable });
    return this.#next;
  }
}

/** All ways to write `total` as a sum of 1 to `pieces` numbers of 1 or more. */
export function compositions(total: number, pieces: number): number[][] {
  if (pieces === 1) return [[total]];
  const found: number[][] = [[total]];
  for (let first = 1; first < total; first++) {
    for (const rest of compositions(total - first, pieces - 1)) found.push([first, ...rest]);
  }
  return found;
}

/** Bytes that differ from place to place, and from salt to salt. */
export function bytesOf(length: number, salt: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + (i >>> 8) * 13 + salt * 101) & 0xff);
}

function wholeRam(memory: SharedMemory): Iotlb {
  const channel = new RealMemory(new ArrayBuffer(2 * IOTLB_RING_BYTES));
  const sender = new IotlbRing(channel, 0);
  sender.send({
    iova: 0,
    size: memory.byteLength,
    uaddr: iotlbPlace(0, 0),
    perm: VHOST_ACCESS_RW,
    type: VHOST_IOTLB_UPDATE,
  });
  const table = { buffer: new ArrayBuffer(IOTLB_TABLE_BYTES), offset: 0 };
  const toRelay = new IotlbRing(channel, IOTLB_RING_BYTES);
  const iotlb = new Iotlb(table, new IotlbRing(channel, 0), toRelay, { ring: () => {} }, [memory]);
  iotlb.poll();
  return iotlb;
}
