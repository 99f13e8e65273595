import { bitCount, DirtyLog } from "../../dirty/dirty-log.js";
import { PAGE_BYTES } from "../../memory/address.js";
import { ForwardingMemory } from "../../memory/forwarding-memory.js";

/** A mark of so many pages at once is of data: status bytes of several requests can be neighbours too. */
const DATA_PAGES = 8;

/**
 * A log in which marks of data do not arrive: the fault "drop-marks".
 *
 * Marks of a few pages do: of used rings, and of the status that ends a request. With those dropped as well a guest
 * breaks before anybody can count which of its pages were left behind.
 */
export function withoutData(log: DirtyLog | undefined): DirtyLog | undefined {
  return log && new DirtyLog(new Sieve(log.memory), log.offset, log.pageCount * PAGE_BYTES);
}

class Sieve extends ForwardingMemory {
  override setBits32(offset: number, bits: number): void {
    if (bitCount(bits) < DATA_PAGES) this.inner.setBits32(offset, bits);
  }
}
