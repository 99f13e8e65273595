/** Dirty bits of an IOMMU's page table: what is read, what is cleared, what a large entry costs (specification 4). */
import { describe, expect, it } from "vitest";
import { bitmapWords } from "../../src/dirty/page-bitmap.js";
import { errnoName } from "../../src/layout/errno.js";
import { PAGE_BYTES } from "../../src/memory/address.js";
import { Hwpt } from "../../src/vfio/hwpt.js";
import { IoPageTable } from "../../src/vfio/io-page-table.js";
import { IOMMU_PROFILES } from "../../src/vfio/iommu-profile.js";
import { HW_CAP_DIRTY_TRACKING, HWPT_ALLOC, Iommufd } from "../../src/vfio/iommufd.js";
import { getArgument, IOMMUFD_CMD, iommufdIoctl, setArgument } from "../../src/vfio/iommufd-ioctl.js";
import { type BitmapPath, IovaBitmap } from "../../src/vfio/iova-bitmap.js";
import { UserMemory } from "../../src/vfio/user-memory.js";
import { seeded } from "../iova/seeded.js";
import { BLOCKS, type Domain, domainOf, Ground, MIB, pagesIn, reported } from "./ground.js";

const GIB_PAGES = 2 ** 18;
const LARGE = 512;

function read(hwpt: Hwpt, firstPage: number, pageCount: number, path: BitmapPath = "in-place") {
  const bits = new Uint32Array(bitmapWords(pageCount));
  const bitmap = new IovaBitmap({ bits: new Uint8Array(bits.buffer), firstPage, pageCount, grainPages: 1, path });
  const result = hwpt.readAndClearDirty({ firstPage, pageCount }, bitmap);
  return { result, pages: pagesIn(bits), counters: bitmap.counters };
}

/** A domain with so much mapped from 0 on. */
function bare(pages: number, hugePages = true): Hwpt {
  const hwpt = new Hwpt({ profile: IOMMU_PROFILES.amd, dirtyTracking: true, hugePages });
  hwpt.table.map(0, pages, 0);
  return hwpt;
}

describe("read and clear", () => {
  it("A02: two adjacent half ranges are one full range, and bits outside of a range stay", () => {
    const written = [0, 1, 100, 511, 512, 900, 1023];
    for (const hugePages of [false, true]) {
      const [whole, halves] = [bare(1024, hugePages), bare(1024, hugePages)];
      for (const hwpt of [whole, halves]) {
        hwpt.setDirtyTracking(true);
        for (const page of written) hwpt.walkForWrite(page);
      }
      const both = [...read(halves, 0, 512).pages, ...read(halves, 512, 512).pages.map((page) => page + 512)];
      expect(both).toEqual(read(whole, 0, 1024).pages);
      expect(read(halves, 0, 1024).pages).toEqual([]);
    }
  });

  it("A02: a part of a large leaf is shown and leaves it dirty for who asks for the rest", () => {
    const hwpt = bare(512);
    hwpt.setDirtyTracking(true);
    hwpt.walkForWrite(3);
    expect(read(hwpt, 0, 256).pages).toHaveLength(256);
    expect(read(hwpt, 256, 256).pages).toHaveLength(256);
    expect(read(hwpt, 0, 512).pages).toHaveLength(512);
    expect(read(hwpt, 0, 512).pages).toEqual([]);
  });

  it("A19: the walker sets bits of a bitmap that is not its own, clears none, and refuses one that is gone", () => {
    const ground = new Ground();
    const port = ground.port("device:a");
    const { fd, hwptId, tracker } = domainOf(ground.blocks, [port], { hugePages: false });
    tracker.start([], PAGE_BYTES);
    ground.touch("device:a", 4);
    const data = new Uint8Array(384).fill(0xa0);
    const request = { hwptId, flags: 0, reserved: 0, iova: 0n, length: BigInt(12 * MIB), pageSize: 4096n };
    expect(fd.getDirtyBitmap({ ...request, data })).toBe(0);
    expect([data[0], data[1]]).toEqual([0xb0, 0xa0]);
    structuredClone(data.buffer, { transfer: [data.buffer] });
    expect(errnoName(fd.getDirtyBitmap({ ...request, data }))).toBe("EFAULT");
  });

  it("NO_CLEAR reports without a clear and without a flush", () => {
    const ground = new Ground();
    const { tracker, hwpt } = domainOf(ground.blocks, [ground.port("device:a")], { hugePages: false });
    tracker.start([], PAGE_BYTES);
    ground.touch("device:a", 4);
    const flushes = hwpt.counters.flushes;
    const bitmap = new Uint32Array(bitmapWords(3072));
    for (let i = 0; i < 2; i++) tracker.report(0, 12 * MIB, PAGE_BYTES, bitmap.fill(0), { noClear: true });
    expect([pagesIn(bitmap), hwpt.counters.flushes - flushes]).toEqual([[4], 0]);
    expect(reported(tracker, 0, 12 * MIB)).toEqual([4]);
    expect(hwpt.counters.flushes - flushes, "one flush for the whole report").toBe(1);
  });

  it("coarser pages OR, finer ones spread", () => {
    const ground = new Ground();
    const { tracker } = domainOf(ground.blocks, [ground.port("device:a")]);
    tracker.start([], PAGE_BYTES);
    ground.touch("device:a", 700);
    expect(reported(tracker, 0, 12 * MIB, 65_536)).toEqual(Array.from({ length: 32 }, (_, i) => 32 + i));
  });

  it("enabling begins clean, each time; disabling ends it", () => {
    const ground = new Ground();
    const { tracker, hwpt } = domainOf(ground.blocks, [ground.port("device:a")], { hugePages: false });
    ground.touch("device:a", 1);
    tracker.start([], PAGE_BYTES);
    expect(reported(tracker, 0, 12 * MIB)).toEqual([]);
    ground.touch("device:a", 1);
    hwpt.setDirtyTracking(true);
    expect(reported(tracker, 0, 12 * MIB), "what was not read is lost: the caller's mistake").toEqual([]);
    ground.touch("device:a", 1);
    expect(reported(tracker, 0, 12 * MIB)).toEqual([1]);
    tracker.stop();
    expect(errnoName(tracker.report(0, 12 * MIB, PAGE_BYTES, new Uint32Array(96)))).toBe("EINVAL");
  });
});

