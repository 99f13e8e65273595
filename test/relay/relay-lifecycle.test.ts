import { describe, expect, it } from "vitest";
import {
  VIRTIO_CONFIG_S_FAILED as FAILED,
  featureBit,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_SUSPEND,
} from "../../src/layout/virtio-config.js";
import { COUNTER_BLOCKS } from "../../src/machine/arena.js";
import { faultCode, faultReason } from "../../src/ring/peer-fault.js";
import { COUNTERS, type CounterName, counterBlock } from "../../src/telemetry/counters.js";
import { DEVICE_RING_FEATURES } from "../../src/transport/features.js";
import { QUEUE_REGISTERS as Q, queueRegisters, DEVICE_REGISTERS as R } from "../../src/transport/registers.js";
import { snapshot } from "../helpers/hand-driver.js";
import { RelayHands, type RelayHandsOptions } from "../helpers/relay-hands.js";
import { NEEDS_RESET, SUSPEND, SUSPENDED } from "../transport/transport-bench.js";

const VERSION_1 = 1n << 32n;
const QUEUE = queueRegisters(0);

function relayCounter({ arena }: RelayHands, name: CounterName): number {
  return counterBlock(arena.counters, COUNTER_BLOCKS.relay)[COUNTERS[name]]!;
}

/** Several turns, whether anybody moves or not. */
function turns(hands: RelayHands, count = 20): void {
  for (let i = 0; i < count; i++) hands.turn();
}

describe("before its device shows DRIVER_OK", () => {
  it("the relay forwards nothing and kicks nobody, however early the guest kicks (INIT-06, STAT-05)", () => {
    const hands = new RelayHands();
    const { guest } = hands;
    guest.offered();
    expect(guest.accepts(VERSION_1)).toBe(true);
    guest.enable();
    guest.offer(3);
    turns(hands);
    const nothing = () => [hands.availIdx, hands.deviceKick.take(), hands.guestCall.take(), guest.usedIdx];
    expect(nothing()).toEqual([0, false, false, 0]);
    hands.side.answers.start = Array(30).fill("later");
    guest.transport.start();
    turns(hands);
    expect(hands.side.asked).toContain("start");
    expect(nothing()).toEqual([0, false, false, 0]);
    hands.side.answers.start = [];
    guest.settle();
    expect([hands.availIdx, hands.deviceKick.take(), guest.transport.running()]).toEqual([3, true, true]);
  });
});

/** A guest with `count` chains that the device has. */
function withChains(count: number, options: RelayHandsOptions = {}): RelayHands {
  const hands = new RelayHands(options);
  hands.guest.bringUp();
  hands.guest.offer(count);
  hands.guest.settle();
  expect(hands.availIdx).toBe(count);
  for (const notifier of [hands.deviceKick, hands.guestCall, hands.deviceCall]) notifier.take();
  return hands;
}

/** The device returns `count` chains and calls, as if nothing had happened. */
function lateCompletions(hands: RelayHands, count: number): void {
  const ring = hands.shadowRing();
  for (let i = 0; i < count; i++) {
    expect(ring.takeAvail()).toBe(true);
    ring.addUsed(ring.chain.head, 64);
  }
  ring.publishUsed();
  hands.deviceCall.signal();
}

describe("a reset by the guest", () => {
  it("reads 0 when the device has been reset, and then late completions reach nobody (RESET-01, RESET-02)", () => {
    const hands = withChains(3);
    hands.side.answers.reset = ["later", "later", "later"];
    hands.guest.transport.reset();
    hands.turn();
    expect(hands.guest.transport.status()).not.toBe(0);
    hands.guest.settle();
    expect(hands.guest.transport.status()).toBe(3);
    lateCompletions(hands, 3);
    hands.deviceCall.take();
    const before = snapshot(hands.arena);
    turns(hands);
    expect(hands.relay.arm()).toBe(true);
    expect(snapshot(hands.arena)).toBe(before);
    expect([hands.guest.usedIdx, hands.guestCall.take()]).toEqual([0, false]);
  });

  it("that had not come would have let them through (twin)", () => {
    const hands = withChains(3);
    lateCompletions(hands, 3);
    turns(hands);
    expect([hands.guest.usedIdx, hands.guestCall.take()]).toEqual([3, true]);
  });
});

