import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  featureBit,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_ADMIN_VQ,
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_NOTIF_CONFIG_DATA,
  VIRTIO_F_NOTIFICATION_DATA,
  VIRTIO_F_ORDER_PLATFORM,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_SR_IOV,
  VIRTIO_F_SUSPEND,
  VIRTIO_F_VERSION_1,
} from "../../src/layout/virtio-config.js";
import { VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC } from "../../src/layout/virtio-ring.js";
import * as features from "../../src/transport/features.js";
import { DEVICE_RING_FEATURES, hasFeature, shadowableFeatures } from "../../src/transport/features.js";
import { type Patch, patchedCopy } from "../helpers/patched-copy.js";
import { missing } from "./net-needs.js";

type Features = typeof features;

const ALL_BITS = Array.from({ length: 64 }, (_, bit) => bit);
const ALL = (1n << 64n) - 1n;
/** Bits that belong to a device type (VIRTIO 1.3, 2.2). */
const TYPE_BITS = ALL_BITS.filter((bit) => bit < 24 || bit >= 50);
/** All that a relay of split rings passes on besides. */
const RING_BITS = [VIRTIO_RING_F_INDIRECT_DESC, VIRTIO_RING_F_EVENT_IDX, VIRTIO_F_VERSION_1];

/** Bits of 64 that are offered otherwise than they should be, or refused without a word. */
function wrongBits({ shadowableFeatures }: Features, usedOnly: boolean): number[] {
  return ALL_BITS.filter((bit) => {
    const { offered, refused } = shadowableFeatures(featureBit(bit), usedOnly);
    const due = (TYPE_BITS.includes(bit) || RING_BITS.includes(bit)) && !(usedOnly && bit === VIRTIO_RING_F_EVENT_IDX);
    if (due) return offered !== featureBit(bit) || refused.length > 0;
    const [refusal] = refused;
    const named = refusal?.bit === bit && refusal.name.length > 0 && refusal.why.length > 0;
    return offered !== 0n || refused.length !== 1 || !named;
  });
}

describe("shadowableFeatures()", () => {
  it("offers a bit, or refuses it by name and with a reason: all 64 (FEAT-03, FEAT-04, FEAT-05, FEAT-12, D05, D11)", () => {
    expect(wrongBits(features, false)).toEqual([]);
    expect(wrongBits(features, true)).toEqual([]);
  });

  it("refuses EVENT_IDX on the used-only path alone", () => {
    const event = featureBit(VIRTIO_RING_F_EVENT_IDX);
    expect(shadowableFeatures(event, false)).toEqual({ offered: event, refused: [] });
    expect(shadowableFeatures(event, true)).toMatchObject({ offered: 0n, refused: [{ name: "EVENT_IDX" }] });
  });

  it("refuses by the names of the standard, and never offers SR_IOV (RFB-16)", () => {
    const named = new Map(shadowableFeatures(ALL, true).refused.map(({ bit, name }) => [bit, name]));
    const expected: [number, string][] = [
      [VIRTIO_F_ACCESS_PLATFORM, "ACCESS_PLATFORM"],
      [VIRTIO_F_RING_PACKED, "RING_PACKED"],
      [VIRTIO_F_IN_ORDER, "IN_ORDER"],
      [VIRTIO_F_ORDER_PLATFORM, "ORDER_PLATFORM"],
      [VIRTIO_F_SR_IOV, "SR_IOV"],
      [VIRTIO_F_NOTIFICATION_DATA, "NOTIFICATION_DATA"],
      [VIRTIO_F_NOTIF_CONFIG_DATA, "NOTIF_CONFIG_DATA"],
      [VIRTIO_F_RING_RESET, "RING_RESET"],
      [VIRTIO_F_ADMIN_VQ, "ADMIN_VQ"],
      [VIRTIO_F_SUSPEND, "SUSPEND"],
      [VIRTIO_RING_F_EVENT_IDX, "EVENT_IDX"],
    ];
    for (const [bit, name] of expected) expect(named.get(bit)).toBe(name);
    expect(new Set(named.values()).size).toBe(named.size);
  });

  it("splits any set in two: what is offered and what is refused", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: ALL }), fc.boolean(), (device, usedOnly) => {
        const { offered, refused } = shadowableFeatures(device, usedOnly);
        const gone = refused.reduce((sum, { bit }) => sum | featureBit(bit), 0n);
        expect([offered | gone, offered & gone]).toEqual([device, 0n]);
        expect(shadowableFeatures(offered, usedOnly)).toEqual({ offered, refused: [] });
      }),
    );
  });

  it("keeps a set closed under what its bits need of each other (FEAT-09)", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: ALL }), fc.boolean(), (bits, usedOnly) => {
        expect(missing(shadowableFeatures(closed(bits), usedOnly).offered)).toEqual([]);
      }),
    );
  });

  it("offers what it can of a device that lacks something (FEAT-06, FEAT-08)", () => {
    for (const bit of [...RING_BITS, 5, 60]) {
      const less = DEVICE_RING_FEATURES & ~featureBit(bit);
      expect(shadowableFeatures(less, false).offered).toBe(
        shadowableFeatures(DEVICE_RING_FEATURES, false).offered & less,
      );
    }
  });
});

/** Takes away bits until nothing is missing, as an honest device offers. */
function closed(set: bigint): bigint {
  const gone = missing(set);
  return gone.length === 0 ? set : closed(gone.reduce((left, bit) => left & ~featureBit(bit), set));
}

describe("these sets notice", () => {
  const FILE = "transport/features.ts";
  const faults: (readonly [what: string, patch: Patch, bits: number[]])[] = [
    ["that a refusal has no reason", [FILE, 'why: "there is no PCI function"', 'why: ""'], [VIRTIO_F_SR_IOV]],
    [
      "that a refused bit stays in the offer",
      [FILE, "features & ~featureBit(bit), device)", "features, device)"],
      [24],
    ],
    ["that reserved bits are passed on", [FILE, "...REFUSED_RESERVED, ", ""], [24, 25, 26, 27, 30, 31, 42, 44, 49]],
    ["that a feature of the device type is taken away", [FILE, "24 + i)", "23 + i)"], [23]],
  ];
  for (const [what, patch, bits] of faults) {
    it(what, async () => {
      const wrong = wrongBits(await patchedCopy<Features>(FILE, patch), false);
      for (const bit of bits) expect(wrong).toContain(bit);
    });
  }

  it("that a bit goes which another needs", async () => {
    const faulty = await patchedCopy<Features>(FILE, [FILE, "24 + i)", "17 + i)"]);
    const rss = closed(featureBit(17) | featureBit(60));
    expect(missing(faulty.shadowableFeatures(rss, false).offered)).toEqual([60]);
    expect(missing(shadowableFeatures(rss, false).offered)).toEqual([]);
  });
});

describe("DEVICE_RING_FEATURES", () => {
  it("has VERSION_1, and nothing of PCI functions or packed rings (RFB-11, RFB-16)", () => {
    const bits = ALL_BITS.filter((bit) => hasFeature(DEVICE_RING_FEATURES, bit));
    expect(bits).toContain(VIRTIO_F_VERSION_1);
    for (const bit of [VIRTIO_F_SR_IOV, VIRTIO_F_RING_PACKED, ...TYPE_BITS]) expect(bits).not.toContain(bit);
  });
});

describe("hasFeature()", () => {
  it("looks at one bit of 64", () => {
    for (const bit of ALL_BITS) {
      expect(hasFeature(featureBit(bit), bit)).toBe(true);
      expect(hasFeature(ALL & ~featureBit(bit), bit)).toBe(false);
    }
  });
});
