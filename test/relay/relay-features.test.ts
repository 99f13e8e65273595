import { describe, expect, it } from "vitest";
import {
  featureBit,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_NOTIF_CONFIG_DATA,
  VIRTIO_F_NOTIFICATION_DATA,
  VIRTIO_F_ORDER_PLATFORM,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_VERSION_1,
} from "../../src/layout/virtio-config.js";
import { VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC } from "../../src/layout/virtio-ring.js";
import { shadowRingPlaces } from "../../src/machine/arena.js";
import { addressPlan, guestLayout } from "../../src/machine/assemble.js";
import { relayViews } from "../../src/machine/views.js";
import type { Iova } from "../../src/memory/address.js";
import { DriverTransport } from "../../src/transport/driver-transport.js";
import { DEVICE_RING_FEATURES, hasFeature } from "../../src/transport/features.js";
import { QUEUE_REGISTERS as Q, queueRegisters, DEVICE_REGISTERS as R } from "../../src/transport/registers.js";
import { HandDriver } from "../helpers/hand-driver.js";
import { testMachine } from "../helpers/inline-machine.js";
import { areasIn, RelayHands } from "../helpers/relay-hands.js";
import { missing, NEEDS } from "../transport/net-needs.js";

const VERSION_1 = featureBit(VIRTIO_F_VERSION_1);
const ALL_BITS = Array.from({ length: 64 }, (_, bit) => bit);
const ALL = (1n << 64n) - 1n;

/** The features that the device's side was asked to agree to, one for each time. */
function asked(hands: RelayHands): bigint[] {
  return hands.side.asked.filter((what) => what.startsWith("negotiate")).map((what) => BigInt(what.split(" ")[1]!));
}

describe("what a guest accepts through the relay", () => {
  it("is refused for each of 64 bits that was not offered, and never reaches the device (FEAT-01, FEAT-11)", () => {
    for (const bit of ALL_BITS) {
      const hands = new RelayHands();
      const offered = hands.guest.offered();
      const may = hasFeature(offered, bit);
      expect(hands.guest.accepts(VERSION_1 | featureBit(bit)), `bit ${bit}`).toBe(may);
      expect(asked(hands).length, `bit ${bit}`).toBe(may ? 1 : 0);
    }
  });

  it("is served or refused by one rule for all 256 sets of ring features (FEAT-10)", () => {
    const bits = [
      VIRTIO_RING_F_INDIRECT_DESC,
      VIRTIO_RING_F_EVENT_IDX,
      VIRTIO_F_VERSION_1,
      VIRTIO_F_ACCESS_PLATFORM,
      VIRTIO_F_RING_PACKED,
      VIRTIO_F_IN_ORDER,
      VIRTIO_F_ORDER_PLATFORM,
      VIRTIO_F_NOTIFICATION_DATA,
    ];
    let served = 0;
    for (let set = 0; set < 256; set++) {
      const machine = testMachine({ iovaPolicy: "gpa" });
      const { desc, avail, used } = guestLayout(machine.config)[0]!;
      const views = relayViews(machine.arena);
      const guest = new HandDriver({
        registers: views.guestRegisters,
        areas: areasIn(views.regions[0]!.memory, machine.config.queueSize, { desc, avail, used }),
        setup: { desc, avail, used, call: 0 },
        kick: { signal: () => {} },
        turn: () => [machine.relay.step(), machine.device.step()].includes(true),
      });
      const offered = guest.offered();
      const features = bits.reduce((sum, bit, i) => (((set >> i) & 1) === 0 ? sum : sum | featureBit(bit)), 0n);
      const due = (features & ~offered) === 0n && hasFeature(features, VIRTIO_F_VERSION_1);
      expect(guest.accepts(features), `${features}`).toBe(due);
      if (!due) continue;
      guest.enable();
      expect(guest.starts(), `${features}`).toBe(true);
      served += 1;
    }
    expect(served).toBe(4);
  });

  it("may be all that is offered at once, and then every byte comes back, on every path (FEAT-12)", () => {
    for (const path of ["svq", "passthrough", "notify", "used-only"] as const) {
      const iovaPolicy = path === "used-only" ? "fixed" : "gpa";
      const machine = testMachine({ path, iovaPolicy, eventIdx: true, indirect: true, segments: 3 });
      expect(machine.pass()).toMatchObject({ lost: 0, duplicated: 0, refused: 0, fault: undefined });
      expect(Buffer.compare(machine.received(), machine.sent)).toBe(0);
      const words = new DataView(machine.arena.guestRegisters);
      expect(words.getBigUint64(R.driverFeatures, true)).toBe(words.getBigUint64(R.deviceFeatures, true));
    }
  });

  it("is agreed on again after each of 200 resets, by relay and device (FEAT-13)", () => {
    const hands = new RelayHands();
    for (let i = 0; i < 200; i++) hands.guest.bringUp();
    expect(asked(hands).length).toBe(200);
    expect(new Set(asked(hands)).size).toBe(1);
  });

  it("without VERSION_1 is refused, with it goes on to the device (RFB-01)", () => {
    for (const features of [0n, VERSION_1]) {
      const hands = new RelayHands();
      hands.guest.offered();
      expect(hands.guest.accepts(features)).toBe(features !== 0n);
      expect(asked(hands).every((set) => hasFeature(set, VIRTIO_F_VERSION_1))).toBe(true);
    }
    expect(new RelayHands({ offers: DEVICE_RING_FEATURES & ~VERSION_1 }).guest.offered() & VERSION_1).toBe(0n);
  });

  it("without a bit that another one needs is judged by the device, and its refusal reaches the guest (FEAT-02)", () => {
    const types = NEEDS.flatMap(([bit, oneOf]) => [bit, ...oneOf]).reduce((sum, bit) => sum | featureBit(bit), 0n);
    for (const [bit, oneOf] of NEEDS) {
      const hands = new RelayHands({ offers: DEVICE_RING_FEATURES | types });
      hands.side.negotiate = (features) => {
        hands.side.asked.push(`negotiate ${features}`);
        return missing(features).length === 0 ? "done" : "refused";
      };
      hands.guest.offered();
      const set = VERSION_1 | featureBit(bit);
      expect(hands.guest.accepts(set), `bit ${bit}`).toBe(false);
      expect(asked(hands).map((features) => features & types)).toEqual([featureBit(bit)]);
      const whole = closure(bit);
      hands.guest.offered();
      expect(hands.guest.accepts(VERSION_1 | whole), `bit ${bit} with ${oneOf[0]}`).toBe(true);
    }
  });
});

