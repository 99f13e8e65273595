/** Mappings that come and go: dirty bits are carried to guest pages before they die (specification 4.5, 4.6). */
import { describe, expect, it } from "vitest";
import { PAGE_BYTES } from "../../src/memory/address.js";
import { type DirtySource, ViommuTracker } from "../../src/vfio/viommu-tracker.js";
import { seeded } from "../iova/seeded.js";
import { domainOf, Ground, loggedBy, reported } from "./ground.js";

/** First page of the guest's I/O addresses: none of RAM's. */
const IOVA_PAGE = 2 ** 20;
const CYCLES = 1000;

interface Wrong {
  /** The other order at an unmap. */
  readonly kind?: "iommu" | "device";
  /** The bits are not read at an unmap. */
  readonly drops?: boolean;
}

function behindIommu(ground: Ground, wrong: Wrong = {}): DirtySource {
  const port = ground.port("device:a");
  const { fd, ioasId, tracker } = domainOf([], [port], { hugePages: false, refusesHoles: false });
  const ioas = fd.ioas(ioasId)!;
  return {
    kind: wrong.kind ?? "iommu",
    start: () => tracker.start([], PAGE_BYTES),
    stop: () => tracker.stop(),
    map: (iova, bytes, gpa) => ioas.map(iova, bytes, gpa),
    unmap: (iova, bytes) => ioas.unmap(iova, bytes),
    query: (iova, bytes, bits) => (wrong.drops === true ? 0 : tracker.report(iova, bytes, PAGE_BYTES, bits)),
  };
}

/** A device that logs I/O addresses; a page table translates, and nobody reads its dirty bits. */
function byDevice(ground: Ground, wrong: Wrong = {}): DirtySource {
  const inner = behindIommu(ground);
  const tracker = loggedBy(ground.port("device:a"));
  return {
    ...inner,
    kind: wrong.kind ?? "device",
    start: () => tracker.start([{ address: IOVA_PAGE * PAGE_BYTES, bytes: 2 ** 30 }], PAGE_BYTES),
    stop: () => tracker.stop(),
    query: (iova, bytes, bits) => tracker.report(iova, bytes, PAGE_BYTES, bits),
  };
}

/** Maps, lets the device write, unmaps, a thousand times; the pages lost, and the tracker. */
function cycles(ground: Ground, source: DirtySource, writesAtUnmap = false) {
  const random = seeded(31);
  const tracker = new ViommuTracker("viommu", source, ground.ram.endPage);
  const set = ground.trackers([{ tracker, covers: ["device:a"] }]);
  expect(set.start().result).toBe(0);
  ground.oracle.begin();
  const held: number[] = [];
  for (let cycle = 0; cycle < CYCLES; cycle++) {
    const iovaPage = IOVA_PAGE + (cycle % 64) * 4;
    if (held.length === 64) tracker.unmap(held.shift()!);
    expect(tracker.map(iovaPage * PAGE_BYTES, 4 * PAGE_BYTES, random(3068) * PAGE_BYTES)).toBe(0);
    held.push(iovaPage * PAGE_BYTES);
    expect(ground.touch("device:a", iovaPage + random(4))).toBe(0);
    if (writesAtUnmap) ground.port("device:a").post(iovaPage * PAGE_BYTES, new Uint8Array([cycle & 0xff]));
    if (cycle % 50 === 49) ground.round(set);
    if (cycle % 3 === 0) tracker.unmap(held.splice(random(held.length), 1)[0]!);
    else tracker.unmap(held.shift()!);
  }
  return { misses: ground.finish(set), tracker };
}

describe("a vIOMMU", () => {
  it("B09: a thousand times map, DMA, unmap lose nothing, by an IOMMU's bits and by a device's log", () => {
    for (const make of [behindIommu, byDevice]) {
      const ground = new Ground();
      expect([make.name, cycles(ground, make(ground)).misses]).toEqual([make.name, 0]);
    }
  });

  it("B09: without the bits at the unmap pages are lost", () => {
    const ground = new Ground();
    expect(cycles(ground, behindIommu(ground, { drops: true })).misses).toBeGreaterThan(0);
  });

  it("M7: an IOMMU that is asked after the unmap has nothing left to say", () => {
    const ground = new Ground();
    expect(cycles(ground, behindIommu(ground, { kind: "device" })).misses).toBeGreaterThan(0);
  });

  it("a device is asked after the unmap, whose flush ends its last writes; asked before, they are lost", () => {
    const [right, wrong] = (["device", "iommu"] as const).map((kind) => {
      const ground = new Ground();
      return cycles(ground, byDevice(ground, { kind }), true).misses;
    });
    expect(right).toBe(0);
    expect(wrong).toBeGreaterThan(0);
  });

  it("B10: a sync asks once for each mapping there is, and for nothing that is unmapped", () => {
    const ground = new Ground();
    const asked: number[] = [];
    const inner = behindIommu(ground);
    const source: DirtySource = {
      ...inner,
      query: (iova, bytes, bits) => {
        asked.push(iova / PAGE_BYTES - IOVA_PAGE);
        return inner.query(iova, bytes, bits);
      },
    };
    const tracker = new ViommuTracker("viommu", source, ground.ram.endPage);
    tracker.start([], PAGE_BYTES);
    for (const at of [0, 10, 20, 30]) tracker.map((IOVA_PAGE + at) * PAGE_BYTES, PAGE_BYTES, at * PAGE_BYTES);
    tracker.unmap((IOVA_PAGE + 20) * PAGE_BYTES);
    asked.length = 0;
    ground.touch("device:a", IOVA_PAGE + 30);
    expect(reported(tracker, 0, 64 * PAGE_BYTES)).toEqual([30]);
    expect([asked, tracker.replayed]).toEqual([[0, 10, 30], 3]);
  });

  it("bits that could not be read make the next sync fail, and everything dirty", () => {
    const ground = new Ground();
    const source = { ...behindIommu(ground), query: () => -5 };
    const tracker = new ViommuTracker("viommu", source, ground.ram.endPage);
    const set = ground.trackers([{ tracker, covers: ["device:a"] }]);
    set.start();
    tracker.map(IOVA_PAGE * PAGE_BYTES, PAGE_BYTES, 0);
    tracker.unmap(IOVA_PAGE * PAGE_BYTES);
    ground.round(set);
    expect(set.degraded).toEqual([{ who: "viommu", why: "EIO" }]);
  });
});
