import { type Blocker, blockers } from "../../dirty/blockers.js";
import { TrackerSet } from "../../dirty/tracker-set.js";
import { ConfigError } from "../../memory/config-error.js";
import { RAM_BYTES_MAX, ramBlocks, ramLike, SparseRam } from "../../memory/guest-ram.js";
import { migrate } from "../../migration/migrate.js";
import type {
  MigrationClock,
  MigrationFaults,
  MigrationOutcome,
  MigrationProgress,
} from "../../migration/migration.js";
import { Oracle } from "../../migration/oracle.js";
import type { MigrationParameters } from "../../migration/parameters.js";
import { UniformGuest } from "../../migration/uniform-guest.js";
import type { StoreWitness } from "../../vfio/dma.js";
import { PoliteClock } from "./clocks.js";
import { ramSha256 } from "./digest.js";
import { groundOf } from "./ground.js";
import { joinedRow } from "./joined-row.js";
import { markNsPerPage } from "./mark-cost.js";
import type { RowResult, RowWiring, TrackerRow } from "./row.js";
import { VirtqueueGuest } from "./virtqueue-guest.js";
import { DMA_HABITS, dmaPages, VCPU_HABITS, vcpuPages } from "./working-sets.js";

/** One migration of the seeded workload, as all rows of a comparison have it. */
export interface RunOptions {
  readonly seed: number;
  /** Guest RAM, a multiple of 4 MiB; at most 4 GiB, or 256 GiB when it is sparse. */
  readonly ramBytes: number;
  /** Only a stamp of each page is kept, and the guest has no rings (see `SparseRam`). */
  readonly sparse?: boolean;
  readonly vcpuBytesPerSecond: number;
  readonly dmaBytesPerSecond: number;
  readonly parameters: MigrationParameters;
  readonly clock?: (() => MigrationClock) | undefined;
  readonly faults?: MigrationFaults | undefined;
  readonly onProgress?: ((progress: MigrationProgress) => void) | undefined;
  readonly cancelled?: (() => boolean) | undefined;
}

/** What came of a migration: its row of the contract, and all that was noted. */
export interface RunResult {
  readonly row: RowResult;
  /** Undefined for a row that is no migration. */
  readonly outcome: MigrationOutcome | undefined;
}

/** Milliseconds of guest time before a migration begins. */
const WARM_UP_NS = 20e6;

/** Migrates the seeded workload with the trackers of one row, or of several together. */
export async function runMigration(rows: readonly TrackerRow[], options: RunOptions): Promise<RunResult> {
  const row = joinedRow(rows);
  // What is no migration has no image: it is legal, and its misses are all there is.
  if (row.run !== undefined) return { row: { ...emptyResult(row), ...row.run(options) }, outcome: undefined };
  const witnessed: { oracle?: Oracle } = {};
  const guest = makeGuest(row, options, (writer, gpa, bytes) => witnessed.oracle?.wrote(writer, gpa, bytes));
  const oracle = new Oracle(guest.ram, { digest: ramSha256 });
  witnessed.oracle = oracle;
  const ground = groundOf(guest, options.seed);
  const wiring = row.wire!(ground);
  const trackers = new TrackerSet(wiring.entries, {
    blocks: guest.ram.blocks,
    writers: guest.writers,
    now: () => Number(process.hrtime.bigint()),
    ...(wiring.policy === undefined ? {} : { policy: wiring.policy }),
  });
  guest.run(WARM_UP_NS, { share: 0 });
  const refusals = blockers({ ...parametersOf(options), ramBytes: options.ramBytes, ...wiring.config });
  let footprintBytes = 0;
  const outcome = await migrate({
    ...options,
    guest,
    trackers,
    oracle,
    destination: ramLike(guest.ram),
    clock: options.clock?.() ?? new PoliteClock(),
    blockers: refusals,
    hooks: wiring.hooks,
    onProgress: (progress) => {
      footprintBytes = Math.max(footprintBytes, trackers.footprintBytes());
      options.onProgress?.(progress);
    },
  });
  const verified = guest.verify();
  return { row: resultOf(row, { wiring, trackers, outcome, verified, footprintBytes }), outcome };
}

/** One read-modify-write a word of a mark; a relay that stops may mark a word of that turn's once more. */
const RMW_PER_WORD_MAX = 1.001;

