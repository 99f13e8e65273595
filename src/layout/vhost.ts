/**
 * What vhost back ends are told, as in linux/vhost_types.h and linux/vhost.h.
 *
 * Offsets and sizes are bytes. Fields are in the byte order of the host, unlike those of virtio; here both are
 * little-endian.
 */

/** Queue `index` and a number: its size, its base, or whether it is enabled. */
export const VHOST_VRING_STATE = { size: 8, offsets: { index: 0, num: 4 } } as const;

/** Queue `index` and an eventfd for kick, call or err; fd -1 takes it away. */
export const VHOST_VRING_FILE = { size: 8, offsets: { index: 0, fd: 4 } } as const;

/** Where a queue's three areas lie in the sender's address space, and where in guest memory its used ring is logged. */
export const VHOST_VRING_ADDR = {
  size: 40,
  offsets: { index: 0, flags: 4, desc_user_addr: 8, used_user_addr: 16, avail_user_addr: 24, log_guest_addr: 32 },
} as const;

/** Head of the memory table; `nregions` regions follow. */
export const VHOST_MEMORY = { size: 8, offsets: { nregions: 0, padding: 4, regions: 8 } } as const;

/** One region of guest memory; addresses and size are multiples of VHOST_PAGE_SIZE. */
export const VHOST_MEMORY_REGION = {
  size: 32,
  offsets: { guest_phys_addr: 0, memory_size: 8, userspace_addr: 16, flags_padding: 24 },
} as const;

/** A miss, or a change of the IOTLB; six bytes of padding follow `type` on 64-bit hosts. */
export const VHOST_IOTLB_MSG = { size: 32, offsets: { iova: 0, size: 8, uaddr: 16, perm: 24, type: 25 } } as const;

/** The envelope of an IOTLB message; its `type` is VHOST_IOTLB_MSG_V2. */
export const VHOST_MSG_V2 = { size: 72, offsets: { type: 0, iotlb: 8 } } as const;

/** Bytes of a page: the granule of memory regions and of a bit of the dirty log. */
export const VHOST_PAGE_SIZE = 4096;

/** Bit number in the `flags` of VHOST_VRING_ADDR: writes to the used ring are logged at `log_guest_addr`. */
export const VHOST_VRING_F_LOG = 0;
/** Feature bit number: all writes to guest memory are logged; may change while queues run. */
export const VHOST_F_LOG_ALL = 26;

/** Permission of a mapping: the device reads. */
export const VHOST_ACCESS_RO = 1;
/** Permission of a mapping: the device writes. */
export const VHOST_ACCESS_WO = 2;
/** Permission of a mapping: both. */
export const VHOST_ACCESS_RW = 3;

/** Message type: the device asks for a mapping of `iova`. */
export const VHOST_IOTLB_MISS = 1;
/** Message type: here is a mapping. */
export const VHOST_IOTLB_UPDATE = 2;
/** Message type: a range is no longer mapped. */
export const VHOST_IOTLB_INVALIDATE = 3;
/** Message type: an access failed. */
export const VHOST_IOTLB_ACCESS_FAIL = 4;

/** Envelope type of a VHOST_MSG_V2. */
export const VHOST_IOTLB_MSG_V2 = 2;
