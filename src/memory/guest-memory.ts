import { assert } from "./assert.js";
import type { SharedMemory } from "./shared-memory.js";

/** A run of guest RAM that is contiguous in one buffer. */
export interface GuestRegion {
  /** First guest physical address; a multiple of the page size. */
  readonly gpa: number;
  /** Length in bytes; a multiple of the page size, at most 2 GiB. */
  readonly bytes: number;
  /** Its bytes; offset 0 is `gpa`. */
  readonly memory: SharedMemory;
}

/** A place in one region: where a guest physical address lies. */
export interface Place {
  readonly memory: SharedMemory;
  /** Byte offset in `memory`. */
  readonly offset: number;
}

/** Guest RAM by guest physical address: regions in ascending order, with holes between them. */
export class GuestMemory {
  readonly regions: readonly GuestRegion[];

  /** Takes disjoint regions in ascending order. */
  constructor(regions: readonly GuestRegion[]) {
    for (let i = 1; i < regions.length; i++) {
      assert(regions[i - 1]!.gpa + regions[i - 1]!.bytes <= regions[i]!.gpa, "regions ascend and do not overlap");
    }
    this.regions = regions;
  }

  /** One past the highest guest physical address. */
  get end(): number {
    const last = this.regions.at(-1);
    return last === undefined ? 0 : last.gpa + last.bytes;
  }

  /** Finds `bytes` at `address` when they are contiguous in one region (every ring area has to be). */
  locate(address: number, bytes: number): Place | undefined {
    const region = this.#regionOf(address);
    if (region === undefined || address + bytes > region.gpa + region.bytes) return undefined;
    return { memory: region.memory, offset: address - region.gpa };
  }

  /** Copies from guest RAM, across region edges; false when any byte lies in a hole (`target` is then undefined). */
  copyOut(address: number, target: Uint8Array): boolean {
    return this.#eachPiece(address, target.length, (memory, offset, from, length) => {
      memory.copyOut(offset, target.subarray(from, from + length));
    });
  }

  /** Copies into guest RAM, across region edges; false, with nothing written, when any byte lies in a hole. */
  copyIn(address: number, source: Uint8Array): boolean {
    if (!this.#eachPiece(address, source.length, () => {})) return false;
    return this.#eachPiece(address, source.length, (memory, offset, from, length) => {
      memory.copyIn(offset, source.subarray(from, from + length));
    });
  }

  #regionOf(address: number): GuestRegion | undefined {
    for (const region of this.regions) {
      if (address >= region.gpa && address < region.gpa + region.bytes) return region;
    }
    return undefined;
  }

  #eachPiece(
    address: number,
    bytes: number,
    visit: (memory: SharedMemory, offset: number, from: number, length: number) => void,
  ): boolean {
    let done = 0;
    while (done < bytes) {
      const region = this.#regionOf(address + done);
      if (region === undefined) return false;
      const offset = address + done - region.gpa;
      const length = Math.min(bytes - done, region.bytes - offset);
      visit(region.memory, offset, done, length);
      done += length;
    }
    return true;
  }
}
