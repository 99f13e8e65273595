/** The rows of KVM's trackers and of the report queue on the emulated machine. */
import { expect, test } from "vitest";
import { TRACKER_ROWS } from "../../src/lab/migrate/rows.js";
import { type RunOptions, runMigration, unmet } from "../../src/lab/migrate/run.js";
import { QUICK } from "../../src/lab/migrate/workloads.js";

const MIB = 2 ** 20;
const SMALL: RunOptions = {
  ...QUICK,
  ramBytes: 16 * MIB,
  vcpuBytesPerSecond: 4 * MIB,
  dmaBytesPerSecond: 2 * MIB,
  parameters: { ...QUICK.parameters, maxBandwidthBytes: 32 * MIB, downtimeLimitNs: 62.5e6, roundsMax: 4 },
};

function run(...names: string[]) {
  return runMigration(
    names.map((name) => TRACKER_ROWS.get(name)!),
    SMALL,
  );
}

test.each(["kvm-bitmap", "kvm-ring", "vq-push", "vq-pull"])("%s meets its expectation", async (name) => {
  const { row, outcome } = await run(name);
  expect(unmet(row)).toBeUndefined();
  expect(outcome!.degraded).toEqual([]);
  expect(row.mark_rmw_per_word).toBeLessThanOrEqual(1);
  expect(row.mark_ns_per_page).toBeGreaterThan(0);
});

test("kvm-ring and vq-push go together: vCPUs by one, devices by the other", async () => {
  const { row } = await run("kvm-ring", "vq-push");
  expect(unmet(row)).toBeUndefined();
});

test("vq-pull reports at each sync, vq-push when a buffer is full or at the end: its last sync is the larger", async () => {
  const [push, pull] = [await run("vq-push"), await run("vq-pull")];
  expect(push.outcome!.roundBytes.at(-1)).toBeGreaterThan(pull.outcome!.roundBytes.at(-1)!);
  expect(push.row.footprint_bytes).toBe(pull.row.footprint_bytes);
});

test("ring+kvm-centric-pass is refused before anything is tried, by name", async () => {
  const { row, outcome } = await run("ring+kvm-centric-pass");
  expect(row).toMatchObject({ legal: false, blocker: "ring+kvm-centric-pass", rounds: 0, total_bytes: 0 });
  expect(outcome!.events.map(({ event }) => event)).toEqual(["blocked"]);
});