describe("a device that needs a reset", () => {
  it("has its chains neither returned nor forgotten, and the guest is told once (STAT-04, STAT-06, STAT-07)", () => {
    const hands = withChains(3);
    const { transport } = hands.guest;
    const version = () => new DataView(hands.arena.guestRegisters).getUint16(R.deviceVersion, true);
    const before = version();
    hands.device.breakQueue(0, faultCode("avail-idx-overrun"));
    turns(hands);
    expect(version() - before).toBe(1);
    expect([transport.needsReset(), faultReason(transport.queueFault(0))]).toEqual([true, "avail-idx-overrun"]);
    expect([transport.status() & NEEDS_RESET, relayCounter(hands, "faults")]).toEqual([NEEDS_RESET, 1]);
    lateCompletions(hands, 3);
    turns(hands);
    expect([hands.guest.usedIdx, hands.guest.ring.state.outstanding, hands.guestCall.take()]).toEqual([0, 3, false]);
  });
});

/** A change of path that has come as far as the device's answer to SUSPEND. */
function suspending(hands: RelayHands): void {
  hands.side.answers.suspend = Array(1000).fill("later");
  expect(hands.relay.requestPath("passthrough")).toBe(true);
  turns(hands);
  expect(hands.device.state.shown & SUSPEND).toBe(0);
}

/** The device comes to rest, having returned all that it took; queue resets are not answered before they may. */
function rests(hands: RelayHands, patience: number): void {
  hands.side.answers.suspend = [];
  hands.side.answers.resetQueue = Array(patience).fill("later");
  turns(hands);
  expect(hands.device.state.shown).toBe(SUSPENDED);
}

describe("once it has asked its device to rest", () => {
  it("the relay offers nothing more and does not kick, and still returns what comes (SUSP-03, SUSP-04)", () => {
    const hands = withChains(2);
    suspending(hands);
    hands.guest.offer(4);
    turns(hands);
    expect([hands.availIdx, hands.deviceKick.take()]).toEqual([2, false]);
    lateCompletions(hands, 2);
    turns(hands);
    expect([hands.guest.usedIdx, hands.availIdx]).toEqual([2, 2]);
    rests(hands, 1000);
    hands.guest.offer(4);
    turns(hands);
    expect([hands.availIdx, hands.deviceKick.take()]).toEqual([2, false]);
  });

  it("the relay waits for SUSPEND without DRIVER_OK before it takes anything away (SUSP-02, CLEAN-02)", () => {
    const hands = withChains(2);
    hands.forgets = false;
    suspending(hands);
    lateCompletions(hands, 2);
    turns(hands);
    expect([hands.invalidated, resets(hands)]).toEqual([false, 0]);
    rests(hands, 1000);
    expect([hands.invalidated, resets(hands) > 0]).toEqual([true, true]);
    expect([hands.relay.path, hands.relay.switching]).toEqual(["svq", true]);
  });

  it.each([
    ["its queues read as reset (VQR-03, VQR-05)", true, 1000],
    ["its invalidation is taken in (CLEAN-02)", false, 0],
  ])("the relay uses no ring again before %s", (_, forgets, patience) => {
    const hands = withChains(2);
    hands.forgets = forgets;
    suspending(hands);
    lateCompletions(hands, 2);
    hands.accesses.length = 0;
    rests(hands, patience);
    expect([hands.relay.path, hands.relay.switching, setUps(hands)]).toEqual(["svq", true, []]);
    hands.forgets = true;
    hands.side.answers.resetQueue = [];
    turns(hands);
    expect([hands.relay.path, hands.relay.switching, hands.device.live()]).toEqual(["passthrough", false, true]);
    expect(new Set(setUps(hands))).toEqual(new Set([Q.desc, Q.avail, Q.used, Q.queueSize, Q.lastAvailIdx, Q.usedIdx]));
  });

  it("the relay writes status, and registers of the queues that it resets, and nothing else (SUSP-05)", () => {
    const hands = withChains(2);
    suspending(hands);
    hands.accesses.length = 0;
    lateCompletions(hands, 2);
    rests(hands, 30);
    turns(hands);
    expect(hands.relay.switching).toBe(false);
    const device = writes(hands).filter((offset) => offset < QUEUE);
    expect(new Set(device)).toEqual(new Set([R.driverVersion, R.statusWritten]));
    const first = writes(hands).find((offset) => offset >= QUEUE)! - QUEUE;
    expect([Q.queueEnable, Q.queueReset]).toContain(first);
  });

  it("the relay forwards again when DRIVER_OK shows and SUSPEND does not, and not before (SUSP-06)", () => {
    const hands = new RelayHands({ config: { path: "passthrough" } });
    hands.guest.bringUp();
    hands.deviceKick.take();
    hands.side.answers.resume = Array(1000).fill("later");
    hands.relay.requestPath("svq");
    turns(hands);
    hands.guest.offer(3);
    turns(hands);
    expect([hands.side.asked.at(-1), hands.relay.switching]).toEqual(["resume", true]);
    expect([hands.availIdx, hands.deviceKick.take()]).toEqual([0, false]);
    hands.side.answers.resume = [];
    turns(hands);
    expect([hands.availIdx, hands.deviceKick.take(), hands.relay.switching]).toEqual([3, true, false]);
  });
});

