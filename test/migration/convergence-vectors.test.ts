/** The engine against the convergence model: rounds, bytes and downtime (specification 5.4). */
import { expect, test } from "vitest";
import { LogTracker } from "../../src/dirty/log-tracker.js";
import { TrackerSet } from "../../src/dirty/tracker-set.js";
import { SparseRam } from "../../src/memory/guest-ram.js";
import { migrate } from "../../src/migration/migrate.js";
import type { MigrationOutcome } from "../../src/migration/migration.js";
import { Oracle } from "../../src/migration/oracle.js";
import { DEFAULT_PARAMETERS, type MigrationParameters } from "../../src/migration/parameters.js";
import { UniformGuest } from "../../src/migration/uniform-guest.js";

const MIB = 2 ** 20;

interface Vector {
  readonly ram: number;
  readonly set: number;
  readonly rate: number;
}

/** Runs one vector; sizes in MiB, rate in MiB a second. */
async function run({ ram: size, set, rate }: Vector, change: Partial<MigrationParameters> = {}) {
  const ram = new SparseRam([{ gpa: 0, bytes: size * MIB }]);
  const oracle = new Oracle(ram);
  const guest = new UniformGuest({
    ram,
    vcpu: { firstPage: 64, pageCount: (set * MIB) / 4096, bytesPerSecond: rate * MIB, seed: 7 },
    devices: [],
    witness: oracle.wrote,
  });
  const tracker = new LogTracker("store-log", size * MIB);
  guest.vcpu.markAfterWrite(tracker);
  const trackers = new TrackerSet([{ tracker, covers: ["vcpu"] }], { blocks: ram.blocks, writers: guest.writers });
  const outcome = await migrate({
    guest,
    trackers,
    oracle,
    destination: new SparseRam(ram.blocks),
    parameters: { ...DEFAULT_PARAMETERS, ...change },
  });
  return { outcome, guest };
}

/** Rounds, bytes sent and downtime that the formula gives; rounds undefined when it never fits. */
function model({ ram, set, rate }: Vector): { rounds: number | undefined; mib: number; downtimeS: number } {
  let left = ram;
  let mib = 0;
  for (let rounds = 0; rounds < 40; rounds++) {
    if (left <= 128 * 0.3) return { rounds, mib: mib + left, downtimeS: left / 128 };
    mib += left;
    left = set * (1 - Math.exp((-rate * left) / 128 / set));
  }
  return { rounds: undefined, mib, downtimeS: Number.NaN };
}

function sound(outcome: MigrationOutcome): void {
  expect(outcome.status).toBe("completed");
  expect(outcome.verdict).toMatchObject({ misses: 0, differing: 0 });
}

test.each([
  { ram: 256, set: 64, rate: 20 },
  { ram: 256, set: 64, rate: 100 },
  { ram: 256, set: 32, rate: 400 },
  { ram: 1024, set: 512, rate: 110 },
  { ram: 1024, set: 512, rate: 128 },
])("converges as the model does: $ram MiB, working set $set, $rate MiB/s", async (vector) => {
  const { outcome, guest } = await run(vector);
  const wanted = model(vector);
  sound(outcome);
  expect(outcome.converged).toBe(true);
  expect(Math.abs(outcome.rounds - wanted.rounds!)).toBeLessThanOrEqual(1);
  expect(outcome.totalBytes / MIB / wanted.mib).toBeGreaterThan(0.9);
  expect(outcome.totalBytes / MIB / wanted.mib).toBeLessThan(1.1);
  expect(outcome.downtimeNs).toBeLessThanOrEqual(0.3e9);
  expect(Math.abs(outcome.downtimeNs / 1e9 - wanted.downtimeS)).toBeLessThan(0.05);
  expect(guest.verify()).toBe(true);
});

test.each([
  { ram: 256, set: 64, rate: 200, roundsMax: 25 },
  { ram: 1024, set: 512, rate: 160, roundsMax: 12 },
])("never converges where the model does not: $ram MiB, working set $set, $rate MiB/s", async (vector) => {
  expect(model(vector).rounds).toBeUndefined();
  const { outcome } = await run(vector, { roundsMax: vector.roundsMax });
  expect(outcome).toMatchObject({ converged: false, rounds: vector.roundsMax });
  sound(outcome);
});

test("one step of auto-converge makes it converge (D34)", async () => {
  const { outcome } = await run({ ram: 256, set: 64, rate: 200 }, { autoConverge: true });
  sound(outcome);
  expect(outcome).toMatchObject({ converged: true, throttlePercent: 20 });
});

test("so does a dirty-limit below what the channel carries", async () => {
  const { outcome } = await run({ ram: 256, set: 64, rate: 200 }, { dirtyLimitBytes: 60 * MIB });
  sound(outcome);
  expect(outcome.converged).toBe(true);
  expect(outcome.throttlePercent).toBeGreaterThan(40);
});
