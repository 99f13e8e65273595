import type { Blocker, TrackingConfig } from "../../dirty/blockers.js";
import type { TrackerEntry } from "../../dirty/tracker-set.js";
import type { RamBlock } from "../../memory/guest-ram.js";
import type { SharedMemory } from "../../memory/shared-memory.js";
import type { Guest } from "../../migration/guest.js";
import type { SwitchHooks } from "../../migration/migration.js";
import type { MarkPolicy } from "../../relay/guest-marks.js";

/** What a row is expected to show. */
type Expectation = "sound" | "unsound" | "blocked";

/** The machine on which a row is tried, as far as rows differ. */
export interface GuestChange {
  /** What the relay marks by when it is in the way. */
  readonly markPolicy?: MarkPolicy;
  /** The device writes whole buffers and reports less (VIRTIO 1.3, 2.7.8.2 allows it). */
  readonly sloppy?: boolean;
  /** Devices that write by DMA beside the virtio device; 1 unless asked otherwise. */
  readonly dmaDevices?: number;
}

/** Where a row is wired: a guest that does not run yet. */
export interface RowGround {
  readonly guest: Guest;
  readonly blocks: readonly RamBlock[];
  /** One past the last guest physical address. */
  readonly end: number;
  readonly seed: number;
  /** vCPUs and relay by the log of a store barrier: for rows that are about devices only. */
  readonly stores: TrackerEntry;
  /** The same for one of them, where a row has something else for the other. */
  readonly storesOf: (writer: "vcpu" | "vmm") => TrackerEntry;
  /** Puts the shadow virtqueue in the way and out again; `log` is where the relay marks. */
  readonly shadow: ShadowSwitch;
}

/** The relay of the guest's machine, as a row reaches it. */
export interface ShadowSwitch {
  /** The memory of the relay's log, `logBytes(end)` bytes: what it marks there while it is in the way. */
  readonly log: SharedMemory;
  readonly hooks: SwitchHooks;
  /** Why it cannot be put in the way: can-sw-lm's reasons. */
  readonly refusals: () => readonly Blocker[];
}

/** The trackers of a row, wired to the ports of the guest. */
export interface RowWiring {
  readonly entries: readonly TrackerEntry[];
  /** What the rules of exclusion are asked about. */
  readonly config: TrackingConfig;
  /** "or" only for the row that shows why not. */
  readonly policy?: "and" | "or";
  readonly hooks?: SwitchHooks;
  /** Marks each of these pages once, for what a mark costs; by the entries' own hooks where it is not given. */
  readonly probe?: (pages: readonly number[]) => void;
}

/** One row of the comparison: a way to track, on the same seeded workload as all others. */
export interface TrackerRow {
  /** As the JSON contract spells it. */
  readonly name: string;
  readonly expect: Expectation;
  /** One sentence for tables and help. */
  readonly does: string;
  readonly guest?: GuestChange;
  /** Makes its trackers and hangs them into the guest's ports. */
  readonly wire?: (ground: RowGround) => RowWiring;
  /** For a row that is no migration of the emulated machine: runs by itself. */
  readonly run?: (options: { readonly seed: number }) => Partial<RowResult>;
}

/** One row of the JSON contract `shadowvq.migrate/1`. */
export interface RowResult {
  readonly name: string;
  readonly expect: Expectation;
  readonly legal: boolean;
  /** Name of the first reason for which it was not tried. */
  readonly blocker?: string;
  readonly misses: number;
  readonly memory_equal: boolean;
  readonly guest_verified: boolean;
  readonly image_sha256: { readonly source: string; readonly destination: string };
  readonly over_report_ratio: number;
  readonly footprint_bytes: number;
  readonly mark_rmw_per_word: number;
  readonly mark_ns_per_page: number;
  readonly harvest_ns_per_mpage: number;
  readonly marshalled_bytes: number;
  readonly rounds: number;
  readonly total_bytes: number;
  readonly downtime_ns: number;
  readonly converged: boolean;
}