/** Offsets that the relay wrote in the registers of its device. */
function writes({ accesses }: RelayHands): number[] {
  return accesses.filter(({ verb }) => verb === "write" || verb === "publish").map(({ offset }) => offset);
}

/** How often the relay asked for a reset of queue 0. */
function resets(hands: RelayHands): number {
  return writes(hands).filter((offset) => offset === QUEUE + Q.queueReset).length;
}

/** Registers of queue 0 that say where and how large its rings are, as the relay wrote them. */
function setUps(hands: RelayHands): number[] {
  const registers: number[] = [Q.desc, Q.avail, Q.used, Q.queueSize, Q.lastAvailIdx, Q.usedIdx];
  return writes(hands)
    .map((offset) => offset - QUEUE)
    .filter((register) => registers.includes(register));
}

describe("a device that lacks what the relay needs", () => {
  it("is given FAILED when it is of an older time, and nothing after that but a reset (FEAT-07, INIT-04, INIT-05)", () => {
    const hands = new RelayHands({ offers: DEVICE_RING_FEATURES & ~VERSION_1 });
    turns(hands);
    const status = () => hands.relay.parts()[2]!.state["written"]! & FAILED;
    expect(status()).toBe(FAILED);
    const stores = () => hands.accesses.filter(({ verb }) => verb === "write" || verb === "publish").length;
    const before = stores();
    turns(hands);
    const after = stores();
    expect(after).toBe(before);
  });

  it.each([
    ["cannot be suspended", VIRTIO_F_SUSPEND],
    ["cannot reset a queue", VIRTIO_F_RING_RESET],
  ])("%s is asked for neither, and stays on its path (SUSP-01)", (_, bit) => {
    const hands = withChains(1, { offers: DEVICE_RING_FEATURES & ~featureBit(bit) });
    expect([hands.relay.requestPath("passthrough"), hands.relay.requestRemap()]).toEqual([false, false]);
    turns(hands);
    expect([hands.relay.path, hands.side.asked.includes("suspend")]).toEqual(["svq", false]);
    const able = withChains(1);
    expect([able.relay.requestPath("passthrough"), able.relay.requestRemap()]).toEqual([true, true]);
  });
});
