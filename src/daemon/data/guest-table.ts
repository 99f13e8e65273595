import { GuestMemory, type GuestRegion } from "../../memory/guest-memory.js";
import { RealMemory } from "../../memory/real-memory.js";
import type { OwnedFd } from "../../sys/fd.js";
import { type Mapping, map } from "../../sys/mapping.js";
import type { MemRegion } from "../../vhost-user/memory-regions.js";

/** A region of guest memory with its file, which this table owns and has mapped. */
export interface MappedRegion {
  readonly region: MemRegion;
  readonly fd: OwnedFd;
}

interface Entry extends MappedRegion {
  readonly mapping: Mapping;
  readonly windows: readonly GuestRegion[];
}

/**
 * Guest memory as the front end described it, mapped here, by guest physical and by the front end's user address.
 *
 * Changed between two batches only, and never while a queue runs: who keeps its GuestMemory takes it anew.
 */
export class GuestTable {
  #entries: readonly Entry[] = [];
  #memory = new GuestMemory([]);

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
    this.#memory = new GuestMemory(this.#entries.flatMap(({ windows }) => windows));
  }
}

function mapped(region: MemRegion, fd: OwnedFd): Entry {
  const mapping = map(fd, region.memorySize, region.mmapOffset, { prot: "read-write" });
  const windows = mapping.windows.map(({ offset, bytes, buffer }) => ({
    gpa: region.guestPhysAddr + offset,
    bytes,
    memory: new RealMemory(buffer),
  }));
  return { region, fd, mapping, windows };
}

function release({ fd, mapping }: Entry): void {
  mapping.unmap();
  fd.close();
}
