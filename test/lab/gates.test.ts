import { describe, expect, test } from "vitest";
import { DirtyLog } from "../../src/dirty/dirty-log.js";
import { balanced, type Gates, gateFailures, marksPages, PageOracle } from "../../src/lab/gates.js";
import type { ThreadedMachine } from "../../src/lab/threaded-machine.js";
import { allocateArena } from "../../src/machine/arena.js";
import { DEFAULT_CONFIG, type MachineConfig } from "../../src/machine/config.js";
import { MirroredMemory } from "../../src/memory/mirrored-memory.js";
import { RealMemory } from "../../src/memory/real-memory.js";

const CONFIG: MachineConfig = { ...DEFAULT_CONFIG, ramBytes: 2 ** 20 };
const PAGE = 4096;

/** Guest RAM, its log and its judge, with the driver, the device and the relay played by hand. */
function byHand(config = CONFIG) {
  const arena = allocateArena(config);
  const oracle = new PageOracle(config);
  oracle.watch({ arena } as unknown as ThreadedMachine);
  const { regions } = arena;
  const last = regions.at(-1)!;
  const log = new DirtyLog(new RealMemory(arena.log), 0, last.gpa + last.bytes);
  const place = (gpa: number) => {
    const region = regions.findIndex((one) => gpa >= one.gpa && gpa < one.gpa + one.bytes);
    return { region, offset: gpa - regions[region]!.gpa };
  };
  return {
    oracle,
    /** Stores as the driver does: into the copy as well. */
    driverWrites(gpa: number, value: number): void {
      const { region, offset } = place(gpa);
      const memory = new RealMemory(regions[region]!.buffer);
      new MirroredMemory(memory, new RealMemory(oracle.mirror[region]!)).write32(offset, value);
    },
    /** Stores as device and relay do. */
    otherWrites(gpa: number, value: number): void {
      const { region, offset } = place(gpa);
      new RealMemory(regions[region]!.buffer).write32(offset, value);
    },
    /** Says that the device has written a page, whatever it wrote. */
    stamps(gpa: number): void {
      const { region, offset } = place(gpa);
      new Int32Array(oracle.stamps[region]!)[offset / PAGE]! += 1;
    },
    marks: (gpa: number, bytes = 1) => log.markRange(gpa, bytes),
    result: () => oracle.result(true),
  };
}

