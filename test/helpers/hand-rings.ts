import { DirtyLog, logBytes } from "../../src/dirty/dirty-log.js";
import { GpaMap, type GpaMapping } from "../../src/iova/gpa-map.js";
import { VHOST_ACCESS_RW } from "../../src/layout/vhost.js";
import {
  availEventOffset,
  usedEventOffset,
  VRING_DESC_F_NEXT,
  VRING_DESC_F_WRITE,
} from "../../src/layout/virtio-ring.js";
import type { Gpa, Iova } from "../../src/memory/address.js";
import { GuestMemory } from "../../src/memory/guest-memory.js";
import { RealMemory } from "../../src/memory/real-memory.js";
import { type SharedMemory, u16 } from "../../src/memory/shared-memory.js";
import { GuestMarks, type MarkPolicy } from "../../src/relay/guest-marks.js";
import { ShadowVirtqueue } from "../../src/relay/shadow-virtqueue.js";
import { type VringAreas, vringBytes, vringOffsets } from "../../src/ring/vring-areas.js";
import { COUNTER_BLOCK_BYTES, COUNTERS, type CounterName } from "../../src/telemetry/counters.js";
import { type Account, shadowAccount } from "./accounting.js";

const NEXT = VRING_DESC_F_NEXT;
const WRITE = VRING_DESC_F_WRITE;
/** What memory nobody was meant to write holds. */
const CANARY = 0xc7;
const CANARY_BYTES = 64;
/** Guest RAM that is really there: 0 to 1 MiB. */
export const RAM_BYTES = 2 ** 20;
/** Where the guest's ring is. */
const GUEST_RING = 0x4000;

/** One descriptor as the guest writes it: address and length may be any u64 and u32. */
export interface HandDescriptor {
  readonly address: number | bigint;
  readonly bytes: number;
  readonly writable?: boolean;
  /** Flags instead of what follows from the place in the chain. */
  readonly flags?: number;
  readonly next?: number;
}

/** One element of a shadow chain as the device sees it. */
export interface SeenDescriptor {
  readonly iova: number;
  readonly bytes: number;
  readonly writable: boolean;
}

/** What hand-driven rings are made of. */
export interface HandOptions {
  readonly num?: number;
  readonly shadowNum?: number;
  readonly eventIdx?: boolean;
  readonly indirect?: boolean;
  readonly log?: boolean;
  readonly policy?: MarkPolicy;
  readonly start?: { readonly lastAvailIdx: number; readonly usedIdx: number };
  readonly iovaBase?: number;
  /** Mappings instead of one of all RAM at IOVA 2^30 above the base. */
  readonly mappings?: readonly { gpa: number; bytes: number; iova: number; perm?: number }[];
  readonly wrapGuest?: (memory: SharedMemory) => SharedMemory;
  readonly wrapShadow?: (memory: SharedMemory) => SharedMemory;
  readonly wrapLog?: (memory: SharedMemory) => SharedMemory;
}

/** A shadow virtqueue between a guest ring whose bytes are poked and a device side that is driven by hand. */
export class HandRings {
  readonly relay: ShadowVirtqueue;
  readonly guestRam: RealMemory;
  readonly shadowRam: RealMemory;
  /** The rings as the test reaches them, past any wrapper. */
  readonly guest: VringAreas;
  readonly shadow: VringAreas;
  readonly log: DirtyLog;
  readonly marks: GuestMarks;
  kicks = 0;
  calls = 0;
  readonly #counters = new Float64Array(COUNTER_BLOCK_BYTES / 8);
  #availIdx: number;
  #usedIdx = 0;
  #seen = 0;

