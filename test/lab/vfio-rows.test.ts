/** Rows of the comparison for devices, containers and IOMMUs, on the workload that all rows have. */
import { describe, expect, it } from "vitest";
import { compareTrackers } from "../../src/lab/migrate/compare.js";
import type { RowResult } from "../../src/lab/migrate/row.js";
import { QUICK } from "../../src/lab/migrate/workloads.js";

const SOUND = [
  "device-bitmap",
  "device-seqack",
  "device-queue",
  "type1-all",
  "type1-pinned",
  "iommu-4k",
  "iommu-2m",
  "iommu-demoted",
];

async function rowOf(name: string): Promise<RowResult> {
  const { trackers, unmet } = await compareTrackers({ ...QUICK, ramBytes: 32 * 2 ** 20 }, [name]);
  expect(unmet).toEqual([]);
  return trackers[0]!;
}

describe("rows", () => {
  it.each(SOUND)("%s loses nothing: memory is equal, and the guest goes on", async (name) => {
    const row = await rowOf(name);
    expect(row).toMatchObject({ misses: 0, memory_equal: true, guest_verified: true, legal: true });
    expect(row.mark_rmw_per_word).toBeLessThanOrEqual(1);
  });

  it.each(["iommu-no-flush", "or-instead-of-and"])("%s loses pages, and the comparison says so", async (name) => {
    const row = await rowOf(name);
    expect(row.misses).toBeGreaterThan(0);
    expect(row.memory_equal).toBe(false);
  });

  it("device+viommu is refused by its name, before anything is tried", async () => {
    expect(await rowOf("device+viommu")).toMatchObject({ legal: false, blocker: "device+viommu", rounds: 0 });
  });

  it("type1-all ends by its number of rounds; split entries report what small ones do, large ones more", async () => {
    const [all, large, demoted, small] = await Promise.all(
      ["type1-all", "iommu-2m", "iommu-demoted", "iommu-4k"].map(rowOf),
    );
    expect([all!.converged, all!.rounds]).toEqual([false, QUICK.parameters.roundsMax]);
    expect(demoted!.over_report_ratio).toBe(small!.over_report_ratio);
    expect(large!.over_report_ratio).toBeGreaterThan(small!.over_report_ratio);
  });
});
