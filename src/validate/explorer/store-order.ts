import type { Access } from "./automaton.js";

/** In which order one party's stores reach the others: at once, in order, or as loosely as SharedMemory allows. */
export type StoreOrder = "sc" | "tso" | "pso";

/** A store that has not reached the others. */
export interface Pending {
  readonly offset: number;
  readonly bytes: number;
  readonly value: number;
  /** A publish: it is seen only after every earlier store. */
  readonly release: boolean;
}

/**
 * Whether the store at `position` of a party's buffer, oldest first, may be seen next.
 *
 * In PSO a store may overtake others, but none to the same word, and a publish overtakes nothing.
 */
export function mayDrain(own: readonly Pending[], position: number, order: StoreOrder): boolean {
  if (position === 0) return true;
  const { offset, release } = own[position]!;
  if (order !== "pso" || release) return false;
  return own.slice(0, position).every((older) => older.offset >>> 2 !== offset >>> 2);
}

/** What an access leaves in memory where `now` was; undefined when it leaves memory alone. */
export function changedBy({ kind, value }: Access, now: number): number | undefined {
  if (kind === "store" || kind === "publish") return value;
  if (kind === "set") return now | value;
  return kind === "take" || kind === "sleep" ? 0 : undefined;
}

/** What a party finds: the bytes, and over them what it has stored itself; 32-bit words are signed. */
export function seenBy(
  bytes: Uint8Array,
  { offset, bytes: length }: Pick<Access, "offset" | "bytes">,
  stores: readonly Pending[],
): number {
  let value = 0;
  for (let at = offset; at < offset + length; at++) {
    const own = stores.findLast((store) => at >= store.offset && at < store.offset + store.bytes);
    const byte = own === undefined ? bytes[at]! : (own.value >>> (8 * (at - own.offset))) & 0xff;
    value |= byte << (8 * (at - offset));
  }
  return value;
}

/** A copy of the bytes with a store made. */
export function stored(
  bytes: Uint8Array,
  { offset, bytes: length, value }: Pick<Pending, "offset" | "bytes" | "value">,
): Uint8Array {
  const next = bytes.slice();
  for (let i = 0; i < length; i++) next[offset + i] = value >>> (8 * i);
  return next;
}
