import { DirtyLog } from "../../dirty/dirty-log.js";
import { META_BYTES, type QueueLayout } from "../../driver/guest-layout.js";
import { availRingBytes, descTableBytes, usedRingBytes, VRING_DESC } from "../../layout/virtio-ring.js";
import { type Arena, shadowRingPlaces } from "../../machine/arena.js";
import { chainLength, type MachineConfig } from "../../machine/config.js";
import { MirroredMemory } from "../../memory/mirrored-memory.js";
import { RealMemory } from "../../memory/real-memory.js";
import type { SharedMemory } from "../../memory/shared-memory.js";
import { vringBytes } from "../../ring/vring-areas.js";

/** What memory that nobody should touch holds. */
const CANARY = 0xc7;
/** Header before the data of a packet. */
const HEADER_BYTES = 12;

/** A run of bytes by guest physical address. */
interface Run {
  readonly from: number;
  readonly bytes: number;
}

/**
 * Judges what became of guest RAM: who wrote where, and whether it was marked.
 *
 * Keeps a copy of RAM that holds the driver's own stores only. Whatever differs, relay or device wrote, and it must be
 * marked; sync() takes the marks and copies those pages, as a migration does, so that in the end the copy is the RAM.
 */
export class GuestOracle {
  /** Every page that was ever marked. */
  readonly marked = new Set<number>();
  readonly #config: MachineConfig;
  readonly #layouts: readonly QueueLayout[];
  readonly #arena: Arena;
  readonly #copies: Uint8Array[];
  readonly #rams: Uint8Array[];
  readonly #log: DirtyLog;

  /** Fills guest RAM and shadow rings with what nobody writes; `log` is where the relay marks. */
  constructor(config: MachineConfig, arena: Arena, layouts: readonly QueueLayout[], log: SharedMemory) {
    this.#config = config;
    this.#arena = arena;
    this.#layouts = layouts;
    this.#rams = arena.regions.map(({ buffer }) => new Uint8Array(buffer).fill(CANARY));
    this.#copies = this.#rams.map((ram) => new Uint8Array(ram));
    this.#log = new DirtyLog(log, 0, arena.regions.at(-1)!.gpa + arena.regions.at(-1)!.bytes);
    new Uint8Array(arena.shadowRings).fill(CANARY);
  }

