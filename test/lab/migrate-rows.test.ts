/** Rows of `svq migrate --compare` on the emulated machine: each shows what it is there to show. */
import { describe, expect, it, test } from "vitest";
import { runMarkForm } from "../../src/lab/migrate/check-first.js";
import { compareTrackers } from "../../src/lab/migrate/compare.js";
import type { TrackerRow } from "../../src/lab/migrate/row.js";
import { TRACKER_ROWS } from "../../src/lab/migrate/rows.js";
import { type RunOptions, runMigration, unmet } from "../../src/lab/migrate/run.js";
import { VirtqueueGuest } from "../../src/lab/migrate/virtqueue-guest.js";
import { QUICK } from "../../src/lab/migrate/workloads.js";

const MIB = 2 ** 20;
/** A quarter of the product's, so that a row takes a fraction of a second. */
const SMALL: RunOptions = {
  ...QUICK,
  ramBytes: 16 * MIB,
  vcpuBytesPerSecond: 4 * MIB,
  dmaBytesPerSecond: 2 * MIB,
  parameters: { ...QUICK.parameters, maxBandwidthBytes: 32 * MIB, downtimeLimitNs: 62.5e6, roundsMax: 4 },
};

function row(name: string): TrackerRow {
  return TRACKER_ROWS.get(name)!;
}

const MACHINE_ROWS = ["vhost-log", "all-dirty", "svq-all-writable", "svq-hybrid", "svq-used-len+sloppy-device"];

test.each(MACHINE_ROWS)("%s meets its expectation, at most one read-modify-write a word", async (name) => {
  const { row: result } = await runMigration([row(name)], SMALL);
  expect(unmet(result)).toBeUndefined();
  expect(result.mark_rmw_per_word).toBeLessThanOrEqual(1);
  expect(result.image_sha256.source === result.image_sha256.destination).toBe(result.memory_equal);
});

test("the same seed gives the same row, but for what a clock measured", async () => {
  const untimed = async () => {
    const { row: result } = await runMigration([row("svq-hybrid")], SMALL);
    return { ...result, mark_ns_per_page: 0, harvest_ns_per_mpage: 0 };
  };
  expect(await untimed()).toEqual(await untimed());
});

test("all-dirty reports nearly all for nothing, never converges, and costs no memory (B07)", async () => {
  const { row: result } = await runMigration([row("all-dirty")], SMALL);
  expect(result).toMatchObject({ converged: false, footprint_bytes: 0, rounds: 4 });
  expect(result.total_bytes).toBe(5 * SMALL.ramBytes);
  expect(result.over_report_ratio).toBeGreaterThan(0.5);
});

test("used-len is right about a device that writes what it says: the same policy, not sloppy", async () => {
  const sloppy = row("svq-used-len+sloppy-device");
  const { row: result } = await runMigration(
    [{ ...sloppy, expect: "sound", guest: { ...sloppy.guest, sloppy: false } }],
    SMALL,
  );
  expect(unmet(result)).toBeUndefined();
});

test("all-writable is right about a sloppy device, and reports more than used lengths do", async () => {
  const all = row("svq-all-writable");
  const sloppy = await runMigration([{ ...all, guest: { ...all.guest, sloppy: true } }], SMALL);
  expect(unmet(sloppy.row)).toBeUndefined();
  const honest = await runMigration([all], SMALL);
  const hybrid = await runMigration([row("svq-hybrid")], SMALL);
  expect(honest.row.over_report_ratio).toBeGreaterThan(hybrid.row.over_report_ratio);
});

test("or-instead-of-and loses pages; with the rule, the same trackers make everything dirty and lose none", async () => {
  const or = row("or-instead-of-and");
  expect(unmet((await runMigration([or], SMALL)).row)).toBeUndefined();
  const and: TrackerRow = {
    ...or,
    expect: "sound",
    wire: (ground) => {
      const { entries, config } = or.wire!(ground);
      return { entries, config };
    },
  };
  const { row: result, outcome } = await runMigration([and], SMALL);
  expect(unmet(result)).toBeUndefined();
  expect(outcome!.degraded).toEqual([{ who: "device:dma1", why: "uncovered" }]);
});

test.each(["device+viommu", "ring+kvm-centric-pass"])("%s is refused by its name before it is tried", async (name) => {
  const { row: result, outcome } = await runMigration([row(name)], SMALL);
  expect(result).toMatchObject({ legal: false, blocker: name, total_bytes: 0, guest_verified: true });
  expect(outcome!.status).toBe("blocked");
  expect(unmet(result)).toBeUndefined();
});

test("sparse RAM of 1 GiB has the same rows, but for those that need rings", async () => {
  const sparse: RunOptions = {
    ...SMALL,
    sparse: true,
    ramBytes: 1024 * MIB,
    parameters: { ...SMALL.parameters, maxBandwidthBytes: 1024 * MIB },
  };
  expect(unmet((await runMigration([row("vhost-log")], sparse)).row)).toBeUndefined();
  expect(unmet((await runMigration([row("or-instead-of-and")], sparse)).row)).toBeUndefined();
  await expect(runMigration([row("svq-hybrid")], sparse)).rejects.toThrow("needs a guest with rings");
  await expect(runMigration([row("vhost-log")], { ...sparse, ramBytes: 512 * 1024 * MIB })).rejects.toThrow("256 GiB");
});

