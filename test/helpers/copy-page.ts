/** Copies pages of guest RAM where no migration does. */
import type { GuestRam } from "../../src/memory/guest-ram.js";

/** Copies a page to RAM of the same kind and blocks. */
export function copyPage(ram: GuestRam, page: number, target: GuestRam): void {
  const payload = new Uint8Array(ram.payloadBytes);
  ram.readPage(page, payload, 0);
  if (!target.writePage(page, payload)) throw new Error(`page ${page} is in no block`);
}
