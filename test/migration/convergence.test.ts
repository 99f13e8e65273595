import { describe, expect, it } from "vitest";
import { BandwidthMeter } from "../../src/migration/bandwidth.js";
import { AutoConverge, DirtyLimit } from "../../src/migration/convergence.js";
import { Estimator } from "../../src/migration/estimator.js";
import { BUFFER_DELAY_NS, DEFAULT_PARAMETERS } from "../../src/migration/parameters.js";

describe("AutoConverge (5.4)", () => {
  it("waits for two periods above half, starts at 20 %, adds 10 %, ends at 99 %", () => {
    const converge = new AutoConverge(false);
    expect(converge.judge(51, 100)).toBe(false);
    expect(converge.judge(51, 100)).toBe(true);
    const steps = [converge.throttlePercent];
    for (let i = 0; i < 20; i++) if (converge.judge(51, 100)) steps.push(converge.throttlePercent);
    expect(steps).toEqual([20, 30, 40, 50, 60, 70, 80, 90, 99]);
  });

  it("starts counting anew after a period that is good enough", () => {
    const converge = new AutoConverge(false);
    for (const dirtied of [51, 50, 51, 50]) expect(converge.judge(dirtied, 100)).toBe(false);
    expect(converge.throttlePercent).toBe(0);
  });

  it("with tailslow goes by how far it is above", () => {
    const converge = new AutoConverge(true);
    const twice = (dirtied: number) => {
      converge.judge(dirtied, 100);
      converge.judge(dirtied, 100);
      return converge.throttlePercent;
    };
    expect([twice(51), twice(51), twice(1000)]).toEqual([20, 22, 32]);
  });
});

describe("DirtyLimit (5.3)", () => {
  const MB = 1e6;
  /** A vCPU that dirties `full` bytes a second when it is not slowed down, for `seconds`. */
  function run(quota: number, full: number, seconds: number): { rate: number; changes: number } {
    const limit = new DirtyLimit(quota, 0, 0);
    let [pages, changes, rate] = [0, 0, 0];
    for (let second = 1; second <= seconds; second++) {
      rate = full * (1 - limit.throttlePercent / 100);
      pages += rate / 4096;
      if (limit.judge(second * 1e9, pages)) changes += 1;
    }
    return { rate, changes };
  }

  it("brings a vCPU to its quota and leaves it there", () => {
    const { rate, changes } = run(100 * MB, 1000 * MB, 30);
    expect(Math.abs(rate - 100 * MB)).toBeLessThanOrEqual(25 * MB);
    expect(changes).toBeLessThan(6);
  });

  it("does not touch a vCPU below its quota, nor act before the second mismatch", () => {
    expect(run(100 * MB, 90 * MB, 30)).toEqual({ rate: 90 * MB, changes: 0 });
    const limit = new DirtyLimit(MB, 0, 0);
    expect(limit.judge(1e9, 1e6)).toBe(false);
    expect(limit.judge(1.5e9, 2e6)).toBe(false);
    expect(limit.judge(2e9, 2e6)).toBe(true);
  });
});

it("bandwidth is what whole windows sent, and the limit before there was one", () => {
  const meter = new BandwidthMeter(1000, 0);
  expect(meter.note(BUFFER_DELAY_NS / 2, 10)).toBe(false);
  expect(meter.bytesPerSecond).toBe(1000);
  expect(meter.note(BUFFER_DELAY_NS, 50)).toBe(true);
  expect(meter.bytesPerSecond).toBe(500);
});

it("the threshold is bandwidth times downtime, by avail-switchover-bandwidth where it is given", () => {
  const measured = new Estimator(DEFAULT_PARAMETERS, 0);
  expect(measured.thresholdBytes(128 * 2 ** 20)).toBe(128 * 2 ** 20 * 0.3);
  const given = new Estimator({ ...DEFAULT_PARAMETERS, switchoverBandwidthBytes: 1000 }, 0);
  expect(given.thresholdBytes(128 * 2 ** 20)).toBe(300);
  expect(given.expectedDowntimeNs(500, 1000)).toBe(5e8);
});

it("a dirty rate is of a second at least, after the first", () => {
  const estimator = new Estimator(DEFAULT_PARAMETERS, 0);
  estimator.synced(5e8, 1000);
  expect(estimator.dirtyRateBytes).toBe(1000 * 4096 * 2);
  estimator.synced(1e9, 1000);
  expect(estimator.dirtyRateBytes).toBe(1000 * 4096 * 2);
  estimator.synced(1.5e9, 1000);
  expect(estimator.dirtyRateBytes).toBe(2000 * 4096);
});
