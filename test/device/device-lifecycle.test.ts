import { describe, expect, it } from "vitest";
import { guestLayout } from "../../src/machine/assemble.js";
import { QUEUE_REGISTERS as Q, queueRegisters, DEVICE_REGISTERS as R } from "../../src/transport/registers.js";
import { DeviceHands } from "../helpers/device-hands.js";
import { snapshot } from "../helpers/hand-driver.js";

const VERSION_1 = 1n << 32n;

/** Several steps of the device, and its wish to sleep. */
function steps({ device }: DeviceHands, count = 50): void {
  for (let i = 0; i < count; i++) {
    device.step();
    device.arm();
  }
}

/** A device that runs, with `count` chains that it has not looked at. */
function withChains(count: number, delaySteps = 0): DeviceHands {
  const hands = new DeviceHands({ delaySteps });
  hands.driver.bringUp();
  hands.call.take();
  hands.driver.offer(count);
  return hands;
}

function suspended(hands: DeviceHands): DeviceHands {
  hands.driver.transport.suspend();
  hands.driver.settle();
  expect(hands.driver.transport.suspended()).toBe(true);
  hands.call.take();
  return hands;
}

/** How often the device has told of a change of its registers. */
function told({ arena }: DeviceHands): number {
  return new DataView(arena.deviceRegisters).getUint16(R.deviceVersion, true);
}

describe("a device before DRIVER_OK", () => {
  it("takes nothing, returns nothing, calls nobody, whatever is offered (STAT-05, INIT-06)", () => {
    const hands = new DeviceHands();
    const { driver } = hands;
    driver.offered();
    expect(driver.accepts(VERSION_1)).toBe(true);
    driver.enable();
    driver.offer(4);
    const before = snapshot(hands.arena);
    steps(hands);
    expect(snapshot(hands.arena)).toBe(before);
    expect(driver.starts()).toBe(true);
    driver.settle();
    expect([driver.usedIdx, hands.call.take()]).toEqual([4, true]);
  });
});

describe("a device that is reset", () => {
  it("drops what it has, reads 0, and touches nothing from then on (RESET-01, RESET-02)", () => {
    const hands = withChains(3, 40);
    const { driver } = hands;
    driver.settle();
    driver.transport.reset();
    hands.device.step();
    expect(driver.transport.status()).toBe(0);
    driver.offer(2);
    const before = snapshot(hands.arena);
    steps(hands);
    expect(snapshot(hands.arena)).toBe(before);
    expect(driver.usedIdx).toBe(0);
  });
});

