import { DirtyLog } from "../../dirty/dirty-log.js";
import { usedRingBytes } from "../../layout/virtio-ring.js";
import { PAGE_BYTES } from "../../memory/address.js";
import { ForwardingMemory } from "../../memory/forwarding-memory.js";
import type { SharedMemory } from "../../memory/shared-memory.js";
import type { RingSession } from "../../vhost-user/session.js";
import type { GuestTable } from "./guest-table.js";

/**
 * A log in which only marks of used rings arrive: the fault "drop-marks".
 *
 * With those dropped as well a guest would break before anybody could count which of its pages were left behind.
 */
export function ringMarksOnly(
  log: DirtyLog | undefined,
  rings: readonly RingSession[],
  table: GuestTable,
): DirtyLog | undefined {
  if (log === undefined) return undefined;
  const kept = new Map<number, number>();
  for (const { addr, num } of rings) {
    const start = addr?.log ?? (addr && table.gpaOf(addr.used, usedRingBytes(num)));
    if (start === undefined || num === 0) continue;
    const last = Math.floor((start + usedRingBytes(num) - 1) / PAGE_BYTES);
    for (let page = Math.floor(start / PAGE_BYTES); page <= last; page++) {
      const at = log.offset + Math.floor(page / 32) * 4;
      kept.set(at, (kept.get(at) ?? 0) | (1 << (page % 32)));
    }
  }
  return new DirtyLog(new Sieve(log.memory, kept), log.offset, log.pageCount * PAGE_BYTES);
}

class Sieve extends ForwardingMemory {
  readonly #kept: ReadonlyMap<number, number>;

  constructor(inner: SharedMemory, kept: ReadonlyMap<number, number>) {
    super(inner);
    this.#kept = kept;
  }

  override setBits32(offset: number, bits: number): void {
    const passed = bits & (this.#kept.get(offset) ?? 0);
    if (passed !== 0) this.inner.setBits32(offset, passed);
  }
}