describe("PageOracle", () => {
  test("a page that another than the driver changed, and nobody marked, is missed; marked, it is not", () => {
    const hand = byHand();
    hand.otherWrites(5 * PAGE, 1);
    hand.otherWrites(6 * PAGE, 1);
    hand.marks(6 * PAGE);
    hand.oracle.endRound();
    expect(hand.result()).toEqual({ changed_pages: 2, missed_dirty_pages: 1, over_report_ratio: 0 });
  });

  test("what the driver stores is its own: not counted, and no excuse for a mark", () => {
    const hand = byHand();
    hand.driverWrites(5 * PAGE, 1);
    hand.driverWrites(6 * PAGE, 1);
    hand.marks(6 * PAGE);
    hand.oracle.endRound();
    expect(hand.result()).toEqual({ changed_pages: 0, missed_dirty_pages: 0, over_report_ratio: 1 });
  });

  test("a page that both wrote counts", () => {
    const hand = byHand();
    hand.driverWrites(5 * PAGE, 1);
    hand.otherWrites(5 * PAGE + 8, 2);
    hand.oracle.endRound();
    expect(hand.result()).toMatchObject({ changed_pages: 1, missed_dirty_pages: 1 });
  });

  test("a write of the bytes that were there counts if the device says so; without its word it cannot show", () => {
    const hand = byHand();
    hand.otherWrites(5 * PAGE, 0);
    hand.oracle.endRound();
    expect(hand.result()).toMatchObject({ changed_pages: 0 });
    hand.stamps(5 * PAGE);
    hand.oracle.endRound();
    expect(hand.result()).toMatchObject({ changed_pages: 1, missed_dirty_pages: 1 });
  });

  test("each round is judged by itself: a mark of the round before is no mark, a change of then no change", () => {
    const hand = byHand();
    hand.otherWrites(5 * PAGE, 1);
    hand.marks(5 * PAGE);
    hand.oracle.endRound();
    hand.oracle.endRound();
    expect(hand.result()).toEqual({ changed_pages: 1, missed_dirty_pages: 0, over_report_ratio: 0 });
    hand.otherWrites(5 * PAGE, 2);
    hand.oracle.endRound();
    expect(hand.result()).toMatchObject({ changed_pages: 2, missed_dirty_pages: 1 });
  });

  test("what a migration takes while the round runs is remembered until its end", async () => {
    const hand = byHand();
    hand.marks(5 * PAGE);
    hand.oracle.take();
    hand.otherWrites(5 * PAGE, 1);
    await hand.oracle.takeTwice();
    hand.oracle.endRound();
    expect(hand.result()).toMatchObject({ changed_pages: 1, missed_dirty_pages: 0 });
  });

  test("sees every page of every region, first and last byte, below the hole and above it", () => {
    for (const hole of [true, false]) {
      const hand = byHand({ ...CONFIG, hole });
      const pages = CONFIG.ramBytes / PAGE;
      const low = hole ? pages * 0.75 : pages;
      const gpas = Array.from({ length: pages }, (_, i) => (i < low ? i : i - low + pages) * PAGE);
      for (const gpa of gpas) hand.otherWrites(gpa + (gpa % (2 * PAGE) === 0 ? 0 : PAGE - 4), 1);
      hand.oracle.endRound();
      expect(hand.result()).toMatchObject({ changed_pages: pages, missed_dirty_pages: pages });
      for (const gpa of gpas) hand.otherWrites(gpa, 2);
      hand.marks(0, low * PAGE);
      if (hole) hand.marks(pages * PAGE, (pages - low) * PAGE);
      hand.oracle.endRound();
      expect(hand.result()).toMatchObject({
        changed_pages: 2 * pages,
        missed_dirty_pages: pages,
        over_report_ratio: 0,
      });
    }
  });

  test("the share of marks too many is of all marks, over all rounds", () => {
    const hand = byHand();
    hand.otherWrites(5 * PAGE, 1);
    hand.marks(5 * PAGE, 4 * PAGE);
    hand.oracle.endRound();
    expect(hand.result().over_report_ratio).toBe(0.75);
    hand.marks(0, 4 * PAGE);
    hand.oracle.endRound();
    expect(hand.result().over_report_ratio).toBe(0.875);
  });

  test("of a path that marks nothing neither figure is known", () => {
    const hand = byHand();
    hand.otherWrites(5 * PAGE, 1);
    hand.oracle.endRound();
    const result = { changed_pages: 1, missed_dirty_pages: null, over_report_ratio: null };
    expect(hand.oracle.result(false)).toEqual(result);
  });
});

describe("marksPages()", () => {
  test("holds for the paths that see what a device writes, while somebody logs", () => {
    const of = (path: MachineConfig["path"], dirtyLog = true) => marksPages({ ...CONFIG, path, dirtyLog });
    expect([of("svq"), of("used-only"), of("passthrough"), of("notify")]).toEqual([true, true, false, false]);
    expect([of("svq", false), of("used-only", false)]).toEqual([false, false]);
  });
});

describe("gateFailures()", () => {
  const well: Gates = {
    payload: true,
    lost: 0,
    duplicated: 0,
    lost_notifications: 0,
    changed_pages: 3,
    missed_dirty_pages: 0,
    over_report_ratio: 0.5,
    descriptors_balanced: true,
  };

  test.each<[Partial<Gates>, string[]]>([
    [{}, []],
    [{ missed_dirty_pages: null, over_report_ratio: null }, []],
    [{ payload: false }, ["payload"]],
    [{ lost: 2 }, ["lost"]],
    [{ duplicated: 2 }, ["duplicated"]],
    [{ lost_notifications: 2 }, ["lost_notifications"]],
    [{ missed_dirty_pages: 2 }, ["missed_dirty_pages"]],
    [{ descriptors_balanced: false }, ["descriptors"]],
    [{ payload: false, lost: 1 }, ["payload", "lost"]],
  ])("%j fails %j", (change, failed) => {
    expect(gateFailures({ ...well, ...change }).map((failure) => failure.split(":")[0])).toEqual(failed);
  });
});

describe("balanced()", () => {
  test("means free and in flight make up the ring", () => {
    expect(balanced({ size: 16, free: 10, inFlight: 6 })).toBe(true);
    expect(balanced({ size: 16, free: 10, inFlight: 5 })).toBe(false);
  });
});
