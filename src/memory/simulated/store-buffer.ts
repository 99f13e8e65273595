import { assert } from "../assert.js";
import type { Clock } from "./party-clocks.js";
import type { SimulatedMemory } from "./simulated-memory.js";

/**
 * In which order the stores of one party become visible to the others: at once; in program order; or in any order that
 * keeps each 32-bit word's stores in program order and each publish behind all that came before it.
 */
export type MemoryModel = "sc" | "tso" | "pso";

/** A store that its own party sees and nobody else does. */
export interface PendingStore {
  readonly memory: SimulatedMemory;
  readonly offset: number;
  readonly bytes: Uint8Array;
  /** Whether it is a publish: visible only after every earlier store. */
  readonly release: boolean;
  /** What whoever observes it will know; only on a publish, and only while owners are checked. */
  readonly clock: Clock | undefined;
}

const NEVER_PENDING: readonly number[] = [];

/**
 * The stores of one party, oldest first, over all regions: a publish in one region releases the writes in every other.
 */
export class StoreBuffer {
  readonly #model: MemoryModel;
  readonly #stores: PendingStore[] = [];

  constructor(model: MemoryModel) {
    this.#model = model;
  }

  /** What is pending, oldest first. */
  get stores(): readonly PendingStore[] {
    return this.#stores;
  }

  push(store: PendingStore): void {
    this.#stores.push(store);
  }

  /** Positions of the stores that may become visible next. */
  drainable(): readonly number[] {
    if (this.#stores.length === 0) return NEVER_PENDING;
    return [...this.#stores.keys()].filter((position) => this.mayDrain(position));
  }

  /** Whether the store at `position` may become visible next. */
  mayDrain(position: number): boolean {
    if (position === 0) return this.#stores.length > 0;
    const store = this.#stores[position];
    if (store === undefined || this.#model === "tso" || store.release) return false;
    for (let older = 0; older < position; older++) {
      if (sharesWord(this.#stores[older]!, store)) return false;
    }
    return true;
  }

  /** Removes the store at `position`, for the caller to make it visible. */
  remove(position: number): PendingStore {
    assert(this.mayDrain(position), `the store at position ${position} may drain now`);
    return this.#stores.splice(position, 1)[0]!;
  }

  /** Lays what is pending over `target`, the visible bytes from `offset`; true when any of them was pending. */
  forward(memory: SimulatedMemory, offset: number, target: Uint8Array): boolean {
    let forwarded = false;
    for (const store of this.#stores) {
      const from = Math.max(store.offset, offset);
      const end = Math.min(store.offset + store.bytes.length, offset + target.length);
      if (store.memory !== memory || from >= end) continue;
      target.set(store.bytes.subarray(from - store.offset, end - store.offset), from - offset);
      forwarded = true;
    }
    return forwarded;
  }
}

function sharesWord(a: PendingStore, b: PendingStore): boolean {
  if (a.memory !== b.memory) return false;
  return firstWord(a) <= lastWord(b) && firstWord(b) <= lastWord(a);
}

function firstWord({ offset }: PendingStore): number {
  return offset >>> 2;
}

function lastWord({ offset, bytes }: PendingStore): number {
  return (offset + bytes.length - 1) >>> 2;
}