  /** Guest RAM for the driver: its stores go to the copy too. */
  mirrored(memory: SharedMemory, region: number): SharedMemory {
    return new MirroredMemory(memory, new RealMemory(this.#copies[region]!.buffer as ArrayBuffer));
  }

  /** Takes all marks and copies the pages they name; returns how many there were. */
  sync(): number {
    const bitmap = new Uint32Array(Math.ceil(this.#log.pageCount / 32));
    const count = this.#log.take(bitmap);
    for (let page = 0; count > 0 && page < this.#log.pageCount; page++) {
      if (bitmap[page >>> 5] === 0) page |= 31;
      else if ((bitmap[page >>> 5]! & (1 << (page & 31))) !== 0) this.#copy(page);
    }
    return count;
  }

  /** Begins anew, as a migration does with its first round: takes all marks and copies all of RAM. */
  restart(): void {
    this.sync();
    for (const [region, ram] of this.#rams.entries()) this.#copies[region]!.set(ram);
  }

  /** Pages of a run that somebody but the driver changed and nobody marked. */
  unmarked(from: number, bytes: number): number[] {
    const pages: number[] = [];
    for (let page = from >>> 12; page <= (from + bytes - 1) >>> 12; page++) {
      if (this.#differs(page) && !this.#isMarked(page)) pages.push(page);
    }
    return pages;
  }

  /** After sync(): pages in which the copy is not the RAM, so whose marks are missing. */
  missing(): number[] {
    return this.#arena.regions.flatMap(({ gpa, bytes }, region) => {
      if (Buffer.compare(this.#rams[region]!, this.#copies[region]!) === 0) return [];
      return Array.from({ length: bytes / 4096 }, (_, i) => gpa / 4096 + i).filter((page) => this.#differs(page));
    });
  }

  /** Marked pages of which nobody but the driver could have written a byte: readable buffers. */
  needless(): number[] {
    const readable = this.#layouts.flatMap(({ slots }) => slots.map(({ out }) => out >>> 12));
    return readable.filter((page) => this.marked.has(page));
  }

  /** First bytes of the places outside all buffers and rings that were written. */
  strays(): string[] {
    const guest = this.#rams.flatMap((ram, i) => {
      const { gpa } = this.#arena.regions[i]!;
      return outside(this.#guestRuns(), gpa, ram).map((at) => `guest ${at.toString(16)}`);
    });
    const rings = outside(this.#shadowRuns(), 0, new Uint8Array(this.#arena.shadowRings));
    return [...guest, ...rings.map((at) => `shadow rings ${at.toString(16)}`)];
  }

  #copy(page: number): void {
    this.marked.add(page);
    const at = this.#place(page);
    this.#copies[at.region]!.set(this.#rams[at.region]!.subarray(at.offset, at.offset + 4096), at.offset);
  }

  #differs(page: number): boolean {
    const { region, offset } = this.#place(page);
    const [ram, copy] = [this.#rams[region]!, this.#copies[region]!];
    return Buffer.compare(ram.subarray(offset, offset + 4096), copy.subarray(offset, offset + 4096)) !== 0;
  }

  #isMarked(page: number): boolean {
    return (this.#log.memory.read32(this.#log.offset + (page >>> 5) * 4) & (1 << (page & 31))) !== 0;
  }

  #place(page: number): { region: number; offset: number } {
    const address = page * 4096;
    const region = this.#arena.regions.findIndex(({ gpa, bytes }) => address >= gpa && address < gpa + bytes);
    if (region < 0) throw new Error(`page ${page} lies in a hole`);
    return { region, offset: address - this.#arena.regions[region]!.gpa };
  }

  #guestRuns(): Run[] {
    const { queueSize, depth, requestBytes } = this.#config;
    const tableBytes = depth * chainLength(this.#config) * VRING_DESC.size;
    const data = requestBytes + HEADER_BYTES;
    return this.#layouts.flatMap(({ desc, slots }) => [
      { from: desc, bytes: vringBytes(queueSize) },
      { from: slots[0]!.meta, bytes: depth * META_BYTES },
      { from: slots[0]!.table, bytes: tableBytes },
      ...slots.flatMap((slot) => [slot.out, slot.in].map((from) => ({ from, bytes: data }))),
    ]);
  }

  #shadowRuns(): Run[] {
    const { shadowQueueSize, queueSize } = this.#config;
    const num = shadowQueueSize === 0 ? queueSize : shadowQueueSize;
    return shadowRingPlaces(this.#config).flatMap(({ driverArea, deviceArea }) => [
      { from: driverArea.offset, bytes: descTableBytes(num) + availRingBytes(num) },
      { from: deviceArea.offset, bytes: usedRingBytes(Math.max(num, queueSize)) },
    ]);
  }
}

/** Addresses at which `bytes`, which begin at `base`, hold something else than the canary outside all runs. */
function outside(runs: readonly Run[], base: number, bytes: Uint8Array): number[] {
  const sorted = [...runs].sort((a, b) => a.from - b.from);
  const found: number[] = [];
  let at = base;
  for (const { from, bytes: length } of [...sorted, { from: base + bytes.length, bytes: 0 }]) {
    if (from + length <= base) continue;
    const end = Math.min(from, base + bytes.length);
    if (end > at) {
      const bad = firstOther(bytes.subarray(at - base, end - base));
      if (bad >= 0) found.push(at + bad);
    }
    at = Math.max(at, from + length);
  }
  return found;
}

const CLEAN = new Uint8Array(65_536).fill(CANARY);

function firstOther(bytes: Uint8Array): number {
  for (let at = 0; at < bytes.length; at += CLEAN.length) {
    const part = bytes.subarray(at, at + CLEAN.length);
    if (Buffer.compare(part, CLEAN.subarray(0, part.length)) !== 0)
      return at + part.findIndex((byte) => byte !== CANARY);
  }
  return -1;
}