describe("a device that is asked to rest", () => {
  it("returns and tells of all that it has taken before SUSPEND shows (SUSP-12, SUSP-14)", () => {
    const hands = withChains(3, 40);
    const { driver } = hands;
    // It has taken all three, and waits.
    driver.settle();
    driver.transport.suspend();
    hands.device.step();
    expect([driver.transport.suspended(), driver.usedIdx]).toEqual([false, 0]);
    for (let i = 0; i < 60 && !driver.transport.suspended(); i++) hands.device.step();
    expect([driver.transport.suspended(), driver.usedIdx, hands.call.take()]).toEqual([true, 3, true]);
    expect(hands.driver.transport.queueBase(0)).toEqual({ lastAvailIdx: 3, usedIdx: 3 });
  });

  it("touches no memory, no register and no bell while it rests, whatever is offered (SUSP-09, SUSP-10)", () => {
    const hands = suspended(withChains(2));
    hands.driver.offer(5);
    const before = snapshot(hands.arena);
    steps(hands, 500);
    expect(snapshot(hands.arena)).toBe(before);
    hands.driver.transport.resume();
    hands.driver.settle();
    expect([hands.driver.usedIdx, hands.call.take(), snapshot(hands.arena) === before]).toEqual([7, true, false]);
  });

  it("ignores what is written to a queue that was not reset, and goes on with what it had (SUSP-08)", () => {
    const hands = suspended(withChains(2));
    const registers = new DataView(hands.arena.deviceRegisters, queueRegisters(0));
    for (const at of [Q.desc, Q.avail, Q.used]) registers.setBigUint64(at, 0xc000n, true);
    for (const at of [Q.queueSize, Q.lastAvailIdx, Q.usedIdx]) registers.setUint16(at, 2, true);
    hands.driver.offer(3);
    hands.driver.transport.resume();
    hands.driver.settle();
    expect([hands.driver.usedIdx, hands.driver.transport.needsReset()]).toEqual([5, false]);
  });

  it("tells of a change once, when it resumes, and not while it rests (SUSP-10, SUSP-11)", () => {
    const hands = suspended(withChains(2));
    const before = told(hands);
    steps(hands);
    expect(told(hands) - before).toBe(0);
    hands.driver.transport.resume();
    hands.driver.settle();
    expect(told(hands) - before).toBe(1);
  });

  it("shows NEEDS_RESET where it cannot resume with the rings it is given (SUSP-13, VQR-05, STAT-06)", () => {
    const hands = suspended(withChains(2));
    const { transport } = hands.driver;
    transport.resetQueue(0);
    hands.driver.settle();
    expect(transport.queueIsReset(0)).toBe(true);
    // Configured in part only: the used ring is where nothing is mapped.
    hands.driver.enable({ used: 2 ** 40 });
    transport.resume();
    hands.driver.settle();
    expect([transport.needsReset(), transport.queueFault(0) !== 0]).toEqual([true, true]);
    const before = snapshot(hands.arena);
    hands.driver.offer(1, 0x9000);
    const offered = snapshot(hands.arena);
    steps(hands);
    expect([snapshot(hands.arena) === offered, offered === before]).toEqual([true, false]);
  });
});

describe("a queue that was reset", () => {
  it("is forgotten: late work is dropped, and its memory is its driver's again (VQR-01, VQR-02, TOL-12)", () => {
    const hands = withChains(3, 40);
    hands.driver.settle();
    hands.driver.transport.resetQueue(0);
    hands.driver.settle();
    expect(hands.driver.transport.queueIsReset(0)).toBe(true);
    const { desc, avail, used } = guestLayout(hands.config)[0]!;
    for (const at of [desc, avail, used]) hands.bytes(at, 64).fill(0xee);
    const before = snapshot(hands.arena);
    steps(hands, 100);
    expect(snapshot(hands.arena)).toBe(before);
    expect(hands.driver.transport.needsReset()).toBe(false);
  });

  it("comes back smaller, from index 0, and stays within its size (VQR-02, VQR-04)", () => {
    const hands = suspended(withChains(5));
    const { transport } = hands.driver;
    transport.resetQueue(0);
    hands.driver.settle();
    const { avail, used } = guestLayout(hands.config)[0]!;
    hands.driver.enable({ size: 2 });
    // Behind the words of a ring of 2: entries and event words of one of 16.
    hands.bytes(avail + 10, 26).fill(0xee);
    hands.bytes(used + 22, 112).fill(0xee);
    transport.resume();
    hands.driver.settle();
    expect([transport.running(), hands.driver.usedIdx]).toEqual([true, 0]);
    for (let lap = 1; lap <= 5; lap++) {
      hands.write16(avail + 4 + ((lap - 1) % 2) * 2, lap % 2);
      for (const index of [0, 1]) {
        hands.bytes(guestLayout(hands.config)[0]!.desc + index * 16, 16).fill(0);
        hands.write16(guestLayout(hands.config)[0]!.desc + index * 16 + 8, 4);
      }
      hands.write16(avail + 2, lap);
      hands.driver.settle();
      expect(hands.driver.usedIdx).toBe(lap);
    }
    expect(new Set(hands.bytes(used + 22, 112))).toEqual(new Set([0xee]));
  });
});