/** A bit with the first of those it needs, and with what those need. */
function closure(bit: number): bigint {
  const first = NEEDS.find(([needy]) => needy === bit)?.[1][0];
  return featureBit(bit) | (first === undefined ? 0n : closure(first));
}

describe("what the relay accepts of its device", () => {
  it("is ACCESS_PLATFORM wherever it is offered, whatever the guest accepts (RFB-02)", () => {
    for (const offers of [DEVICE_RING_FEATURES, DEVICE_RING_FEATURES & ~featureBit(VIRTIO_F_ACCESS_PLATFORM)]) {
      const hands = new RelayHands({ offers });
      hands.guest.bringUp();
      expect(asked(hands).map((set) => hasFeature(set, VIRTIO_F_ACCESS_PLATFORM))).toEqual([
        hasFeature(offers, VIRTIO_F_ACCESS_PLATFORM),
      ]);
    }
  });

  it.each([
    ["RING_PACKED (RFB-05)", VIRTIO_F_RING_PACKED],
    ["ORDER_PLATFORM (RFB-06)", VIRTIO_F_ORDER_PLATFORM],
    ["NOTIF_CONFIG_DATA (RFB-10)", VIRTIO_F_NOTIF_CONFIG_DATA],
    ["NOTIFICATION_DATA, so that a kick carries no index to be trusted (IMPL-22)", VIRTIO_F_NOTIFICATION_DATA],
  ])("is not what it has no use for, by name and with a reason, and the device starts without: %s", (title, bit) => {
    const hands = new RelayHands({ offers: ALL });
    const { guest, relay } = hands;
    expect(hasFeature(guest.offered(), bit)).toBe(false);
    const refusal = relay.refusals.find((other) => other.bit === bit)!;
    expect(title).toContain(refusal.name);
    expect(refusal.why.length).toBeGreaterThan(10);
    guest.bringUp();
    expect(asked(hands).map((set) => hasFeature(set, bit))).toEqual([false]);
  });
});

