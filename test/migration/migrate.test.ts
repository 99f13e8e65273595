/** A whole migration in one process: its order, its ends, and what becomes of the guest at each of them. */
import { describe, expect, it } from "vitest";
import { LogTracker } from "../../src/dirty/log-tracker.js";
import { bitmapWords } from "../../src/dirty/page-bitmap.js";
import { errno } from "../../src/layout/errno.js";
import { eventNames, UniformMigration } from "../helpers/uniform-migration.js";

const RAM_PAGES = (8 * 2 ** 20) / 4096;

describe("a migration", () => {
  it("tracks before it copies, stops the guest before the last sync, and lets it go on elsewhere (B01)", async () => {
    const rig = new UniformMigration();
    const outcome = await rig.migrate();
    expect(outcome).toMatchObject({ status: "completed", converged: true, degraded: [] });
    expect(outcome.verdict).toMatchObject({ misses: 0, differing: 0, overReportRatio: 0 });
    expect(outcome.verdict!.sha256.source).toBe(outcome.verdict!.sha256.destination);
    const names = eventNames(outcome);
    expect(names.slice(0, 4)).toEqual(["setup", "log_global_start", "round", "sync"]);
    expect(names.slice(-5)).toEqual(["switchover", "guest_stopped", "last_sync", "log_global_stop", "completed"]);
    expect(outcome.events.map(({ sequence }) => sequence)).toEqual(outcome.events.map((_, i) => i));
    expect(outcome.roundBytes[0]).toBe(RAM_PAGES * 4096);
    expect(outcome.roundBytes.reduce((sum, bytes) => sum + bytes, 0)).toBe(outcome.totalBytes);
    expect(outcome.downtimeNs).toBeLessThanOrEqual(62.5e6 * 1.01);
    expect(rig.guest.ram).toBe(rig.destination);
    expect(rig.guest.verify()).toBe(true);
  });

  it("is the same again with the same seed", async () => {
    const [one, other] = await Promise.all([new UniformMigration().migrate(), new UniformMigration().migrate()]);
    expect(one.verdict).toEqual(other.verdict);
    expect(one.events).toEqual(other.events);
  });

  it("keeps each writer's stores in a journal: the last version of every page is the one that was copied", async () => {
    const rig = new UniformMigration();
    await rig.migrate();
    const versions = new Map<number, number>();
    for (const journal of rig.oracle.journals.values()) {
      for (const { page, version } of journal) {
        expect(version).toBeGreaterThan(versions.get(page) ?? 0);
        versions.set(page, version);
      }
    }
    expect([...rig.oracle.journals.keys()].sort()).toEqual(["device:dma0", "vcpu"]);
    for (const [page, version] of versions) expect(rig.oracle.versions[page]).toBe(version);
  });

  it("is not tried when a reason against it is known, and when the shadow virtqueue cannot be put in the way", async () => {
    const reason = { name: "device+viommu", reason: "why" };
    const rig = new UniformMigration();
    expect(await rig.migrate({ blockers: [reason] })).toMatchObject({
      status: "blocked",
      blocker: reason,
      totalBytes: 0,
    });
    const hooks = { setUp: () => [reason], tearDown: () => {} };
    expect(await rig.migrate({ hooks })).toMatchObject({ status: "blocked", blocker: reason, totalBytes: 0 });
    expect(rig.cpuLog.footprintBytes()).toBe(0);
  });

  it("puts the shadow virtqueue in the way at setup and takes it out at the end, at a cancel, at a failure (D09)", async () => {
    for (const change of [{}, { cancelled: () => true }, { faults: { destination: () => false } }]) {
      const calls: string[] = [];
      const hooks = {
        setUp: () => {
          calls.push("set up");
          return [];
        },
        tearDown: () => {
          calls.push("tear down");
        },
      };
      await new UniformMigration().migrate({ hooks, ...change });
      expect(calls).toEqual(["set up", "tear down"]);
    }
  });
});

describe("a migration that does not get there leaves the guest running where it is", () => {
  it("cancelled", async () => {
    const rig = new UniformMigration();
    const outcome = await rig.migrate({ cancelled: () => true });
    expect(outcome).toMatchObject({ status: "cancelled", verdict: undefined });
    expect(eventNames(outcome).slice(-2)).toEqual(["log_global_stop", "cancelled"]);
    expect(rig.guest.ram).toBe(rig.ram);
    expect(rig.cpuLog.footprintBytes()).toBe(0);
    expect(rig.guest.verify()).toBe(true);
  });

  it.each([0, 1, 700, RAM_PAGES, RAM_PAGES + 20])("the channel breaks after %i pages", async (pages) => {
    const rig = new UniformMigration();
    const outcome = await rig.migrate({ faults: { channel: (sent) => sent < pages } });
    expect(outcome).toMatchObject({ status: "failed", failure: "the channel broke" });
    expect(rig.guest.ram).toBe(rig.ram);
    expect(rig.guest.verify()).toBe(true);
  });

  it("the channel breaks, or the destination does not start, when the guest has stopped: the source resumes", async () => {
    for (const atPage of [true, false]) {
      const rig = new UniformMigration();
      let stopped = false;
      const stop = rig.guest.stop.bind(rig.guest);
      rig.guest.stop = () => {
        stopped = true;
        stop();
      };
      const faults = atPage ? { channel: () => !stopped } : { destination: () => false };
      const outcome = await rig.migrate({ faults });
      expect(outcome.status).toBe("failed");
      expect(eventNames(outcome)).toContain("source_resumed");
      expect(rig.guest.ram).toBe(rig.ram);
      expect(rig.guest.verify()).toBe(true);
      // And once more, to a destination that has old pages of the first attempt.
      const again = await rig.migrate();
      expect(again).toMatchObject({ status: "completed", verdict: { misses: 0, differing: 0 } });
      expect(rig.guest.verify()).toBe(true);
    }
  });

  it("a tracker does not start: nothing was copied, and the others are stopped (B01)", async () => {
    const rig = new UniformMigration();
    rig.deviceLog.start = () => errno("EBUSY");
    const outcome = await rig.migrate();
    expect(outcome).toMatchObject({ status: "failed", failure: "dma0 did not start: EBUSY", totalBytes: 0 });
    expect(rig.cpuLog.footprintBytes()).toBe(0);
    expect(rig.guest.verify()).toBe(true);
  });
});

