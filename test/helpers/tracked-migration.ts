/** A small guest of nothing but writers, migrated with whatever trackers a test hangs into its ports. */
import { type TrackerEntry, TrackerSet } from "../../src/dirty/tracker-set.js";
import { DenseRam, type RamBlock, ramBlocks, ramLike } from "../../src/memory/guest-ram.js";
import { migrate } from "../../src/migration/migrate.js";
import type { MigrationOutcome } from "../../src/migration/migration.js";
import { Oracle } from "../../src/migration/oracle.js";
import { DEFAULT_PARAMETERS, type MigrationParameters } from "../../src/migration/parameters.js";
import { UniformGuest } from "../../src/migration/uniform-guest.js";

const MIB = 2 ** 20;

/** 8 MiB and a hole of 2 MiB in it. */
export const BLOCKS: readonly RamBlock[] = ramBlocks(8 * MIB);
/** One past the last page, and the device's first. */
export const END_PAGE = 2560;
export const DEVICE_PAGE = 2048 + 10;

export interface Tracked {
  readonly outcome: MigrationOutcome;
  readonly guest: UniformGuest;
  readonly verified: boolean;
}

export interface TrackedChange {
  readonly parameters?: Partial<MigrationParameters>;
  readonly vcpuBytesPerSecond?: number;
  readonly deviceBytesPerSecond?: number;
  /** At each time at which progress is told. */
  readonly onProgress?: () => void;
}

/** Migrates: one vCPU, one device `device:dma0` with writes on their way, 16 MiB a second, 1 MiB of downtime. */
export async function migrateTracked(
  wire: (guest: UniformGuest) => readonly TrackerEntry[],
  change: TrackedChange = {},
): Promise<Tracked> {
  const ram = DenseRam.allocate(BLOCKS);
  const oracle = new Oracle(ram);
  const { vcpuBytesPerSecond = 2 * MIB, deviceBytesPerSecond = MIB } = change;
  const guest = new UniformGuest({
    ram,
    vcpu: { firstPage: 100, pageCount: 600, bytesPerSecond: vcpuBytesPerSecond, longEvery: 9, seed: 1 },
    devices: [
      {
        ...{ firstPage: DEVICE_PAGE, pageCount: 400, bytesPerSecond: deviceBytesPerSecond },
        ...{ longEvery: 5, postEvery: 3, seed: 2 },
      },
    ],
    witness: oracle.wrote,
  });
  const trackers = new TrackerSet(wire(guest), { blocks: ram.blocks, writers: guest.writers });
  guest.run(1e8, { share: 0 });
  const outcome = await migrate({
    guest,
    trackers,
    oracle,
    destination: ramLike(ram),
    parameters: { ...DEFAULT_PARAMETERS, maxBandwidthBytes: 16 * MIB, downtimeLimitNs: 62.5e6, ...change.parameters },
    onProgress: change.onProgress,
  });
  return { outcome, guest, verified: guest.verify() };
}