describe("addresses", () => {
  it("that the device sees are all mapped, and none is a guest's own, with ACCESS_PLATFORM (RFB-03, RFB-12, D02)", () => {
    const first = 2 ** 40;
    const machine = testMachine({ iovaPolicy: "tree", apertureFirst: first, mappings: 3 });
    expect(machine.pass()).toMatchObject({ lost: 0, fault: undefined });
    expect(Buffer.compare(machine.received(), machine.sent)).toBe(0);
    const { tree } = addressPlan(machine.config, "svq");
    const seen = [...queueAddresses(machine), ...shadowAddresses(machine)];
    expect(seen.length).toBeGreaterThan(8);
    for (const address of seen) {
      expect(address).toBeGreaterThanOrEqual(first);
      expect(tree.findByIova(address as Iova), `${address}`).toBeDefined();
    }
    const device = new DriverTransport(relayViews(machine.arena).deviceRegisters, 0, { ring: () => {} });
    const guest = new DriverTransport(relayViews(machine.arena).guestRegisters, 0, { ring: () => {} });
    const bits = [device, guest].map((side) => hasFeature(side.offered(), VIRTIO_F_ACCESS_PLATFORM));
    expect(bits).toEqual([true, false]);
  });

  it("of a guest, which is not offered ACCESS_PLATFORM, are physical and are passed on as they are (RFB-04)", () => {
    const passing = testMachine({ path: "passthrough", iovaPolicy: "gpa" });
    expect(passing.pass()).toMatchObject({ lost: 0, fault: undefined });
    const { desc, avail, used, slots } = guestLayout(passing.config)[0]!;
    expect(queueAddresses(passing)).toEqual([desc, avail, used]);
    const shadowed = testMachine({ path: "svq", iovaPolicy: "gpa" });
    expect(shadowed.pass()).toMatchObject({ lost: 0, fault: undefined });
    const buffers = slots.flatMap((slot) => [slot.out, slot.in]);
    const seen = shadowAddresses(shadowed);
    expect(seen.length).toBeGreaterThan(4);
    for (const address of seen) expect(buffers).toContain(address);
  });
});

/** The three addresses of queue 0 in the registers of the device. */
function queueAddresses({ arena }: ReturnType<typeof testMachine>): number[] {
  const words = new DataView(arena.deviceRegisters, queueRegisters(0));
  return [Q.desc, Q.avail, Q.used].map((at) => Number(words.getBigUint64(at, true)));
}

/** The addresses in the descriptors of the shadow ring of queue 0 that were ever written. */
function shadowAddresses({ arena, config }: ReturnType<typeof testMachine>): number[] {
  const { offset } = shadowRingPlaces(config)[0]!.driverArea;
  const words = new DataView(arena.shadowRings, offset);
  return Array.from({ length: config.queueSize }, (_, i) => i * 16)
    .filter((at) => words.getUint32(at + 8, true) !== 0)
    .map((at) => Number(words.getBigUint64(at, true)));
}

describe("while features are being agreed on", () => {
  it("the relay writes status and features to its device, and no configuration (INIT-02, INIT-03)", () => {
    const hands = new RelayHands();
    hands.guest.offered();
    expect(hands.guest.accepts(VERSION_1)).toBe(true);
    const may: number[] = [R.driverVersion, R.statusWritten, R.driverFeatures, R.driverFeatures + 4];
    const writes = () => hands.accesses.splice(0).filter(({ verb }) => verb === "write" || verb === "publish");
    const early = writes().map(({ offset }) => offset);
    expect(early).toContain(R.driverFeatures);
    expect(early.filter((offset) => !may.includes(offset))).toEqual([]);
    hands.guest.enable();
    expect(hands.guest.starts()).toBe(true);
    const late = writes().map(({ offset }) => offset);
    expect(late).toContain(queueRegisters(0) + Q.queueEnable);
    expect(late.filter((offset) => offset === R.driverFeatures || offset === R.driverFeatures + 4)).toEqual([]);
  });
});