describe("an error of a tracker costs a round and no page (T3.6)", () => {
  it.each([1, 2, 3])("EIO at sync %i", async (at) => {
    const rig = new UniformMigration();
    let syncs = 0;
    const report = rig.deviceLog.report.bind(rig.deviceLog);
    rig.deviceLog.report = (...asked) => {
      // Two blocks of RAM: two reports a sync. What the failed one held is gone.
      const broken = Math.ceil(++syncs / 2) === at;
      const result = report(asked[0], asked[1], asked[2], broken ? new Uint32Array(asked[3].length) : asked[3]);
      return broken ? errno("EIO") : result;
    };
    const outcome = await rig.migrate();
    expect(outcome).toMatchObject({ status: "completed", degraded: [{ who: "dma0", why: "EIO" }] });
    expect(outcome.verdict).toMatchObject({ misses: 0, differing: 0 });
    expect(outcome.totalBytes).toBeGreaterThanOrEqual(2 * RAM_PAGES * 4096);
    expect(rig.guest.verify()).toBe(true);
  });

  it("twin: an error that is not heard loses pages (M20)", async () => {
    const rig = new UniformMigration();
    const report = rig.deviceLog.report.bind(rig.deviceLog);
    rig.deviceLog.report = (address, bytes, pageBytes, bitmap) => {
      report(address, bytes, pageBytes, new Uint32Array(bitmap.length));
      return 0;
    };
    const outcome = await rig.migrate();
    expect(outcome.verdict!.misses).toBeGreaterThan(0);
    expect(outcome.verdict!.differing).toBeGreaterThan(0);
    expect(rig.guest.verify()).toBe(false);
  });

  it("an error of the whole sync is heard as well", async () => {
    const faults = { sync: (round: number) => (round === 2 ? errno("EIO") : 0) };
    const outcome = await new UniformMigration().migrate({ faults });
    expect(outcome.events.filter(({ detail }) => detail["error"] === "EIO")).not.toHaveLength(0);
    expect(outcome).toMatchObject({ status: "completed", verdict: { misses: 0, differing: 0 } });
  });
});

describe("what the oracle is there for", () => {
  /** A log that forgets one mark. */
  class Forgetful extends LogTracker {
    marks = 0;
    override markAfterWrite(address: number, bytes: number): void {
      if (this.footprintBytes() > 0 && ++this.marks % 50 === 0) return;
      super.markAfterWrite(address, bytes);
    }
  }

  /** Reports first, lets the pages be copied, and clears then: writes in between are lost (M2). */
  class ClearsLate extends LogTracker {
    readonly #seen = new Map<number, Uint32Array>();
    override report(address: number, bytes: number, pageBytes: number, bitmap: Uint32Array): number {
      const before = this.#seen.get(address);
      if (before !== undefined) {
        const now = new Uint32Array(bitmapWords(bytes / pageBytes));
        super.report(address, bytes, pageBytes, now);
        for (const [word, bits] of now.entries()) {
          for (let bit = 0; bit < 32; bit++) {
            const kept = ((bits & ~before[word]!) >>> bit) & 1;
            if (kept === 1) super.markAfterWrite(address + (word * 32 + bit) * 4096, 1);
          }
        }
      }
      const found = new Uint32Array(bitmapWords(bytes / pageBytes));
      const result = super.report(address, bytes, pageBytes, found, { noClear: true });
      for (const [word, bits] of found.entries()) bitmap[word]! |= bits;
      this.#seen.set(address, found);
      return result;
    }
  }

  it.each([
    ["a mark that is forgotten", Forgetful],
    ["a page that is copied before its mark is cleared (M2)", ClearsLate],
  ])("it sees %s", async (_, Faulty) => {
    const rig = new UniformMigration({ deviceLog: (name, end) => new Faulty(name, end) });
    const outcome = await rig.migrate();
    expect(outcome.status).toBe("completed");
    expect(outcome.verdict!.misses).toBeGreaterThan(0);
  });
});

describe("x-pre-copy-dirty-page-tracking=off (5.5)", () => {
  it("asks devices once, when they have stopped, and loses nothing (B08)", async () => {
    const rig = new UniformMigration();
    const outcome = await rig.migrate({ parameters: { preCopyDirtyPageTracking: false } });
    expect(outcome).toMatchObject({ status: "completed", verdict: { misses: 0, differing: 0 } });
    // Once for each block of RAM.
    expect(rig.deviceLog.counters.harvests).toBe(2);
    expect(rig.cpuLog.counters.harvests).toBeGreaterThan(2);
    expect(rig.guest.verify()).toBe(true);
  });
});