describe("large entries", () => {
  it("A05: one byte of DMA dirties 512 bits of a 2 MiB leaf, one after demotion, 512 again after promotion", () => {
    const hwpt = bare(GIB_PAGES);
    expect(hwpt.table.counters).toMatchObject({ leafWrites: 512, tablesAllocated: 0 });
    hwpt.setDirtyTracking(true);
    hwpt.walkForWrite(1000);
    expect(read(hwpt, 0, GIB_PAGES).pages).toHaveLength(512);
    hwpt.demote({ firstPage: 0, pageCount: GIB_PAGES });
    expect(hwpt.table.counters).toMatchObject({ leafWrites: 512 + 262_144, tablesAllocated: 512 });
    const visits = hwpt.table.counters.leafVisits;
    hwpt.walkForWrite(1000);
    expect(read(hwpt, 0, GIB_PAGES).pages).toEqual([1000]);
    expect(hwpt.table.counters.leafVisits - visits).toBe(262_144);
    hwpt.promote({ firstPage: 0, pageCount: GIB_PAGES });
    expect(hwpt.table.counters.tablesFreed).toBe(512);
    hwpt.walkForWrite(1000);
    expect(read(hwpt, 0, GIB_PAGES).pages).toHaveLength(512);
  });

  it("A05: demotion and promotion while a device writes lose no dirty bit", () => {
    const random = seeded(9);
    const ground = new Ground();
    const port = ground.port("device:a");
    const { tracker, hwpt } = domainOf(ground.blocks, [port]);
    const set = ground.trackers([{ tracker, covers: ["device:a"] }]);
    set.start();
    ground.oracle.begin();
    for (let step = 0; step < 400; step++) {
      for (let i = random(6); i > 0; i--) ground.touch("device:a", random(3072));
      port.post(random(3072) * PAGE_BYTES, new Uint8Array([step & 0xff]));
      const range = { firstPage: 512 * random(5), pageCount: 512 };
      if (step % 3 === 0) hwpt.demote(range);
      if (step % 5 === 0) hwpt.promote(range);
      if (step % 11 === 0) ground.round(set);
    }
    expect(ground.finish(set)).toBe(0);
  });

  it("A05: the dirty bit of a large entry is that of all its small ones, and any of theirs is the large one's", () => {
    const hwpt = bare(LARGE);
    hwpt.setDirtyTracking(true);
    hwpt.walkForWrite(7);
    hwpt.demote({ firstPage: 0, pageCount: LARGE });
    expect(read(hwpt, 0, LARGE).pages).toHaveLength(LARGE);
    hwpt.walkForWrite(9);
    hwpt.promote({ firstPage: 0, pageCount: LARGE });
    expect(read(hwpt, 0, LARGE).pages).toHaveLength(LARGE);
  });

  it("promotion wants entries that are contiguous, alike and aligned", () => {
    const made = (change: (table: IoPageTable) => void) => {
      const table = new IoPageTable(false);
      change(table);
      table.promote(0, LARGE);
      return table.leafOf(0)?.pageCount;
    };
    expect(made((table) => table.map(0, LARGE, LARGE))).toBe(LARGE);
    expect(made((table) => table.map(0, LARGE, 1))).toBe(1);
    expect(made((table) => table.map(0, LARGE - 1, LARGE))).toBe(1);
    const mixed = (table: IoPageTable) => {
      table.map(0, 256, LARGE);
      table.map(256, 256, LARGE + 256, false);
    };
    expect(made(mixed)).toBe(1);
  });
});

