import { LogTracker } from "../../dirty/log-tracker.js";
import type { TrackerEntry } from "../../dirty/tracker-set.js";
import { PAGE_BYTES } from "../../memory/address.js";
import { ConfigError } from "../../memory/config-error.js";
import type { Guest } from "../../migration/guest.js";
import type { UniformGuest } from "../../migration/uniform-guest.js";
import type { RowGround } from "./row.js";
import { VirtqueueGuest } from "./virtqueue-guest.js";

/** Where a row is wired in this guest: its store logs are made when they are asked for, and once. */
export function groundOf(guest: VirtqueueGuest | UniformGuest, seed: number): RowGround {
  const end = guest.ram.endPage * PAGE_BYTES;
  const made = new Map<string, TrackerEntry>();
  const logOf = (name: string, ...writers: readonly ("vcpu" | "vmm")[]) => {
    const entry = made.get(name) ?? storeLog(name, guest, writers);
    made.set(name, entry);
    return entry;
  };
  return {
    guest,
    blocks: guest.ram.blocks,
    end,
    seed,
    storesOf: (writer) => logOf(`${writer}-log`, writer),
    get stores() {
      return logOf("store-log", "vcpu", "vmm");
    },
    get shadow() {
      if (guest instanceof VirtqueueGuest) return guest.shadow;
      throw new ConfigError(
        "a shadow virtqueue needs a guest with rings, and sparse RAM has none: --ram up to 4G, or another --tracker",
      );
    },
  };
}

function storeLog(name: string, guest: Guest, writers: readonly ("vcpu" | "vmm")[]): TrackerEntry {
  const tracker = new LogTracker(name, guest.ram.endPage * PAGE_BYTES);
  for (const writer of writers) guest[writer]?.markAfterWrite(tracker);
  return { tracker, covers: writers };
}
