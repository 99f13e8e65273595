/** A small guest of nothing but writers, one log for its vCPUs and one for its device, ready to be migrated. */
import { LogTracker } from "../../src/dirty/log-tracker.js";
import { TrackerSet } from "../../src/dirty/tracker-set.js";
import { ramSha256 } from "../../src/lab/migrate/digest.js";
import { DenseRam, ramBlocks, ramLike } from "../../src/memory/guest-ram.js";
import { migrate } from "../../src/migration/migrate.js";
import type { MigrationOutcome, MigrationParts } from "../../src/migration/migration.js";
import { Oracle } from "../../src/migration/oracle.js";
import { DEFAULT_PARAMETERS, type MigrationParameters } from "../../src/migration/parameters.js";
import { UniformGuest } from "../../src/migration/uniform-guest.js";

const MIB = 2 ** 20;

/** What a test may put in the way. */
export interface UniformChange extends Partial<Omit<MigrationParts, "parameters">> {
  readonly parameters?: Partial<MigrationParameters>;
  /** Stands in for the device's log. */
  readonly deviceLog?: (name: string, end: number) => LogTracker;
}

/** 8 MiB of RAM and a hole, 16 MiB a second to send, 1 MiB of downtime. */
export class UniformMigration {
  readonly ram = DenseRam.allocate(ramBlocks(8 * MIB));
  readonly oracle = new Oracle(this.ram, { journals: true, digest: ramSha256 });
  readonly guest: UniformGuest;
  readonly cpuLog: LogTracker;
  readonly deviceLog: LogTracker;
  readonly trackers: TrackerSet;
  readonly destination = ramLike(this.ram);

  constructor(change: Pick<UniformChange, "deviceLog"> = {}) {
    this.guest = new UniformGuest({
      ram: this.ram,
      vcpu: { firstPage: 100, pageCount: 600, bytesPerSecond: 2 * MIB, longEvery: 9, seed: 1 },
      devices: [{ firstPage: 2048 + 10, pageCount: 300, bytesPerSecond: MIB, longEvery: 5, postEvery: 3, seed: 2 }],
      witness: this.oracle.wrote,
    });
    const end = this.ram.endPage * 4096;
    this.cpuLog = new LogTracker("cpu", end);
    this.deviceLog = change.deviceLog?.("dma0", end) ?? new LogTracker("dma0", end);
    this.guest.vcpu.markAfterWrite(this.cpuLog);
    this.guest.devices[0]!.markAfterWrite(this.deviceLog);
    this.trackers = new TrackerSet(
      [
        { tracker: this.cpuLog, covers: ["vcpu"] },
        { tracker: this.deviceLog, covers: ["device:dma0"] },
      ],
      { blocks: this.ram.blocks, writers: this.guest.writers },
    );
    this.guest.run(1e8, { share: 0 });
  }

  /** Migrates it. */
  migrate({ parameters, ...change }: Omit<UniformChange, "deviceLog"> = {}): Promise<MigrationOutcome> {
    return migrate({
      guest: this.guest,
      trackers: this.trackers,
      oracle: this.oracle,
      destination: this.destination,
      parameters: { ...DEFAULT_PARAMETERS, maxBandwidthBytes: 16 * MIB, downtimeLimitNs: 62.5e6, ...parameters },
      ...change,
    });
  }
}

/** Names of the events of a migration, in their order, repeated ones once. */
export function eventNames({ events }: MigrationOutcome): string[] {
  return events.map(({ event }) => event).filter((event, i, all) => event !== all[i - 1]);
}