describe("costs, as counters", () => {
  it("A11: a domain takes no memory to track, a device takes a bit for each of its pages", () => {
    const ground = new Ground();
    const { tracker } = domainOf(ground.blocks, [ground.port("device:a")]);
    tracker.start([], PAGE_BYTES);
    expect(tracker.footprintBytes()).toBe(0);
    expect(tracker.hwpt.steering.entryWrites).toBe(1);
  });

  it.each([1, 4, 16, 64, 256])(
    "A12: over %i GiB a report is one call, and leaves and bitmap grow with the range",
    (gib) => {
      const hwpt = bare(gib * GIB_PAGES);
      hwpt.setDirtyTracking(true);
      const before = hwpt.table.counters.leafVisits;
      for (let page = 0; page < gib * GIB_PAGES; page += GIB_PAGES) hwpt.walkForWrite(page);
      const { counters, result } = read(hwpt, 0, gib * GIB_PAGES);
      expect(result).toBe(0);
      expect(hwpt.counters.harvests).toBe(1);
      expect(hwpt.table.counters.leafVisits - before).toBe(512 * gib);
      expect(counters).toMatchObject({ pinnedPages: 8 * gib, bitsSet: 512 * gib, windows: Math.ceil(gib / 64) });
    },
  );

  it("A13: the phases are leaves looked at, bits set and bytes copied; at 4 KiB the first two are the larger part", () => {
    const hwpt = bare(GIB_PAGES, false);
    hwpt.setDirtyTracking(true);
    for (let page = 0; page < GIB_PAGES; page += 10) hwpt.walkForWrite(page);
    const before = hwpt.table.counters.leafVisits;
    const { counters } = read(hwpt, 0, GIB_PAGES, "copy");
    const phases = {
      scan: hwpt.table.counters.leafVisits - before,
      set: counters.bitsSet,
      copy: counters.copiedBytes / 8,
    };
    expect(phases).toEqual({ scan: 262_144, set: 26_215, copy: 4096 });
    expect(phases.scan + phases.set).toBeGreaterThan(phases.copy);
  });

  it("A14: in place and by copy the same bits are set, and in place no byte is copied", () => {
    const made = (path: BitmapPath) => {
      const hwpt = bare(GIB_PAGES, false);
      hwpt.setDirtyTracking(true);
      for (let page = 0; page < GIB_PAGES; page += 97) hwpt.walkForWrite(page);
      return read(hwpt, 0, GIB_PAGES, path);
    };
    const [inPlace, copied, sparse] = (["in-place", "copy", "sparse"] as const).map(made);
    expect(copied!.pages).toEqual(inPlace!.pages);
    expect(sparse!.pages).toEqual(inPlace!.pages);
    expect([inPlace, copied].map((one) => one!.counters.copiedBytes)).toEqual([0, 32_768]);
    expect(sparse!.counters.copiedBytes).toBeLessThanOrEqual(32_768);
  });
});