test("check-first loses pages with every seed, and setting the mark always loses none", () => {
  for (let seed = 1; seed <= 10; seed++) {
    expect(runMarkForm("check-first", seed).lost).toBeGreaterThan(0);
    expect(runMarkForm("always", seed).lost).toBe(0);
  }
  expect(runMarkForm("check-first", 3)).toEqual(runMarkForm("check-first", 3));
});

test("rows can be joined: their trackers are OR-ed; controls and two policies cannot", async () => {
  const { row: result } = await runMigration([row("vhost-log"), row("svq-all-writable")], SMALL);
  expect(result.name).toBe("vhost-log,svq-all-writable");
  expect(unmet(result)).toBeUndefined();
  await expect(runMigration([row("vhost-log"), row("check-first")], SMALL)).rejects.toThrow("runs by itself only");
  await expect(runMigration([row("svq-hybrid"), row("svq-all-writable")], SMALL)).rejects.toThrow("one policy");
  await expect(compareTrackers(SMALL, ["no-such"])).rejects.toThrow("no tracker no-such (there are: vhost-log");
});

test("compareTrackers() says which rows do not show what they have to", async () => {
  const { unmet: failed, trackers } = await compareTrackers(SMALL, ["vhost-log", "check-first"]);
  expect([failed, trackers.map(({ name }) => name)]).toEqual([[], ["vhost-log", "check-first"]]);
  const sound = trackers[0]!;
  expect(unmet({ ...sound, misses: 1 })).toBe("vhost-log: lost 1 pages");
  expect(unmet({ ...sound, memory_equal: false })).toBe("vhost-log: source and destination differ");
  expect(unmet({ ...sound, guest_verified: false })).toContain("the guest's data is wrong");
  expect(unmet({ ...sound, expect: "unsound" })).toContain("lost no page");
  expect(unmet({ ...sound, expect: "blocked" })).toContain("was not refused");
  expect(unmet({ ...sound, expect: "blocked", legal: false, blocker: "other" })).toContain("another reason, other");
  expect(unmet({ ...sound, legal: false, blocker: "other" })).toBe("vhost-log: was refused (other)");
  expect(unmet({ ...sound, mark_rmw_per_word: 1.1 })).toContain("1.1 read-modify-writes");
});

describe("the guest of the comparison", () => {
  it("has the shadow virtqueue in its way while it migrates, and not before nor after a cancel", async () => {
    const paths: string[] = [];
    const watched: TrackerRow = {
      ...row("svq-all-writable"),
      wire: (ground) => {
        const guest = ground.guest as VirtqueueGuest;
        paths.push(guest.path);
        const wiring = row("svq-all-writable").wire!(ground);
        const hooks = {
          setUp: () => {
            const refused = wiring.hooks!.setUp();
            paths.push(guest.path);
            return refused;
          },
          tearDown: () => {
            wiring.hooks!.tearDown();
            paths.push(guest.path);
          },
        };
        return { ...wiring, hooks };
      },
    };
    const cancelled = await runMigration([watched], { ...SMALL, cancelled: () => true });
    expect(cancelled.outcome!.status).toBe("cancelled");
    expect(cancelled.row.guest_verified).toBe(true);
    expect(paths).toEqual(["passthrough", "svq", "passthrough"]);
  });

  it.each([undefined, () => false])("goes on and verifies after a failure at the destination", async (destination) => {
    const faults = destination === undefined ? { channel: (pages: number) => pages < 900 } : { destination };
    for (const name of ["vhost-log", "svq-hybrid"]) {
      const { row: result, outcome } = await runMigration([row(name)], { ...SMALL, faults });
      expect(outcome!.status).toBe("failed");
      expect(result.guest_verified).toBe(true);
    }
  });

  it("notices a page that changed behind its back: verify() can fail", () => {
    const options = { seed: 1, ramBytes: 16 * MIB, vcpuBytesPerSecond: 4 * MIB, dmaBytesPerSecond: 2 * MIB };
    const guest = new VirtqueueGuest(options);
    guest.run(50e6, { share: 0 });
    expect(guest.verify()).toBe(true);
    guest.ram.write(1024 * 4096, new Uint8Array(1024 * 4096).fill(9));
    expect(guest.verify()).toBe(false);
  });

  it("runs its vCPUs for the share of time that the throttle leaves", () => {
    const stores = [0, 0.5].map((share) => {
      const guest = new VirtqueueGuest({
        seed: 1,
        ramBytes: 16 * MIB,
        vcpuBytesPerSecond: 8 * MIB,
        dmaBytesPerSecond: 0,
      });
      const before = guest.completed;
      for (let ms = 0; ms < 400; ms++) guest.run(1e6, { share });
      return guest.completed - before;
    });
    expect(stores[1]! / stores[0]!).toBeLessThan(0.75);
  });
});
