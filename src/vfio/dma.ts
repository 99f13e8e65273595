import type { AfterWriteHook, AtTranslateHook } from "../dirty/discipline.js";
import type { WriterClass } from "../dirty/tracker-set.js";
import { type ErrnoResult, errno } from "../layout/errno.js";
import { PAGE_BYTES } from "../memory/address.js";
import { assert } from "../memory/assert.js";
import type { GuestRam } from "../memory/guest-ram.js";
import { TranslationCache } from "./translation-cache.js";

/** Told of every store into guest RAM, by guest physical address: for the oracle. */
export type StoreWitness = (writer: WriterClass, gpa: number, bytes: number) => void;

/** What a choke point is made of. */
export interface WritePortParts {
  readonly writer: WriterClass;
  readonly ram: GuestRam;
  readonly witness?: StoreWitness | undefined;
}

/** A write that was translated and waits to be done: as a PCI write on its way. */
interface PostedWrite {
  readonly address: number;
  readonly gpa: number;
  readonly payload: Uint8Array;
}

/**
 * The choke point: the one way in which a writer's stores reach guest RAM (specification 0.3).
 *
 *     translate ──► (peer's window?) ──► payload ──► mark-after-write trackers ──► oracle ──► caller completes
 *        └ mark-at-translate trackers, when the translation is not cached
 *
 * A tracker of each discipline goes in through a door of its own: markAfterWrite takes an AfterWriteHook, translateBy
 * an AtTranslateHook, and neither fits the other. Without a page table an address is its guest physical address.
 * Windows of other devices (P2P) are classified between translation and payload, where devices have such windows.
 */
export class WritePort {
  readonly writer: WriterClass;
  readonly counters = { writes: 0, bytes: 0, faults: 0, posted: 0 };
  #ram: GuestRam;
  readonly #witness: StoreWitness | undefined;
  #after: AfterWriteHook[] = [];
  #gates: (() => boolean)[] = [];
  #caches: TranslationCache[] = [];
  #posted: PostedWrite[] = [];

  constructor({ writer, ram, witness }: WritePortParts) {
    this.writer = writer;
    this.#ram = ram;
    this.#witness = witness;
  }

  /** Lets a tracker mark after each write. */
  markAfterWrite(hook: AfterWriteHook): void {
    this.#after.push(hook);
  }

  /** Takes a tracker out that marks after writes. */
  unmark(hook: AfterWriteHook): void {
    const at = this.#after.indexOf(hook);
    if (at >= 0) this.#after.splice(at, 1);
  }

  /** Puts the writer behind a page table that is marked when a translation is cached; returns the cache to flush. */
  translateBy(walker: AtTranslateHook): TranslationCache {
    const cache = new TranslationCache(walker, () => this.drain());
    this.#caches.push(cache);
    return cache;
  }

  /** Writes to other RAM from now on, as another host's device: without the trackers of this one. */
  moveTo(ram: GuestRam): void {
    assert(this.#posted.length === 0, "nothing is on its way when a writer moves");
    this.#ram = ram;
    this.#after = [];
    this.#gates = [];
    this.#caches = [];
  }

  /** Asks `ready` before the writer begins another request: a tracker that holds it back (self-throttled). */
  addGate(ready: () => boolean): void {
    this.#gates.push(ready);
  }

  /** Whether the writer may begin another request. */
  ready(): boolean {
    return this.#gates.every((gate) => gate());
  }

  /** Writes `payload` at `address`: 0, or EFAULT with nothing written when a page of it is not mapped. */
  write(address: number, payload: Uint8Array): ErrnoResult {
    return this.#each(address, payload.length, (from, gpa, at, bytes) => {
      this.#store({ address: from, gpa, payload: payload.subarray(at, at + bytes) });
    });
  }

  /** Translates a write now and leaves it on its way until drain(): what a flush has to wait for. */
  post(address: number, payload: Uint8Array): ErrnoResult {
    return this.#each(address, payload.length, (from, gpa, at, bytes) => {
      this.#posted.push({ address: from, gpa, payload: payload.slice(at, at + bytes) });
      this.counters.posted += 1;
    });
  }

  /** Does what was posted; returns how many writes that were. */
  drain(): number {
    const posted = this.#posted;
    this.#posted = [];
    for (const write of posted) this.#store(write);
    return posted.length;
  }

  /**
   * Translates for a store that somebody else makes, at its guest physical address; false when it must not be made.
   *
   * For shipping classes that write memory themselves: permit(), the store, then written().
   */
  permit(gpa: number, bytes: number): boolean {
    if (this.#caches.length === 0) return true;
    const result = this.#each(gpa, bytes, (address, found) => {
      assert(found === address, "a shipping class is wired where addresses are guest physical");
    });
    return result === 0;
  }

  /** Marks a store that was permitted and made. */
  written(gpa: number, bytes: number): void {
    this.#mark(gpa, gpa, bytes);
  }

  /** Splits at pages where there is a page table, translates all before any is touched, then visits each piece. */
  #each(
    address: number,
    bytes: number,
    visit: (address: number, gpa: number, at: number, bytes: number) => void,
  ): ErrnoResult {
    if (this.#caches.length === 0) {
      visit(address, address, 0, bytes);
      return 0;
    }
    const pieces: [number, number, number, number][] = [];
    for (let at = 0; at < bytes; ) {
      const from = address + at;
      const length = Math.min(bytes - at, PAGE_BYTES - (from % PAGE_BYTES));
      const page = Math.floor(from / PAGE_BYTES);
      const found = this.#translate(page);
      if (found < 0) {
        this.counters.faults += 1;
        return errno("EFAULT");
      }
      pieces.push([from, found * PAGE_BYTES + (from % PAGE_BYTES), at, length]);
      at += length;
    }
    for (const piece of pieces) visit(...piece);
    return 0;
  }

  /** Through every page table there is; they agree on where a page lies. */
  #translate(page: number): number {
    let found = page;
    for (const cache of this.#caches) found = cache.translateForWrite(page);
    return found;
  }

  #store({ address, gpa, payload }: PostedWrite): void {
    if (!this.#ram.write(gpa, payload)) {
      this.counters.faults += 1;
      return;
    }
    this.#mark(address, gpa, payload.length);
  }

  #mark(address: number, gpa: number, bytes: number): void {
    this.counters.writes += 1;
    this.counters.bytes += bytes;
    for (const hook of this.#after) hook.markAfterWrite(hook.space === "iova" ? address : gpa, bytes);
    this.#witness?.(this.writer, gpa, bytes);
  }
}

/** A device writes by DMA (specification 0.3): 0, or a negative error number with nothing written. */
export function dmaWrite(device: WritePort, iova: number, payload: Uint8Array): ErrnoResult {
  return device.write(iova, payload);
}

/** A vCPU stores (specification 5.1): a write barrier in software, with the same trackers. */
export function guestStore(vcpu: WritePort, gpa: number, payload: Uint8Array): ErrnoResult {
  return vcpu.write(gpa, payload);
}