describe("profiles", () => {
  it("A03: enabling one domain changes nothing for another, in every profile that tracks", () => {
    for (const profile of ["amd", "intel-sm", "smmu-httu"] as const) {
      const ground = new Ground();
      const { fd, ioasId, deviceId, tracker } = domainOf(ground.blocks, [ground.port("device:a")], { profile });
      const other = fd.hwpt(fd.allocHwpt(deviceId, ioasId, HWPT_ALLOC.dirtyTracking))!;
      expect(fd.hwInfo(deviceId)).toBe(HW_CAP_DIRTY_TRACKING);
      expect(tracker.start([], PAGE_BYTES)).toBe(PAGE_BYTES);
      expect(tracker.start([], PAGE_BYTES), "twice is fine").toBe(PAGE_BYTES);
      expect(other.enabled).toBe(false);
      expect(tracker.hwpt.steering.entryWrites).toBe(profile === "smmu-httu" ? 0 : 1);
    }
  });

  it("A03: Intel's legacy mode and no IOMMU at all refuse a domain that tracks", () => {
    for (const profile of ["intel-legacy", "none"] as const) {
      const fd = new Iommufd();
      const device = fd.addDevice(profile);
      expect(fd.hwInfo(device)).toBe(0);
      expect(errnoName(fd.allocHwpt(device, fd.allocIoas(), HWPT_ALLOC.dirtyTracking))).toBe("EOPNOTSUPP");
    }
  });

  it("A04: where bits are always set, enabling begins clean all the same, and reading needs no enabling", () => {
    const ground = new Ground();
    const port = ground.port("device:a");
    const { tracker } = domainOf(ground.blocks, [port], { profile: "smmu-httu", hugePages: false });
    ground.touch("device:a", 8);
    expect(reported(tracker, 0, 12 * MIB), "before it was enabled").toEqual([8]);
    ground.touch("device:a", 9);
    tracker.start([], PAGE_BYTES);
    expect(reported(tracker, 0, 12 * MIB)).toEqual([]);
    ground.touch("device:a", 9);
    expect(reported(tracker, 0, 12 * MIB)).toEqual([9]);
  });

  it("A20: a table that CPUs share has both their writes in one harvest, and cannot tell whose they are", () => {
    const ground = new Ground();
    const ports = [ground.port("device:a"), ground.port("vcpu")];
    const { tracker } = domainOf(ground.blocks, ports, { profile: "shared", hugePages: false });
    const set = ground.trackers([{ tracker, covers: ["device:a", "vcpu"] }]);
    set.start();
    ground.oracle.begin();
    ground.touch("device:a", 3);
    ground.touch("vcpu", 4);
    expect(pagesIn(ground.round(set))).toEqual([3, 4]);
    ground.touch("vcpu", 3);
    const { table } = tracker.hwpt;
    const [byCpu] = [table.leafOf(3)!].map(({ table: words, index }) => words[index]);
    ground.round(set);
    ground.touch("device:a", 3);
    const [byDevice] = [table.leafOf(3)!].map(({ table: words, index }) => words[index]);
    expect(byCpu, "the entry is the same whoever wrote").toBe(byDevice);
    expect(ground.finish(set)).toBe(0);
  });

  it("A21: the only feature of a domain is dirty; any other is EOPNOTSUPP", () => {
    const hwpt = bare(64);
    expect([hwpt.setFeature("dirty", true), hwpt.enabled]).toEqual([0, true]);
    expect([hwpt.setFeature("dirty", false), hwpt.enabled]).toEqual([0, false]);
    expect(errnoName(hwpt.setFeature("ats", true))).toBe("EOPNOTSUPP");
  });
});

