import type { Iotlb } from "../iova/iotlb.js";
import { VHOST_ACCESS_RO, VHOST_ACCESS_WO } from "../layout/vhost.js";
import { assert } from "../memory/assert.js";
import type { SharedMemory } from "../memory/shared-memory.js";
import type { Chain } from "../ring/chain.js";
import { PeerFault } from "../ring/peer-fault.js";

/** Told of every store a device makes: memory, byte offset, bytes. For oracles; absent in timed runs. */
export type WriteWitness = (memory: SharedMemory, offset: number, bytes: number) => void;

/** Pieces a chain may fall into after translation. */
const PIECES_MAX = 65_536;

/**
 * A chain as bytes: its readable part and its writable part, each one run whatever its descriptors and mappings are.
 *
 * A device model moves bytes by offset and never sees descriptors (VIRTIO 1.3, 2.7.4.1). All of a chain is translated
 * before any of it is touched, so that an IOTLB miss leaves nothing half done. This is the only way a device writes.
 */
export class MappedChain {
  /** Bytes the device may read. */
  readableBytes = 0;
  /** Bytes the device may write. */
  writableBytes = 0;
  readonly #iotlb: Iotlb;
  readonly #witness: WriteWitness | undefined;
  #memories: SharedMemory[] = [];
  #offsets: number[] = [];
  #lengths: number[] = [];
  #count = 0;
  #readableCount = 0;

  constructor(iotlb: Iotlb, witness?: WriteWitness) {
    this.#iotlb = iotlb;
    this.#witness = witness;
  }

  /** Translates all of a chain; false on a miss (call again). Throws PeerFault address-unmapped, permission-denied. */
  map(chain: Chain): boolean {
    this.#count = 0;
    for (let i = 0; i < chain.count; i++) {
      if (i === chain.readableCount) this.#readableCount = this.#count;
      const perm = i < chain.readableCount ? VHOST_ACCESS_RO : VHOST_ACCESS_WO;
      if (!this.#mapSegment(chain.addresses[i]!, chain.lengths[i]!, perm)) return false;
    }
    if (chain.readableCount === chain.count) this.#readableCount = this.#count;
    this.readableBytes = chain.readableBytes;
    this.writableBytes = chain.writableBytes;
    return true;
  }

  /** Copies from the readable part, from `from` on, as much as `target` holds or there is; returns the bytes copied. */
  read(from: number, target: Uint8Array): number {
    return this.#move(0, this.#readableCount, from, target, false);
  }

  /** Copies `source` into the writable part, from `from` on, as far as there is room; returns the bytes copied. */
  write(from: number, source: Uint8Array): number {
    return this.#move(this.#readableCount, this.#count, from, source, true);
  }

  #mapSegment(address: number, length: number, perm: number): boolean {
    let done = 0;
    while (done < length) {
      const found = this.#iotlb.translate(address + done, perm);
      if (found === "miss") return false;
      if (found === "unmapped") throw new PeerFault("address-unmapped", `${length} bytes at ${address}`);
      if (found === "denied") throw new PeerFault("permission-denied", `${length} bytes at ${address}`);
      assert(this.#count < PIECES_MAX, "a chain falls into a bounded number of pieces");
      const bytes = Math.min(length - done, this.#iotlb.bytes);
      this.#memories[this.#count] = this.#iotlb.memory;
      this.#offsets[this.#count] = this.#iotlb.offset;
      this.#lengths[this.#count] = bytes;
      this.#count += 1;
      done += bytes;
    }
    return true;
  }

  #move(first: number, end: number, from: number, buffer: Uint8Array, write: boolean): number {
    let skip = from;
    let done = 0;
    for (let i = first; i < end && done < buffer.length; i++) {
      const length = this.#lengths[i]!;
      if (skip >= length) {
        skip -= length;
        continue;
      }
      const bytes = Math.min(length - skip, buffer.length - done);
      const part = bytes === buffer.length ? buffer : buffer.subarray(done, done + bytes);
      if (write) this.#store(this.#memories[i]!, this.#offsets[i]! + skip, part);
      else this.#memories[i]!.copyOut(this.#offsets[i]! + skip, part);
      done += bytes;
      skip = 0;
    }
    return done;
  }

  #store(memory: SharedMemory, offset: number, source: Uint8Array): void {
    memory.copyIn(offset, source);
    this.#witness?.(memory, offset, source.length);
  }
}
