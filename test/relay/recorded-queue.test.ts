/** A shadow virtqueue that takes over by a record: what it forwards, what it refuses, where it ends. */
import { expect, test } from "vitest";
import { RealMemory } from "../../src/memory/real-memory.js";
import { InflightRecord, inflightRecordBytes } from "../../src/relay/inflight-record.js";
import { recordedQueue, recoveredQueue } from "../../src/relay/recorded-queue.js";
import { ShadowVirtqueue } from "../../src/relay/shadow-virtqueue.js";
import { DirtyStamps } from "../../src/validate/oracles/dirty-stamps.js";
import { Bench } from "../../src/validate/rig/ground.js";
import { NaiveDevice } from "../../src/validate/rig/naive-device.js";
import { NaiveGuest } from "../../src/validate/rig/naive-guest.js";
import { relayParts } from "../../src/validate/rig/relay-under-test.js";
import { type RigSetup, SPACE, World } from "../../src/validate/rig/world.js";

const SETUP: RigSetup = {
  num: 8,
  shadowNum: 8,
  eventIdx: false,
  indirect: true,
  log: true,
  map: "flat",
  start: 0xfffe,
};

/** A guest that offered three chains, a relay that forwarded them, and how to begin another. */
function threeInFlight() {
  const ground = new Bench().ground(SETUP.shadowNum);
  const world = new World(SETUP, ground);
  const stamps = new DirtyStamps(world, ground);
  const guest = new NaiveGuest(world, stamps);
  const deviceOf = () => new NaiveDevice(world, stamps, { mayWrite: () => true });
  const bytes = new RealMemory(new ArrayBuffer(inflightRecordBytes(SETUP.num)));
  const record = () => new InflightRecord(bytes, 0, SETUP.num);
  const parts = () => relayParts(world, ground, { kick: () => {}, call: () => {} });
  const first = new ShadowVirtqueue(recordedQueue(parts(), record()));
  for (const gpa of [0x3000, 0x4000, 0x5000]) guest.offer([{ gpa, bytes: 32, writable: true }], "direct");
  guest.publish();
  first.step();
  const takeOver = () => {
    ground.sheets[SPACE.shadow]!.bytes.fill(0);
    return { relay: new ShadowVirtqueue(recoveredQueue(parts(), record())), device: deviceOf() };
  };
  /** Heads in the guest's used ring, from where it started. */
  const used = () => {
    const count = (world.get16(world.guestRing.used + 2) - SETUP.start) & 0xffff;
    const slots = Array.from({ length: count }, (_, i) => (SETUP.start + i) & (SETUP.num - 1));
    return slots.map((slot) => world.get16(world.guestRing.used + 4 + slot * 8));
  };
  return { world, first, device: deviceOf(), takeOver, used };
}

/** The device returns all that it is shown, oldest first. */
function serve(relay: ShadowVirtqueue, device: NaiveDevice): void {
  relay.step();
  device.take();
  while (device.use(0, 32));
  device.publish();
  relay.step();
}

test("what is left is forwarded again, in its old order, whichever came back first", () => {
  const { first, device, takeOver, used } = threeInFlight();
  device.take();
  device.use(1, 32);
  device.publish();
  first.step();
  const second = takeOver();
  serve(second.relay, second.device);
  expect(used()).toEqual([1, 0, 2]);
});

test("a chain that the guest has spoilt meanwhile comes back unused; those around it are served", () => {
  for (const spoilt of [0, 1, 2]) {
    const { world, takeOver, used } = threeInFlight();
    world.views[SPACE.low]!.setUint32(world.guestRing.desc + spoilt * 16 + 4, 0xffff, true);
    const { relay, device } = takeOver();
    for (let i = 0; i < 3; i++) serve(relay, device);
    expect(used()).toEqual([0, 1, 2]);
    expect(relay.inFlight).toBe(0);
    expect(takeOver().relay.step()).toBe(false);
  }
});

test("a stop rewinds over what the ring names, and refuses where something else came back first", () => {
  const inOrder = threeInFlight().takeOver().relay;
  inOrder.step();
  expect(inOrder.stop({ lastAvailIdx: 0, usedIdx: 0 })).toEqual({ lastAvailIdx: 0xfffe, usedIdx: 0xfffe });

  const { first, device, takeOver } = threeInFlight();
  device.take();
  device.use(1, 32);
  device.publish();
  first.step();
  const { relay } = takeOver();
  relay.step();
  expect(() => relay.stop({ lastAvailIdx: 0, usedIdx: 0 })).toThrow("no longer names");
});