describe("errors of iommufd", () => {
  function made(): Domain {
    return domainOf(BLOCKS, []);
  }

  it("A06: a domain that was not allocated for it cannot be enabled; unknown flags and ids have their errors", () => {
    const { fd, ioasId, deviceId, hwptId } = made();
    const plain = fd.allocHwpt(deviceId, ioasId);
    expect(errnoName(fd.setDirtyTracking(plain, 1))).toBe("EOPNOTSUPP");
    expect(errnoName(fd.setDirtyTracking(hwptId, 2))).toBe("EOPNOTSUPP");
    expect(errnoName(fd.setDirtyTracking(99, 1))).toBe("ENOENT");
    expect(errnoName(fd.setDirtyTracking(ioasId, 1)), "an address space is no domain").toBe("ENOENT");
    expect(errnoName(fd.allocHwpt(deviceId, ioasId, 8))).toBe("EOPNOTSUPP");
    expect(errnoName(fd.allocHwpt(99, ioasId))).toBe("ENOENT");
    expect(errnoName(fd.hwInfo(hwptId))).toBe("ENOENT");
  });

  it("a device whose IOMMU cannot track is not attached to a domain that does", () => {
    const { fd, hwptId } = made();
    const other = fd.addDevice("none");
    expect(errnoName(fd.attach(other, hwptId, () => ({ flush: () => {} })))).toBe("EINVAL");
  });

  it.each([
    ["an unknown flag", { flags: 2 }, "EOPNOTSUPP"],
    ["reserved is not zero", { reserved: 1 }, "EOPNOTSUPP"],
    ["no such domain", { hwptId: 77 }, "ENOENT"],
    ["length 0", { length: 0n }, "EINVAL"],
    ["length 0 at 0", { iova: 0n, length: 0n }, "EINVAL"],
    ["behind 64 bits", { iova: 2n ** 64n - 4096n, length: 8192n }, "EOVERFLOW"],
    ["not aligned", { iova: 1n }, "EINVAL"],
    ["not aligned to the page size", { iova: 4096n, pageSize: 8192n }, "EINVAL"],
    ["page size 0", { pageSize: 0n }, "EINVAL"],
    ["page size 12288", { pageSize: 12_288n, length: 12_288n }, "EINVAL"],
    ["a hole", { length: BigInt(16 * MIB) }, "EINVAL"],
    ["the last page of 64 bits is a hole, not an overflow", { iova: 2n ** 64n - 4096n, length: 4096n }, "EINVAL"],
    ["a bitmap that is too short", { data: new Uint8Array(3) }, "EFAULT"],
    ["all well", {}, undefined],
  ])("GET: %s", (_, change, name) => {
    const { fd, hwptId } = made();
    fd.setDirtyTracking(hwptId, 1);
    const good = {
      hwptId,
      flags: 0,
      reserved: 0,
      iova: 0n,
      length: BigInt(MIB),
      pageSize: 4096n,
      data: new Uint8Array(512),
    };
    expect(errnoName(fd.getDirtyBitmap({ ...good, ...change }))).toBe(name);
  });

  it("any ioctl: ENOTTY, EFAULT, EINVAL and E2BIG before anything is done", () => {
    const { fd, hwptId, hwpt } = made();
    const call = (bytes: Uint8Array, command: number = IOMMUFD_CMD.setDirtyTracking) => {
      const user = new UserMemory();
      return errnoName(iommufdIoctl(fd, user, command, user.place(bytes)));
    };
    const longer = (last: number) => {
      const argument = new Uint8Array(24);
      argument.set(setArgument(hwptId, 1));
      argument[0] = 24;
      argument[23] = last;
      return argument;
    };
    const short = setArgument(hwptId, 1);
    short[0] = 15;
    const answers = [
      call(setArgument(hwptId, 1), 0x70),
      errnoName(iommufdIoctl(fd, new UserMemory(), IOMMUFD_CMD.getDirtyBitmap, 0x5000n)),
      call(longer(0).subarray(0, 20)),
      call(short),
      call(longer(1)),
    ];
    expect(answers).toEqual(["ENOTTY", "EFAULT", "EFAULT", "EINVAL", "E2BIG"]);
    expect(hwpt.enabled).toBe(false);
    expect([call(longer(0)), hwpt.enabled], "zeros behind what is known are fine").toEqual([undefined, true]);
  });

  it("GET whose bitmap is not there is EFAULT, but only when all else is well", () => {
    const { fd, hwptId } = made();
    fd.setDirtyTracking(hwptId, 1);
    const good = { hwptId, flags: 0, iova: 0n, length: BigInt(MIB), pageSize: 4096n, data: 0x10n };
    const call = (change: Partial<typeof good>) => {
      const user = new UserMemory();
      const address = user.place(getArgument({ ...good, ...change }));
      return errnoName(iommufdIoctl(fd, user, IOMMUFD_CMD.getDirtyBitmap, address));
    };
    const answers = [
      call({}),
      call({ pageSize: 0n }),
      call({ length: 2n ** 64n - 1n, iova: 4096n }),
      call({ flags: 4 }),
    ];
    expect(answers).toEqual(["EFAULT", "EINVAL", "EOVERFLOW", "EOPNOTSUPP"]);
  });

  it("IOAS: overlap EEXIST, alignment EINVAL, nothing there ENOENT, a cut EINVAL", () => {
    const { fd, ioasId } = made();
    const ioas = fd.ioas(ioasId)!;
    const answers = [ioas.map(0, MIB, 0), ioas.map(MIB * 12, 1, 0), ioas.unmap(100 * MIB, MIB), ioas.unmap(0, MIB)];
    expect(answers.map(errnoName)).toEqual(["EEXIST", "EINVAL", "ENOENT", "EINVAL"]);
    expect(ioas.unmap(0, 12 * MIB)).toBe(12 * MIB);
  });

  it("a write through an entry that is read-only, or not there, is a fault and changes nothing", () => {
    const ground = new Ground();
    const port = ground.port("device:a");
    const { fd, ioasId, hwpt } = domainOf([], [port]);
    fd.ioas(ioasId)!.map(0, PAGE_BYTES, 0, false);
    expect(errnoName(ground.touch("device:a", 0))).toBe("EFAULT");
    expect(errnoName(ground.touch("device:a", 1))).toBe("EFAULT");
    expect([hwpt.counters.faults, port.counters.writes]).toEqual([2, 0]);
  });
});