  constructor(options: HandOptions = {}) {
    const { num = 8, shadowNum = num, eventIdx = false, indirect = true, iovaBase = 0 } = options;
    const start = options.start ?? { lastAvailIdx: 0, usedIdx: 0 };
    this.guestRam = new RealMemory(new ArrayBuffer(RAM_BYTES));
    this.shadowRam = new RealMemory(new ArrayBuffer(Math.ceil((vringBytes(shadowNum) + 2 * CANARY_BYTES) / 16) * 16));
    this.guest = areas(this.guestRam, num, GUEST_RING);
    this.shadow = areas(this.shadowRam, shadowNum, CANARY_BYTES);
    this.#plantCanaries();
    const logRam = new RealMemory(new ArrayBuffer(logBytes(RAM_BYTES)));
    this.log = new DirtyLog(logRam, 0, RAM_BYTES);
    const seenLog = options.log === false ? undefined : new DirtyLog(options.wrapLog?.(logRam) ?? logRam, 0, RAM_BYTES);
    this.marks = new GuestMarks(seenLog, options.policy ?? "all-writable", this.guest.used, num, this.#counters);
    const guestSeen = options.wrapGuest?.(this.guestRam) ?? this.guestRam;
    const map = new GpaMap(iovaBase);
    const whole = { gpa: 0, bytes: RAM_BYTES, iova: iovaBase + 2 ** 30 };
    map.addAll((options.mappings ?? [whole]).map((m) => ({ perm: VHOST_ACCESS_RW, ...m }) as GpaMapping));
    this.#availIdx = start.lastAvailIdx;
    put16(this.guestRam, this.guest.avail + 2, start.lastAvailIdx);
    put16(this.guestRam, this.guest.used + 2, start.usedIdx);
    this.relay = new ShadowVirtqueue({
      guest: areas(guestSeen, num, GUEST_RING),
      shadow: areas(options.wrapShadow?.(this.shadowRam) ?? this.shadowRam, shadowNum, CANARY_BYTES),
      guestMemory: new GuestMemory([{ gpa: 0, bytes: RAM_BYTES, memory: guestSeen }]),
      map,
      marks: this.marks,
      eventIdx,
      indirect,
      deviceKick: { signal: () => void this.kicks++ },
      guestCall: { signal: () => void this.calls++ },
      counters: this.#counters,
      start,
    });
  }

  // The guest.

  /** Writes a chain into the descriptor table from `head` on, in consecutive descriptors. */
  chain(head: number, elements: readonly HandDescriptor[]): void {
    for (const [i, element] of elements.entries()) {
      const last = i === elements.length - 1;
      this.descriptor(
        (head + i) % this.guest.num,
        { next: last ? 0 : (head + i + 1) % this.guest.num, ...element },
        last,
      );
    }
  }

  /** Writes one descriptor of the guest's table. */
  descriptor(index: number, element: HandDescriptor, last = true): void {
    writeHandDescriptor(this.guestRam, this.guest.desc + index * 16, element, last);
  }

  /** Writes an indirect table at `address`. */
  table(address: number, elements: readonly HandDescriptor[]): void {
    for (const [i, element] of elements.entries()) {
      const last = i === elements.length - 1;
      writeHandDescriptor(this.guestRam, address + i * 16, { next: last ? 0 : i + 1, ...element }, last);
    }
  }

  /** Makes heads available and publishes them. */
  offer(...heads: number[]): void {
    for (const head of heads) {
      put16(this.guestRam, this.guest.avail + 4 + (this.#availIdx & (this.guest.num - 1)) * 2, head);
      this.#availIdx = u16(this.#availIdx + 1);
    }
    put16(this.guestRam, this.guest.avail + 2, this.#availIdx);
  }

  /** Publishes an available index as it is. */
  jumpAvail(index: number): void {
    this.#availIdx = u16(index);
    put16(this.guestRam, this.guest.avail + 2, this.#availIdx);
  }

  /** The guest's used index. */
  get usedIdx(): number {
    return get16(this.guestRam, this.guest.used + 2);
  }

  /** The used entry at a free-running index. */
  usedEntry(index: number): { id: number; len: number } {
    const at = this.guest.used + 4 + (index & (this.guest.num - 1)) * 8;
    return { id: this.guestRam.read32(at) >>> 0, len: this.guestRam.read32(at + 4) >>> 0 };
  }

  setUsedEvent(index: number): void {
    put16(this.guestRam, this.guest.avail + usedEventOffset(this.guest.num), index);
  }

  setAvailFlags(flags: number): void {
    put16(this.guestRam, this.guest.avail, flags);
  }

  get availEvent(): number {
    return get16(this.guestRam, this.guest.used + availEventOffset(this.guest.num));
  }

  get usedFlags(): number {
    return get16(this.guestRam, this.guest.used);
  }

  // The device.

  /** Heads that have appeared in the shadow available ring since the last call. */
  newHeads(): number[] {
    const heads: number[] = [];
    for (; this.#seen !== get16(this.shadowRam, this.shadow.avail + 2); this.#seen = u16(this.#seen + 1)) {
      heads.push(get16(this.shadowRam, this.shadow.avail + 4 + (this.#seen & (this.shadow.num - 1)) * 2));
    }
    return heads;
  }

  /** A shadow chain as the device reads it; throws where it is malformed. */
  seen(head: number): SeenDescriptor[] {
    const chain: SeenDescriptor[] = [];
    for (let index = head; ; ) {
      if (index >= this.shadow.num || chain.length === this.shadow.num)
        throw new Error(`chain from ${head} is malformed`);
      const at = this.shadow.desc + index * 16;
      const word = this.shadowRam.read32(at + 12);
      const iova = (this.shadowRam.read32(at) >>> 0) + (this.shadowRam.read32(at + 4) >>> 0) * 2 ** 32;
      chain.push({ iova, bytes: this.shadowRam.read32(at + 8) >>> 0, writable: (word & WRITE) !== 0 });
      if ((word & ~(NEXT | WRITE) & 0xffff) !== 0) throw new Error(`flags ${word & 0xffff} of descriptor ${index}`);
      if ((word & NEXT) === 0) return chain;
      index = word >>> 16;
    }
  }

  /** Returns chains: fills used entries and publishes them. */
  use(...entries: readonly [id: number, len: number][]): void {
    for (const [id, len] of entries) {
      const at = this.shadow.used + 4 + (this.#usedIdx & (this.shadow.num - 1)) * 8;
      this.shadowRam.write32(at, id);
      this.shadowRam.write32(at + 4, len);
      this.#usedIdx = u16(this.#usedIdx + 1);
    }
    put16(this.shadowRam, this.shadow.used + 2, this.#usedIdx);
  }

  jumpUsed(index: number): void {
    put16(this.shadowRam, this.shadow.used + 2, u16(index));
  }

  setShadowUsedFlags(flags: number): void {
    put16(this.shadowRam, this.shadow.used, flags);
  }

  setShadowAvailEvent(index: number): void {
    put16(this.shadowRam, this.shadow.used + availEventOffset(this.shadow.num), index);
  }

  get shadowAvailFlags(): number {
    return get16(this.shadowRam, this.shadow.avail);
  }

  get shadowUsedEvent(): number {
    return get16(this.shadowRam, this.shadow.avail + usedEventOffset(this.shadow.num));
  }

  // Judgement.

  /** The relay's books, which must add up at every quiet moment. */
  books(): Account {
    return shadowAccount(this.relay.parts());
  }

  /** Pages marked since the last call. */
  takeDirty(): number[] {
    const bitmap = new Uint32Array(RAM_BYTES / 4096 / 32);
    this.log.take(bitmap);
    return Array.from({ length: RAM_BYTES / 4096 }, (_, p) => p).filter(
      (p) => (bitmap[p >>> 5]! & (1 << (p & 31))) !== 0,
    );
  }

  counter(name: CounterName): number {
    return this.#counters[COUNTERS[name]]!;
  }

  /** Whether the bytes before and behind each ring area are as they were. */
  canariesIntact(): boolean {
    return this.#canaries().every((byte) => byte === CANARY);
  }

  #plantCanaries(): void {
    const pattern = new Uint8Array(CANARY_BYTES).fill(CANARY);
    for (const { memory, offset } of this.#canaryPlaces()) memory.copyIn(offset, pattern);
  }

  #canaries(): number[] {
    return this.#canaryPlaces().flatMap(({ memory, offset }) => {
      const bytes = new Uint8Array(CANARY_BYTES);
      memory.copyOut(offset, bytes);
      return [...bytes];
    });
  }

  #canaryPlaces(): { memory: SharedMemory; offset: number }[] {
    const end = (ring: VringAreas) => Math.ceil((ring.used + availEventOffset(ring.num) + 2) / 4) * 4;
    return [
      { memory: this.guestRam, offset: this.guest.desc - CANARY_BYTES },
      { memory: this.guestRam, offset: end(this.guest) },
      { memory: this.shadowRam, offset: 0 },
      { memory: this.shadowRam, offset: end(this.shadow) },
    ];
  }
}

/** Pages that hold the guest's used ring. */
export function usedRingPages(bench: HandRings): number[] {
  const last = bench.guest.used + availEventOffset(bench.guest.num) + 1;
  return [...new Set([bench.guest.used >>> 12, last >>> 12])];
}

/** Where RAM is mapped when nothing else is said. */
export function wholeRamIova(gpa: number, iovaBase = 0): Iova {
  return (iovaBase + 2 ** 30 + (gpa as Gpa)) as Iova;
}

function writeHandDescriptor(memory: SharedMemory, at: number, element: HandDescriptor, last: boolean): void {
  const address = BigInt(element.address);
  const flags = element.flags ?? (last ? 0 : NEXT) | (element.writable === true ? WRITE : 0);
  memory.write32(at, Number(BigInt.asIntN(32, address)));
  memory.write32(at + 4, Number(BigInt.asIntN(32, address >> 32n)));
  memory.write32(at + 8, element.bytes | 0);
  memory.write16(at + 12, flags);
  memory.write16(at + 14, element.next ?? 0);
}

function areas(memory: SharedMemory, num: number, start: number): VringAreas {
  return { num, descMemory: memory, availMemory: memory, usedMemory: memory, ...vringOffsets(num, start) };
}

function get16(memory: SharedMemory, offset: number): number {
  return memory.read16(offset);
}

function put16(memory: SharedMemory, offset: number, value: number): void {
  memory.write16(offset, value);
}
