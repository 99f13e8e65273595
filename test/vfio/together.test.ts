/** Trackers in one migration: who has to be asked, in which order, what is lost otherwise (specification 4.5, 6). */
import { describe, expect, it } from "vitest";
import { AllDirty } from "../../src/dirty/all-dirty.js";
import { blockers } from "../../src/dirty/blockers.js";
import { LogTracker } from "../../src/dirty/log-tracker.js";
import { bitmapWords, countPages } from "../../src/dirty/page-bitmap.js";
import type { TrackerEntry } from "../../src/dirty/tracker-set.js";
import { PAGE_BYTES } from "../../src/memory/address.js";
import { IommuTracker } from "../../src/vfio/iommu-tracker.js";
import { HWPT_ALLOC } from "../../src/vfio/iommufd.js";
import { IovaBitmap } from "../../src/vfio/iova-bitmap.js";
import { chooseTracking } from "../../src/vfio/tracking-choice.js";
import { Type1Container } from "../../src/vfio/type1-container.js";
import { Type1Tracker } from "../../src/vfio/type1-tracker.js";
import { copyPage } from "../helpers/copy-page.js";
import { seeded } from "../iova/seeded.js";
import { BLOCKS, domainOf, Ground, loggedBy, MIB, pagesIn } from "./ground.js";

/** Random rounds in which each of the writers writes; the pages lost. */
function migrate(ground: Ground, entries: readonly TrackerEntry[], policy: "and" | "or" = "and"): number {
  const random = seeded(21);
  const set = ground.trackers(entries, { policy });
  const writers = ground.trackers([], {}).uncovered();
  expect(set.start().result).toBe(0);
  ground.oracle.begin();
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 50; i++) {
      for (const writer of writers) {
        const page = random(3072);
        if (i % 7 === 0) ground.port(writer).post(page * PAGE_BYTES, new Uint8Array([round]));
        else ground.touch(writer, page);
      }
    }
    ground.round(set);
  }
  return ground.finish(set);
}

describe("several trackers", () => {
  function two() {
    const ground = new Ground();
    const x = { tracker: loggedBy(ground.port("device:x")), covers: ["device:x"] } as const;
    const domain = domainOf(ground.blocks, [ground.port("device:y")], { hugePages: false });
    const y = { tracker: domain.tracker, covers: ["device:y"] } as const;
    return { ground, x, y };
  }

  it("A01: a device that logs and one behind an IOMMU: OR-ed nothing is lost, without either something is", () => {
    const both = two();
    expect(migrate(both.ground, [both.x, both.y])).toBe(0);
    const onlyX = two();
    expect(migrate(onlyX.ground, [onlyX.x], "or")).toBeGreaterThan(0);
    const onlyY = two();
    expect(migrate(onlyY.ground, [onlyY.y], "or")).toBeGreaterThan(0);
  });

  it("B02: two containers are both asked at each sync; a page dirty in both is one page", () => {
    const ground = new Ground();
    const entries = ["a", "b"].map((name) => {
      const container = new Type1Container();
      for (const { gpa, bytes } of BLOCKS) container.map(gpa, bytes);
      container.attach({ name, pinnedOnly: true });
      container.pin(5 * PAGE_BYTES, 2 * PAGE_BYTES);
      return { tracker: new Type1Tracker(name, container), covers: [] };
    });
    const set = ground.trackers(entries);
    set.start();
    for (let sync = 1; sync <= 3; sync++) {
      expect(pagesIn(ground.round(set))).toEqual([5, 6]);
      expect(entries.map(({ tracker }) => tracker.counters.harvests)).toEqual([2 * sync, 2 * sync]);
    }
  });

  it("B06: without any tracker each sync has all of RAM, and nothing of the hole", () => {
    const ground = new Ground();
    ground.port("device:a");
    const set = ground.trackers([{ tracker: new AllDirty(), covers: ["device:a"] }]);
    set.start();
    for (let sync = 0; sync < 2; sync++) expect(pagesIn(ground.round(set))).toEqual(ground.pages());
  });

  it("B13: a page that only a vCPU wrote is in the CPU's tracker only, and a device's in the device's", () => {
    const ground = new Ground();
    const cpu = new LogTracker("cpu", 20 * MIB);
    ground.port("vcpu").markAfterWrite(cpu);
    const device = loggedBy(ground.port("device:a"));
    for (const tracker of [cpu, device]) tracker.start([{ address: 0, bytes: 12 * MIB }], PAGE_BYTES);
    ground.touch("vcpu", 10);
    ground.touch("device:a", 11);
    const pages = [cpu, device].map((tracker) => {
      const bitmap = new Uint32Array(bitmapWords(3072));
      tracker.report(0, 12 * MIB, PAGE_BYTES, bitmap);
      return pagesIn(bitmap);
    });
    expect(pages).toEqual([[10], [11]]);
  });

  it("M20: a device's EIO is not ignored: everything is dirty, and the set says why", () => {
    const ground = new Ground();
    const tracker = loggedBy(ground.port("device:a"));
    const set = ground.trackers([{ tracker, covers: ["device:a"] }]);
    set.start();
    ground.oracle.begin();
    ground.touch("device:a", 1);
    tracker.device.logger!.broken = true;
    expect(countPages(ground.round(set))).toBe(ground.pages().length);
    expect(set.degraded).toEqual([{ who: "device:device:a", why: "EIO" }]);
  });
});

