/** What breaks a queue, done to a whole machine: the err bell rings, the driver is shown why, and others go on. */
import { expect, test } from "vitest";
import { VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE } from "../../src/layout/virtio-ring.js";
import { COUNTER_BLOCKS, NOTIFIERS, notifierOffset, shadowRingPlaces } from "../../src/machine/arena.js";
import type { MachineConfig } from "../../src/machine/config.js";
import { type FaultReason, PEER_FAULTS } from "../../src/ring/peer-fault.js";
import { COUNTERS, counterBlock } from "../../src/telemetry/counters.js";
import { type TestMachine, testMachine } from "../helpers/inline-machine.js";

const NEXT = VRING_DESC_F_NEXT;
const WRITE = VRING_DESC_F_WRITE;
const INDIRECT = VRING_DESC_F_INDIRECT;
/** Guest memory that the guest has no use for. */
const SPARE = 64;

interface Descriptor {
  readonly address?: number;
  readonly bytes?: number;
  readonly flags: number;
  readonly next?: number;
}

function ram({ arena }: TestMachine): DataView {
  return new DataView(arena.regions[0]!.buffer);
}

function write(view: DataView, at: number, { address = SPARE, bytes = 8, flags, next = 0 }: Descriptor): void {
  view.setBigUint64(at, BigInt(address), true);
  view.setUint32(at + 8, bytes, true);
  view.setUint16(at + 12, flags, true);
  view.setUint16(at + 14, next, true);
}

/** Offers a head, and moves the index by `by`. */
function offer(machine: TestMachine, head: number, by = 1): void {
  const { avail } = machine.layouts[0]!;
  const view = ram(machine);
  const idx = view.getUint16(avail + 2, true);
  view.setUint16(avail + 4 + (idx & 15) * 2, head, true);
  view.setUint16(avail + 2, idx + by, true);
}

/** Offers a chain whose descriptors stand in slots from 0 on. */
function chain(machine: TestMachine, ...descriptors: readonly Descriptor[]): void {
  const { desc } = machine.layouts[0]!;
  for (const [slot, each] of descriptors.entries()) write(ram(machine), desc + slot * 16, each);
  offer(machine, 0);
}

/** An entry of the device's in its used ring, and how far it moves its index. */
function used(machine: TestMachine, id: number, by = 1): void {
  const at = shadowRingPlaces(machine.config)[0]!.deviceArea.offset;
  const view = new DataView(machine.arena.shadowRings);
  const idx = view.getUint16(at + 2, true);
  view.setUint32(at + 4 + (idx & 15) * 8, id, true);
  view.setUint32(at + 8 + (idx & 15) * 8, 0, true);
  view.setUint16(at + 2, idx + by, true);
}

/** The driver has submitted, and the device has not looked yet. */
function submitted(machine: TestMachine): void {
  machine.driver.begin({ pass: 0, first: 12, count: 4 });
  machine.driver.step();
  machine.relay.step();
}

interface Breach {
  readonly change?: Partial<MachineConfig>;
  /** The driver has a job when it is done. */
  readonly busy?: boolean;
  readonly commit: (machine: TestMachine) => void;
}

type BreakReason = {
  [R in FaultReason]: (typeof PEER_FAULTS)[R] extends "break-queue" ? R : never;
}[FaultReason];

const BREACHES: Readonly<Record<BreakReason, Breach>> = {
  "avail-idx-overrun": { commit: (machine) => offer(machine, 0, 1000) },
  "used-idx-overrun": { commit: (machine) => used(machine, 0, 1000) },
  "head-out-of-range": { commit: (machine) => offer(machine, 16) },
  "head-outstanding": {
    commit: (machine) => {
      chain(machine, { flags: WRITE });
      machine.relay.step();
      offer(machine, 0);
    },
  },
  "next-out-of-range": { commit: (machine) => chain(machine, { flags: NEXT, next: 16 }) },
  "chain-too-long": { commit: (machine) => chain(machine, { flags: NEXT, next: 0 }) },
  "readable-after-writable": { commit: (machine) => chain(machine, { flags: WRITE | NEXT, next: 1 }, { flags: 0 }) },
  "indirect-not-negotiated": {
    change: { indirect: false },
    commit: (machine) => chain(machine, { bytes: 16, flags: INDIRECT }),
  },
  "indirect-nested": {
    commit: (machine) => {
      write(ram(machine), SPARE, { bytes: 16, flags: INDIRECT });
      chain(machine, { bytes: 16, flags: INDIRECT });
    },
  },
  "indirect-with-next": { commit: (machine) => chain(machine, { bytes: 16, flags: INDIRECT | NEXT, next: 1 }) },
  "indirect-length": { commit: (machine) => chain(machine, { bytes: 17, flags: INDIRECT }) },
  "used-id-unknown": {
    busy: true,
    commit: (machine) => {
      submitted(machine);
      used(machine, 0xffff);
    },
  },
  "guest-ring-changed": {
    busy: true,
    change: { iovaPolicy: "gpa" },
    commit: (machine) => {
      submitted(machine);
      const { avail } = machine.layouts[0]!;
      for (let slot = 0; slot < 16; slot++) ram(machine).setUint16(avail + 4 + slot * 2, 15, true);
      // Its queue is stopped where it is, with chains of which the device has fetched none.
      machine.relay.requestPath("passthrough");
      machine.relay.step();
      machine.device.step();
    },
  },
};

test("every reason that breaks a queue has its breach", () => {
  const breaking = Object.entries(PEER_FAULTS).filter(([, outcome]) => outcome === "break-queue");
  expect(Object.keys(BREACHES).sort()).toEqual(breaking.map(([reason]) => reason).sort());
});

test.each(Object.entries(BREACHES))("%s rings the err bell and shows DEVICE_NEEDS_RESET, once", (reason, breach) => {
  const machine = testMachine({ batch: 2, depth: 4, indirect: true, ...breach.change });
  machine.pass(0, 0, 12);
  machine.settle();
  const counters = counterBlock(machine.arena.counters, COUNTER_BLOCKS.relay);
  const bells = new Int32Array(machine.arena.notifiers);
  const err = notifierOffset(0, NOTIFIERS.err) / 4;
  bells[err] = 0;
  breach.commit(machine);
  machine.relay.step();
  expect([machine.relay.faults.map((fault) => fault.reason), bells[err]]).toEqual([[reason], 1]);
  if (breach.busy !== true) machine.driver.begin({ pass: 0, first: 12, count: 4 });
  for (let i = 0; i < 50; i++) for (const role of [machine.relay, machine.device, machine.driver]) role.step();
  expect(machine.driver.fault).toBe(`queue 0 needs a reset: ${reason}`);
  expect([counters[COUNTERS.faults], machine.relay.faults.length]).toEqual([1, 1]);
});
