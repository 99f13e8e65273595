/** Device status and the feature bits of no particular device, as in linux/virtio_config.h. */

/** Status flag: the guest has noticed the device (VIRTIO 1.3, 2.1, as for all of these). */
export const VIRTIO_CONFIG_S_ACKNOWLEDGE = 1;
/** Status flag: the guest knows a driver for it. */
export const VIRTIO_CONFIG_S_DRIVER = 2;
/** Status flag: the driver is set up, queues may be used. */
export const VIRTIO_CONFIG_S_DRIVER_OK = 4;
/** Status flag: the features are agreed; stays clear when the device refuses them. */
export const VIRTIO_CONFIG_S_FEATURES_OK = 8;
/** Status flag: the driver has suspended the device (VIRTIO 1.4, 2.1 and 3.4; absent from the Linux headers). */
export const VIRTIO_CONFIG_S_SUSPEND = 16;
/** Status flag: the device needs a reset; the standard says DEVICE_NEEDS_RESET. */
export const VIRTIO_CONFIG_S_NEEDS_RESET = 64;
/** Status flag: the guest has given up. */
export const VIRTIO_CONFIG_S_FAILED = 128;

/** Bit number of the first feature that belongs to rings and transport rather than to a device type. */
export const VIRTIO_TRANSPORT_F_START = 28;
/**
 * One past the last such feature that is named here.
 *
 * The headers' own value follows their age (41 in Linux 6.1, 42 with ADMIN_VQ), so this one covers all of them and
 * SUSPEND too: a filter that walks up to here leaves no transport bit unexamined.
 */
export const VIRTIO_TRANSPORT_F_END = 44;

/** Feature bit number: a call when the ring runs empty, even if suppressed. Legacy (VIRTIO 1.3, 6.3). */
export const VIRTIO_F_NOTIFY_ON_EMPTY = 24;
/** Feature bit number: requests may be framed in any way. Legacy (VIRTIO 1.3, 6.3). */
export const VIRTIO_F_ANY_LAYOUT = 27;
/** Feature bit number: not a legacy device (VIRTIO 1.3, 6, as for all below). */
export const VIRTIO_F_VERSION_1 = 32;
/** Feature bit number: the device's addresses pass the platform's IOMMU; once named IOMMU_PLATFORM. */
export const VIRTIO_F_ACCESS_PLATFORM = 33;
/** Feature bit number: packed virtqueues. */
export const VIRTIO_F_RING_PACKED = 34;
/** Feature bit number: buffers are used in the order in which they were made available. */
export const VIRTIO_F_IN_ORDER = 35;
/** Feature bit number: memory is ordered as the platform says, for devices that are not CPUs. */
export const VIRTIO_F_ORDER_PLATFORM = 36;
/** Feature bit number: single root I/O virtualisation. */
export const VIRTIO_F_SR_IOV = 37;
/** Feature bit number: a kick carries the avail idx. */
export const VIRTIO_F_NOTIFICATION_DATA = 38;
/** Feature bit number: a kick carries a value that the device chose in place of the queue's number. */
export const VIRTIO_F_NOTIF_CONFIG_DATA = 39;
/** Feature bit number: one queue can be reset alone. */
export const VIRTIO_F_RING_RESET = 40;
/** Feature bit number: the device has administration virtqueues. */
export const VIRTIO_F_ADMIN_VQ = 41;
/** Feature bit number: the driver may suspend the device (VIRTIO 1.4, 6; absent from the Linux headers). */
export const VIRTIO_F_SUSPEND = 43;

/** The mask of one feature in a set of features; `bit` is one of the bit numbers, 0 or more. */
export function featureBit(bit: number): bigint {
  return 1n << BigInt(bit);
}