describe("domains", () => {
  /** One address space, two domains, a device in each; the second is tracked if `both`. */
  function twoDomains(both: boolean) {
    const ground = new Ground();
    const ports = [ground.port("device:x"), ground.port("device:y")] as const;
    const first = domainOf(ground.blocks, [ports[0]], { hugePages: false });
    const flags = both ? HWPT_ALLOC.dirtyTracking : 0;
    const secondId = first.fd.allocHwpt(first.deviceId, first.ioasId, flags, { hugePages: false });
    first.fd.attach(first.deviceId, secondId, (hwpt) => ports[1].translateBy(hwpt));
    const second = new IommuTracker("second", first.fd, secondId);
    const entries: TrackerEntry[] = [{ tracker: first.tracker, covers: ["device:x"] }];
    return { ground, entries, second: { tracker: second, covers: ["device:y"] } satisfies TrackerEntry };
  }

  it("A07: writes through an untracked domain of the same address space are in no report; both have to be asked", () => {
    const { ground, entries } = twoDomains(false);
    const { tracker } = entries[0]!;
    tracker.start([], PAGE_BYTES);
    ground.touch("device:y", 7);
    const bitmap = new Uint32Array(bitmapWords(3072));
    tracker.report(0, 12 * MIB, PAGE_BYTES, bitmap);
    expect(pagesIn(bitmap)).toEqual([]);
    const asked = twoDomains(true);
    expect(migrate(asked.ground, [...asked.entries, asked.second])).toBe(0);
  });

  it("M8: a set with one untracked domain makes everything dirty; content with the other it loses pages", () => {
    const rule = twoDomains(false);
    expect(migrate(rule.ground, rule.entries, "and")).toBe(0);
    const control = twoDomains(false);
    expect(migrate(control.ground, control.entries, "or")).toBeGreaterThan(0);
  });

  it("M3: a report that leaves cached translations in place loses pages; one that flushes does not", () => {
    const lost = [true, false].map((flushes) => {
      const ground = new Ground();
      const { tracker } = domainOf(ground.blocks, [ground.port("device:a")], { hugePages: false, flushes });
      return migrate(ground, [{ tracker, covers: ["device:a"] }]);
    });
    expect(lost[0]).toBe(0);
    expect(lost[1]).toBeGreaterThan(0);
  });

  it("a flush waits for the writes that were translated before it", () => {
    const ground = new Ground();
    const port = ground.port("device:a");
    const { tracker } = domainOf(ground.blocks, [port], { hugePages: false });
    tracker.start([], PAGE_BYTES);
    port.post(9 * PAGE_BYTES, new Uint8Array([77]));
    const byte = new Uint8Array(1);
    expect([ground.ram.read(9 * PAGE_BYTES, byte), byte[0]]).toEqual([true, 0]);
    tracker.report(0, 12 * MIB, PAGE_BYTES, new Uint32Array(bitmapWords(3072)));
    expect([ground.ram.read(9 * PAGE_BYTES, byte), byte[0]], "before the report returns").toEqual([true, 77]);
  });

  it("writes between the read of a dirty bit and the unmap are lost by two calls, and not by an exchange and a flush", () => {
    const lost = [false, true].map((exchanges) => {
      const ground = new Ground();
      const port = ground.port("device:a");
      const { tracker, hwpt } = domainOf(ground.blocks, [port], { hugePages: false });
      const set = ground.trackers([{ tracker, covers: ["device:a"] }]);
      set.start();
      ground.oracle.begin();
      const range = { firstPage: 0, pageCount: 3072 };
      const words = new Uint32Array(bitmapWords(ground.ram.endPage));
      const bitmap = new IovaBitmap({ bits: new Uint8Array(words.buffer), ...range, grainPages: 1 });
      ground.touch("device:a", 3);
      const race = () => {
        ground.touch("device:a", 5);
        ground.touch("device:a", 3);
      };
      if (exchanges) {
        race();
        hwpt.unmap(range, bitmap, () => void ground.touch("device:a", 3));
      } else {
        hwpt.readAndClearDirty(range, bitmap, { noClear: true });
        race();
        hwpt.unmap(range);
      }
      for (const page of pagesIn(words)) {
        copyPage(ground.ram, page, ground.destination);
        ground.oracle.copied(page);
      }
      ground.oracle.synced(words);
      expect(ground.touch("device:a", 3), "nothing is mapped any more").toBeLessThan(0);
      return ground.pages().filter((page) => ground.oracle.missed(page));
    });
    expect(lost).toEqual([[5], []]);
  });
});

