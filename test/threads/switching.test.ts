/** Data paths changed under load, between threads: nothing lost, doubled, or left asleep. */
import { describe, expect, test } from "vitest";
import { switchUnderLoad } from "../../src/lab/switching.js";
import { WindowSeries } from "../../src/lab/windows.js";
import type { MachineConfig, Placement } from "../../src/machine/config.js";
import type { DataPathName } from "../../src/relay/data-path.js";
import { job, SENT_SHA256, withRunning } from "../helpers/threaded.js";

const PLACEMENTS: readonly Placement[] = ["threads", "fused"];
const CASES = PLACEMENTS.flatMap((placement) => [true, false].map((eventIdx) => ({ placement, eventIdx })));

describe("ThreadedMachine under load", () => {
  test.each(CASES)("to and fro at least 50 times, and home (D01, D25): %j", async (change) => {
    await withRunning(change, {}, async (machine) => {
      const series = new WindowSeries(machine);
      const switches = await switchUnderLoad(series, 0, 1e6, new AbortController().signal);
      expect(switches).toBeGreaterThanOrEqual(50);
      expect(switches % 2).toBe(0);
      expect(machine.counters("relay").switches).toBe(switches);
      expect(series.samples.length).toBeGreaterThanOrEqual(5);
      expect(series.failures(SENT_SHA256)).toEqual([]);
      // On its own path there is a shadow ring, with every descriptor back in it.
      const rings = await machine.sync();
      expect(rings).toEqual(rings.map(({ size }) => ({ size, free: size, inFlight: 0 })));
      expect(rings).toHaveLength(2);
      const { result, received } = await job(machine);
      expect(result).toMatchObject({ lost: 0, duplicated: 0, refused: 0 });
      expect(received).toEqual({ equal: true, sha256: SENT_SHA256 });
      expect(machine.lost).toEqual([]);
    });
  });

  test.each<Partial<MachineConfig>>([
    { order: "out-of-order", delaySteps: 3, deviceBatch: 5, queues: 2, indirect: true },
    { device: "blk", requestBytes: 512, shadowQueueSize: 4, segments: 2 },
  ])("through three paths in turn, with chains in flight: %j", async (change) => {
    const paths: readonly DataPathName[] = ["notify", "passthrough", "svq"];
    await withRunning(change, {}, async (machine) => {
      const series = new WindowSeries(machine);
      let loading = true;
      const load = series.take(1_000e6, true).finally(() => {
        loading = false;
      });
      let switches = 0;
      while (loading || switches % 3 !== 0) {
        const path = paths[switches % 3]!;
        expect(await machine.ask("relay", { kind: "path", path }, "switched")).toMatchObject({ path });
        switches += 1;
      }
      await load;
      expect(switches).toBeGreaterThanOrEqual(3);
      expect(series.failures(SENT_SHA256)).toEqual([]);
      expect((await machine.sync()).every(({ size, free }) => size === free)).toBe(true);
      expect((await job(machine)).received).toEqual({ equal: true, sha256: SENT_SHA256 });
    });
  });

  test("a run that is told to end ends between two changes", () =>
    withRunning({}, {}, async (machine) => {
      const stop = new AbortController();
      const run = switchUnderLoad(new WindowSeries(machine), 5, 60e9, stop.signal);
      stop.abort();
      await expect(run).rejects.toMatchObject({ name: "AbortError" });
    }));
});
