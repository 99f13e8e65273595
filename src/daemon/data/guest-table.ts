import { GuestMemory, type GuestRegion, type Place } from "../../memory/guest-memory.js";
import { RealMemory } from "../../memory/real-memory.js";
import type { OwnedFd } from "../../sys/fd.js";
import { type Mapping, map, windowsAt } from "../../sys/mapping.js";
import type { MemRegion } from "../../vhost-user/memory-regions.js";

/** A region of guest memory with its file, which this table owns and has mapped. */
export interface MappedRegion {
  readonly region: MemRegion;
  readonly fd: OwnedFd;
}

interface Entry extends MappedRegion {
  readonly mapping: Mapping;
  readonly windows: readonly GuestRegion[];
  /** Views across the edges between windows. */
  readonly edges: readonly GuestRegion[];
}

/** Bytes on each side of an edge that its view shows: more than the largest area of a ring, 512 KiB, needs. */
const EDGE_BYTES = 0x10_0000;

/** Guest memory in windows, in which an area that lies across the edge of two is found as well. */
class WindowedMemory extends GuestMemory {
  readonly #edges: GuestMemory;

  constructor(entries: readonly Entry[]) {
    super(entries.flatMap(({ windows }) => windows));
    this.#edges = new GuestMemory(entries.flatMap(({ edges }) => edges));
  }

  override locate(address: number, bytes: number): Place | undefined {
    return super.locate(address, bytes) ?? this.#edges.locate(address, bytes);
  }
}

/**
 * Guest memory as the front end described it, mapped here, by guest physical and by the front end's user address.
 *
 * Changed between two batches only, and never while a queue runs: who keeps its GuestMemory takes it anew.
 */
export class GuestTable {
  #entries: readonly Entry[] = [];
  #memory: GuestMemory = new WindowedMemory([]);

  /** The regions, by guest address. */
  get regions(): readonly MappedRegion[] {
    return this.#entries;
  }

  /** The bytes, by guest physical address, in windows that Node can address. */
  get memory(): GuestMemory {
    return this.#memory;
  }

  /**
   * Replaces all regions by others; the files are this table's from then on, also when it throws.
   *
   * Throws MappingFault or NativeError when one cannot be mapped; the old regions are then still there.
   */
  replace(regions: readonly MemRegion[], fds: readonly OwnedFd[]): void {
    const added: Entry[] = [];
    try {
      for (const [i, region] of regions.entries()) added.push(mapped(region, fds[i]!));
    } catch (error) {
      for (const entry of added) release(entry);
      for (const fd of fds) fd.close();
      throw error;
    }
    const old = this.#entries;
    this.#set(added);
    for (const entry of old) release(entry);
  }

  /** Adds a region, as replace() does. */
  add(region: MemRegion, fd: OwnedFd): void {
    try {
      this.#set([...this.#entries, mapped(region, fd)]);
    } catch (error) {
      fd.close();
      throw error;
    }
  }

  /** Removes the region at a guest address, if there is one. */
  remove(guestPhysAddr: number): void {
    const gone = this.#entries.find(({ region }) => region.guestPhysAddr === guestPhysAddr);
    if (gone === undefined) return;
    this.#set(this.#entries.filter((entry) => entry !== gone));
    release(gone);
  }

  /** Where a run of bytes at a user address lies in guest memory; undefined when not all of it is in one region. */
  gpaOf(userAddress: number, bytes: number): number | undefined {
    for (const { region } of this.#entries) {
      const within = userAddress - region.userspaceAddr;
      if (within >= 0 && within + bytes <= region.memorySize) return region.guestPhysAddr + within;
    }
    return undefined;
  }

  /** Unmaps and closes everything. */
  clear(): void {
    this.replace([], []);
  }

  #set(entries: readonly Entry[]): void {
    this.#entries = [...entries].sort((a, b) => a.region.guestPhysAddr - b.region.guestPhysAddr);
    this.#memory = new WindowedMemory(this.#entries);
  }
}

function mapped(region: MemRegion, fd: OwnedFd): Entry {
  const mapping = map(fd, region.memorySize, region.mmapOffset, { prot: "read-write" });
  const windows = mapping.windows.map(({ offset, bytes, buffer }) => ({
    gpa: region.guestPhysAddr + offset,
    bytes,
    memory: new RealMemory(buffer),
  }));
  return { region, fd, mapping, windows, edges: edgesOf(region, mapping) };
}

function edgesOf(region: MemRegion, mapping: Mapping): GuestRegion[] {
  return mapping.windows.slice(1).map(({ offset }) => {
    const start = offset - EDGE_BYTES;
    const bytes = Math.min(mapping.bytes - start, 2 * EDGE_BYTES);
    // The mapping itself is one piece: this is another view of it, and gone with it.
    const { buffer } = windowsAt(mapping.address + BigInt(start), bytes)[0]!;
    return { gpa: region.guestPhysAddr + start, bytes, memory: new RealMemory(buffer) };
  });
}

function release({ fd, mapping }: Entry): void {
  mapping.unmap();
  fd.close();
}
