import type { Blocker } from "../dirty/blockers.js";
import type { Degradation, TrackerSet } from "../dirty/tracker-set.js";
import type { GuestRam } from "../memory/guest-ram.js";
import type { Guest } from "./guest.js";
import type { Oracle, Verdict } from "./oracle.js";
import type { MigrationParameters } from "./parameters.js";

/** Where a migration stands, in QEMU's words. */
export type MigrationStatus = "setup" | "active" | "device" | "completed" | "cancelled" | "failed" | "blocked";

/** One event of a migration, for its log. */
export interface MigrationEvent {
  /** From 0, without gaps. */
  readonly sequence: number;
  /** Virtual (or real) nanoseconds since the start. */
  readonly timeNs: number;
  readonly event: string;
  readonly detail: Readonly<Record<string, number | string | boolean>>;
}

/** Where a migration stands, for people who watch: one at each sync and each window. */
export interface MigrationProgress {
  readonly timeNs: number;
  readonly status: MigrationStatus;
  /** From 1; the first sends everything. */
  readonly round: number;
  readonly remainingBytes: number;
  readonly sentBytes: number;
  /** Bytes a second that became dirty between the last two syncs. */
  readonly dirtyRateBytes: number;
  readonly bandwidthBytes: number;
  readonly expectedDowntimeNs: number;
  readonly throttlePercent: number;
}

/** Where a migration can be made to fail, for tests; each is asked at its step. */
export interface MigrationFaults {
  /** Answers a negative error number for a sync of all trackers, or 0; `round` is the one that begins. */
  readonly sync?: (round: number) => number;
  /** Whether the channel still takes a page, after so many. */
  readonly channel?: (sentPages: number) => boolean;
  /** Is shown each frame in the channel, and may change it. */
  readonly frame?: (frame: Uint8Array, sentPages: number) => void;
  /** Whether the destination can start, once it has everything. */
  readonly destination?: () => boolean;
}

/** What is done when the shadow virtqueue has to be in the way, and when not any more. */
export interface SwitchHooks {
  /** At SETUP, before trackers start; reasons for which it cannot. */
  setUp(): readonly Blocker[];
  /** At the end, or after a cancel or a failure. */
  tearDown(): void;
}

/** How time passes: virtual time at once, real time by waiting. */
export interface MigrationClock {
  /** Nanoseconds since the start. */
  now(): number;
  /** Lets `ns` pass; a promise only where the caller has to wait. */
  pass(ns: number): Promise<void> | undefined;
}

/** What a migration is made of. */
export interface MigrationParts {
  readonly guest: Guest;
  readonly trackers: TrackerSet;
  readonly destination: GuestRam;
  readonly parameters: MigrationParameters;
  readonly oracle?: Oracle | undefined;
  readonly clock?: MigrationClock | undefined;
  /** Reasons known before: any of them, and nothing is tried. */
  readonly blockers?: readonly Blocker[] | undefined;
  readonly hooks?: SwitchHooks | undefined;
  readonly faults?: MigrationFaults | undefined;
  readonly onProgress?: ((progress: MigrationProgress) => void) | undefined;
  /** Asked at each window: true cancels. */
  readonly cancelled?: (() => boolean) | undefined;
}

/** How a migration ended. */
export interface MigrationOutcome {
  readonly status: MigrationStatus;
  /** The first reason for which it was not tried. */
  readonly blocker: Blocker | undefined;
  /** What broke, where it failed. */
  readonly failure: string | undefined;
  /** True when few enough bytes were left within the rounds allowed. */
  readonly converged: boolean;
  readonly rounds: number;
  /** Bytes of each round, the first being all of RAM. */
  readonly roundBytes: readonly number[];
  readonly totalBytes: number;
  readonly downtimeNs: number;
  readonly throttlePercent: number;
  readonly degraded: readonly Degradation[];
  readonly events: readonly MigrationEvent[];
  /** What the oracle found at the moment at which the destination takes over; undefined before that. */
  readonly verdict: Verdict | undefined;
}