describe("a container's choice", () => {
  const choose = (devicesLog: boolean[], domainsTrack: boolean[], migration: "auto" | "on" = "auto") =>
    chooseTracking({ devicesLog, domainsTrack, migration });

  it("B12: of two devices one cannot log: not the devices' logs, and without an IOMMU a blocker, or everything", () => {
    expect(choose([true, true], [])).toEqual({ uses: "device" });
    expect(choose([true, false], [true]).uses).toBe("iommu");
    expect(choose([true, false], [], "auto")).toMatchObject({ uses: "all-dirty", blocker: expect.any(String) });
    expect(choose([true, false], [], "on")).toMatchObject({ uses: "all-dirty", warning: expect.any(String) });
    expect(choose([true, false], [], "on")).not.toHaveProperty("blocker");
  });

  it("B12: with one device untracked the set makes everything dirty and says whose writes are not known", () => {
    const ground = new Ground();
    const tracker = loggedBy(ground.port("device:a"));
    ground.port("device:b");
    const set = ground.trackers([{ tracker, covers: ["device:a"] }]);
    set.start();
    expect(countPages(ground.round(set))).toBe(ground.pages().length);
    expect(set.degraded).toEqual([{ who: "device:b", why: "uncovered" }]);
  });

  it("M8: of two domains one that tracks is not enough", () => {
    expect(choose([false], [true, false]).uses).toBe("all-dirty");
  });

  it("B11: a device that logs behind a vIOMMU is refused by name, an IOMMU's tracker is not", () => {
    const config = (tracker: "device" | "iommu") =>
      blockers({ cpu: "store-log", viommu: true, devices: [{ name: "a", trackers: [tracker] }] });
    expect(config("device").map(({ name }) => name)).toEqual(["device+viommu"]);
    expect(config("iommu")).toEqual([]);
  });
});
