import { describe, expect, it } from "vitest";
import { DeviceTransport } from "../../src/transport/device-transport.js";
import { QUEUE_REGISTERS as Q, queueRegisters } from "../../src/transport/registers.js";
import { ACKNOWLEDGE, BASE, DeviceBench, DRIVER, FEATURES_OK, LIVE, QUEUES, RecordingSide } from "./transport-bench.js";

const FEATURES = (1n << 32n) | 5n;

/** A driver that has got as far as a status, at a device that is gone then. */
function orphaned(...statuses: readonly number[]): DeviceBench {
  const bench = new DeviceBench();
  bench.step(0);
  bench.writeFeatures(FEATURES);
  bench.enable(1);
  for (const status of statuses) bench.step(status);
  return bench;
}

/** A new device at the registers of such a driver, and what it is asked until it has nothing to do. */
function successor({ memory }: DeviceBench, takesOver: boolean) {
  const device = new DeviceTransport(memory, BASE, { ring: () => {} }, QUEUES);
  const side = new RecordingSide();
  if (takesOver) device.takeOver();
  device.offer((1n << 32n) | 7n, 256);
  return {
    device,
    settle() {
      for (let polls = 0; device.poll(side) && polls < 20; polls++);
      return side.taken();
    },
  };
}

const AGREED = ACKNOWLEDGE | DRIVER | FEATURES_OK;
const TO_LIVE = [ACKNOWLEDGE, ACKNOWLEDGE | DRIVER, AGREED, LIVE];

describe("a device that takes over", () => {
  it("takes the driver's steps again, one after the other, and starts", () => {
    const bench = orphaned(...TO_LIVE);
    const { device, settle } = successor(bench, true);
    expect(settle()).toEqual([`negotiate ${FEATURES}`, "start"]);
    expect([bench.shown, bench.answered, device.live(), device.accepted()]).toEqual([LIVE, LIVE, true, FEATURES]);
  });

  it("never shows a status that reads as a refusal of what was written", () => {
    for (let steps = 0; steps <= TO_LIVE.length; steps++) {
      const written = [0, ...TO_LIVE][steps]!;
      const bench = orphaned(...TO_LIVE.slice(0, steps));
      const { device } = successor(bench, true);
      const side = new RecordingSide();
      for (let polls = 0; polls < 8; polls++) {
        device.poll(side);
        if (bench.answered === written) expect(bench.shown, `${steps} steps, poll ${polls}`).toBe(written);
      }
      expect([bench.answered, bench.shown]).toEqual([written, written]);
    }
  });

  it("answers a reset that the one before it did not see", () => {
    const bench = orphaned(...TO_LIVE);
    bench.write(0);
    const { settle } = successor(bench, true);
    expect(new Set(settle())).toEqual(new Set(["reset"]));
    expect([bench.shown, bench.answered]).toEqual([0, 0]);
  });

  it("starts its queues where their registers say", () => {
    const bench = orphaned(...TO_LIVE);
    const { device } = successor(bench, true);
    device.storeBase(1, 9, 7);
    expect(bench.memory.read16(BASE + queueRegisters(1) + Q.lastAvailIdx)).toBe(9);
    expect(device.queueSetup(1)).toMatchObject({ lastAvailIdx: 9, usedIdx: 7 });
  });
});

describe("a device that does not take over", () => {
  it("shows status 0, whatever the one before it showed", () => {
    const bench = orphaned(...TO_LIVE);
    expect(bench.shown).toBe(LIVE);
    successor(bench, false);
    expect([bench.shown, bench.answered]).toEqual([0, 0]);
  });

  it("starts nothing for a driver that does not begin anew (INIT-01)", () => {
    const bench = orphaned(...TO_LIVE);
    const { device, settle } = successor(bench, false);
    expect(settle()).toEqual([`negotiate ${FEATURES}`]);
    expect(device.live()).toBe(false);
  });
});