/** Whether a row shows what it is expected to; otherwise a sentence about what it does not. */
export function unmet({ name, expect, ...row }: RowResult): string | undefined {
  if (expect === "blocked") {
    if (row.legal || row.blocker === undefined) return `${name}: was not refused`;
    return row.blocker === name ? undefined : `${name}: was refused for another reason, ${row.blocker}`;
  }
  if (!row.legal) return `${name}: was refused (${row.blocker ?? "?"})`;
  if (row.mark_rmw_per_word > RMW_PER_WORD_MAX)
    return `${name}: ${row.mark_rmw_per_word} read-modify-writes for a word of marks`;
  if (expect === "unsound") return row.misses > 0 ? undefined : `${name}: lost no page, and has to`;
  if (row.misses > 0) return `${name}: lost ${row.misses} pages`;
  if (!row.memory_equal) return `${name}: source and destination differ`;
  return row.guest_verified ? undefined : `${name}: the guest's data is wrong on the destination`;
}

/** The machine with its rings; where RAM is sparse, writers of the same rates and working sets. */
function makeGuest(row: TrackerRow, options: RunOptions, witness: StoreWitness): VirtqueueGuest | UniformGuest {
  if (options.sparse !== true) return new VirtqueueGuest({ ...options, ...row.guest, witness });
  const { ramBytes, seed, vcpuBytesPerSecond, dmaBytesPerSecond } = options;
  checkSparse(ramBytes);
  const devices = Array.from({ length: row.guest?.dmaDevices ?? 1 }, (_, i) => ({
    ...dmaPages(ramBytes, i),
    ...DMA_HABITS,
    bytesPerSecond: dmaBytesPerSecond,
    seed: seed + 2 + i,
  }));
  const vcpu = { ...vcpuPages(ramBytes), ...VCPU_HABITS, bytesPerSecond: vcpuBytesPerSecond, seed: seed + 1 };
  return new UniformGuest({ ram: new SparseRam(ramBlocks(ramBytes)), vcpu, devices, witness });
}

function checkSparse(ramBytes: number): void {
  const fits = ramBytes % (4 * 2 ** 20) === 0 && ramBytes > 0 && ramBytes <= RAM_BYTES_MAX.sparse;
  if (!fits) throw new ConfigError(`ram ${ramBytes} is not a multiple of 4 MiB up to 256 GiB`);
}

function parametersOf({ parameters }: RunOptions): { autoConverge: boolean; dirtyLimit: boolean } {
  return { autoConverge: parameters.autoConverge, dirtyLimit: parameters.dirtyLimitBytes > 0 };
}

interface Ended {
  readonly wiring: RowWiring;
  readonly trackers: TrackerSet;
  readonly outcome: MigrationOutcome;
  readonly verified: boolean;
  readonly footprintBytes: number;
}

function resultOf(row: TrackerRow, { wiring, trackers, outcome, verified, footprintBytes }: Ended): RowResult {
  const { verdict, blocker } = outcome;
  const counters = wiring.entries.map(({ tracker }) => tracker.counters);
  const sum = (field: "rmw" | "wordsTouched" | "bytesMarshalled") =>
    counters.reduce((total, one) => total + one[field], 0);
  const words = sum("wordsTouched");
  const ratio = words === 0 ? 0 : sum("rmw") / words;
  return {
    ...emptyResult(row, blocker),
    misses: verdict?.misses ?? 0,
    memory_equal: verdict?.differing === 0,
    guest_verified: verified,
    image_sha256: verdict?.sha256 ?? { source: "", destination: "" },
    over_report_ratio: verdict?.overReportRatio ?? 0,
    footprint_bytes: footprintBytes,
    mark_rmw_per_word: ratio,
    harvest_ns_per_mpage: trackers.harvestNsPerPage * 2 ** 20,
    marshalled_bytes: sum("bytesMarshalled"),
    mark_ns_per_page: blocker === undefined ? markNsPerPage(wiring) : 0,
    rounds: outcome.rounds,
    total_bytes: outcome.totalBytes,
    downtime_ns: Math.round(outcome.downtimeNs),
    converged: outcome.converged,
  };
}

function emptyResult({ name, expect }: TrackerRow, blocker?: Blocker): RowResult {
  return {
    name,
    expect,
    legal: blocker === undefined,
    ...(blocker === undefined ? {} : { blocker: blocker.name }),
    misses: 0,
    memory_equal: false,
    guest_verified: false,
    image_sha256: { source: "", destination: "" },
    over_report_ratio: 0,
    footprint_bytes: 0,
    mark_rmw_per_word: 0,
    mark_ns_per_page: 0,
    harvest_ns_per_mpage: 0,
    marshalled_bytes: 0,
    rounds: 0,
    total_bytes: 0,
    downtime_ns: 0,
    converged: false,
  };
}
