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
} from "../layout/virtio-config.js";
import { VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC } from "../layout/virtio-ring.js";

/** Whether a set of features has a bit. */
export function hasFeature(features: bigint, bit: number): boolean {
  return (features & featureBit(bit)) !== 0n;
}

/** Ring and transport bits our own device models offer; the device type adds its own below bit 24. */
export const DEVICE_RING_FEATURES: bigint = [
  VIRTIO_RING_F_INDIRECT_DESC,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_F_VERSION_1,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_SUSPEND,
].reduce((features, bit) => features | featureBit(bit), 0n);

/** A feature that the relay takes away from what the device offers, and why. */
export interface FeatureRefusal {
  readonly bit: number;
  readonly name: string;
  readonly why: string;
}

/** Bits that no data path of the relay can carry to the guest (QEMU refuses the same, shadow-virtqueue features). */
const REFUSED: readonly FeatureRefusal[] = [
  { bit: VIRTIO_F_ACCESS_PLATFORM, name: "ACCESS_PLATFORM", why: "the guest has no IOMMU: its addresses are physical" },
  { bit: VIRTIO_F_RING_PACKED, name: "RING_PACKED", why: "the relay shadows split rings" },
  { bit: VIRTIO_F_IN_ORDER, name: "IN_ORDER", why: "the relay does not unroll batches" },
  { bit: VIRTIO_F_ORDER_PLATFORM, name: "ORDER_PLATFORM", why: "the guest's peer is software" },
  { bit: VIRTIO_F_SR_IOV, name: "SR_IOV", why: "there is no PCI function" },
  { bit: VIRTIO_F_NOTIFICATION_DATA, name: "NOTIFICATION_DATA", why: "a kick carries no data here" },
  { bit: VIRTIO_F_NOTIF_CONFIG_DATA, name: "NOTIF_CONFIG_DATA", why: "a kick carries no data here" },
  { bit: VIRTIO_F_RING_RESET, name: "RING_RESET", why: "the relay uses it itself, to switch data paths" },
  { bit: VIRTIO_F_ADMIN_VQ, name: "ADMIN_VQ", why: "the relay carries no administration queues" },
  { bit: VIRTIO_F_SUSPEND, name: "SUSPEND", why: "the relay uses it itself, to switch data paths" },
];

/** Bits 24 to 49 belong to no device type (VIRTIO 1.3, 2.2): those without a meaning here are not passed on. */
const REFUSED_RESERVED: readonly FeatureRefusal[] = Array.from({ length: 26 }, (_, i) => 24 + i)
  .filter((bit) => !hasFeature(DEVICE_RING_FEATURES, bit) && !REFUSED.some((rule) => rule.bit === bit))
  .map((bit) => ({ bit, name: `bit ${bit}`, why: "it has no meaning for a ring or a transport of today" }));

/** What the relay adds to the refusals while it relays the used ring only. */
const REFUSED_USED_ONLY: readonly FeatureRefusal[] = [
  {
    bit: VIRTIO_RING_F_EVENT_IDX,
    name: "EVENT_IDX",
    why: "the device's avail_event would land in the mediated ring, where the guest cannot see it",
  },
];

/** What the relay offers to the guest of what the device offers to it. */
export interface FeatureOffer {
  readonly offered: bigint;
  readonly refused: readonly FeatureRefusal[];
}

/** Takes from a device's features what cannot be shadowed; `usedOnly` for DPDK's relay. */
export function shadowableFeatures(device: bigint, usedOnly: boolean): FeatureOffer {
  const rules = [...REFUSED, ...REFUSED_RESERVED, ...(usedOnly ? REFUSED_USED_ONLY : [])];
  const refused = rules.filter(({ bit }) => hasFeature(device, bit));
  const offered = refused.reduce((features, { bit }) => features & ~featureBit(bit), device);
  return { offered, refused };
}
