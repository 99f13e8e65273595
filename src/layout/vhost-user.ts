/**
 * Messages of vhost-user, as in the protocol text of QEMU (docs/interop/vhost-user.rst) and its implementations.
 *
 * No Linux header has them. Offsets and sizes are bytes; numbers are in the byte order of the host, here little-endian.
 * VHOST_VRING_STATE, VHOST_VRING_ADDR and VHOST_IOTLB_MSG are payloads too and stand in `vhost.ts`.
 */

/** Head of every message; `size` bytes of payload follow. */
export const VHOST_USER_HEADER = { size: 12, offsets: { request: 0, flags: 4, size: 8 } } as const;

/** Head of the memory table; `nregions` regions follow. */
export const VHOST_USER_MEMORY = { size: 8, offsets: { nregions: 0, padding: 4, regions: 8 } } as const;

/** One region of guest memory, and where it begins in its file. */
export const VHOST_USER_MEMORY_REGION = {
  size: 32,
  offsets: { guest_phys_addr: 0, memory_size: 8, userspace_addr: 16, mmap_offset: 24 },
} as const;

/** A single region, of ADD_MEM_REG and REM_MEM_REG. */
export const VHOST_USER_MEM_REG_MSG = { size: 40, offsets: { padding: 0, region: 8 } } as const;

/** The dirty log in its file. */
export const VHOST_USER_LOG = { size: 16, offsets: { mmap_size: 0, mmap_offset: 8 } } as const;

/** Head of an access to configuration space; `size` bytes follow at `region`. */
export const VHOST_USER_CONFIG = { size: 12, offsets: { offset: 0, size: 4, flags: 8, region: 12 } } as const;

/** Where a host notifier lies; `u64` is a queue and VHOST_USER_VRING_NOFD_MASK. */
export const VHOST_USER_VRING_AREA = { size: 24, offsets: { u64: 0, size: 8, offset: 16 } } as const;

/** The in-flight record in its file; four bytes of padding end it in C, which some peers leave out. */
export const VHOST_USER_INFLIGHT = {
  size: 24,
  offsets: { mmap_size: 0, mmap_offset: 8, num_queues: 16, queue_size: 18 },
} as const;

/** A shared object's name. */
export const VHOST_USER_SHARED = { size: 16, offsets: { uuid: 0 } } as const;

/** Which way device state is to go, and in which phase of a migration. */
export const VHOST_USER_TRANSFER_DEVICE_STATE = { size: 8, offsets: { direction: 0, phase: 4 } } as const;

/** The version that the low bits of `flags` hold. */
export const VHOST_USER_VERSION = 1;
/** Mask in `flags`: the version. */
export const VHOST_USER_VERSION_MASK = 0x3;
/** Flag: this is a reply. */
export const VHOST_USER_REPLY_MASK = 0x4;
/** Flag: the sender wants a reply; means something once REPLY_ACK is agreed. */
export const VHOST_USER_NEED_REPLY_MASK = 0x8;

/** Mask in the payload of SET_VRING_KICK, CALL and ERR: the queue. */
export const VHOST_USER_VRING_IDX_MASK = 0xff;
/** Flag in the same payload: no file descriptor comes along. */
export const VHOST_USER_VRING_NOFD_MASK = 0x100;

/** Regions that a memory table may have without CONFIGURE_MEM_SLOTS. */
export const VHOST_MEMORY_BASELINE_NREGIONS = 8;
/** File descriptors that one message may carry. */
export const VHOST_USER_MAX_FDS = 8;
/** Bytes of configuration space that can be reached. */
export const VHOST_USER_MAX_CONFIG_SIZE = 256;

/** Flag of an access to configuration space: the guest writes what it may write. */
export const VHOST_SET_CONFIG_TYPE_FRONTEND = 0;
/** Flag of an access to configuration space: a migration restores it. */
export const VHOST_SET_CONFIG_TYPE_MIGRATION = 1;

/** Feature bit number: the back end has protocol features; one that no virtio device uses. */
export const VHOST_USER_F_PROTOCOL_FEATURES = 30;

/** Protocol feature bit number: the back end says how many queues it has. */
export const VHOST_USER_PROTOCOL_F_MQ = 0;
/** Protocol feature bit number: the dirty log is shared memory. */
export const VHOST_USER_PROTOCOL_F_LOG_SHMFD = 1;
/** Protocol feature bit number: the back end announces the guest in the network. */
export const VHOST_USER_PROTOCOL_F_RARP = 2;
/** Protocol feature bit number: the sender may ask for a reply to any message. */
export const VHOST_USER_PROTOCOL_F_REPLY_ACK = 3;
/** Protocol feature bit number: the front end sets the MTU. */
export const VHOST_USER_PROTOCOL_F_NET_MTU = 4;
/** Protocol feature bit number: the back end has a channel for requests of its own. */
export const VHOST_USER_PROTOCOL_F_BACKEND_REQ = 5;
/** Protocol feature bit number: queues of either byte order. */
export const VHOST_USER_PROTOCOL_F_CROSS_ENDIAN = 6;
/** Protocol feature bit number: sessions of a crypto device. */
export const VHOST_USER_PROTOCOL_F_CRYPTO_SESSION = 7;
/** Protocol feature bit number: postcopy migration. */
export const VHOST_USER_PROTOCOL_F_PAGEFAULT = 8;
/** Protocol feature bit number: the back end has the configuration space. */
export const VHOST_USER_PROTOCOL_F_CONFIG = 9;
/** Protocol feature bit number: the back end may send file descriptors. */
export const VHOST_USER_PROTOCOL_F_BACKEND_SEND_FD = 10;
/** Protocol feature bit number: the back end offers doorbells that the guest writes directly. */
export const VHOST_USER_PROTOCOL_F_HOST_NOTIFIER = 11;
/** Protocol feature bit number: what is in flight is recorded in shared memory. */
export const VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD = 12;
/** Protocol feature bit number: the device can be reset without a new connection. */
export const VHOST_USER_PROTOCOL_F_RESET_DEVICE = 13;
/** Protocol feature bit number: kicks and calls may be messages. */
export const VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS = 14;
/** Protocol feature bit number: regions come and go one by one. */
export const VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15;
/** Protocol feature bit number: the device status is passed on. */
export const VHOST_USER_PROTOCOL_F_STATUS = 16;
/** Protocol feature bit number: regions are grants of Xen. */
export const VHOST_USER_PROTOCOL_F_XEN_MMAP = 17;
/** Protocol feature bit number: the back end exports objects by name. */
export const VHOST_USER_PROTOCOL_F_SHARED_OBJECT = 18;
/** Protocol feature bit number: the back end's state can be saved and loaded. */
export const VHOST_USER_PROTOCOL_F_DEVICE_STATE = 19;

/** Front-end request: which virtio features there are. */
export const VHOST_USER_GET_FEATURES = 1;
/** Front-end request: which of them are used. */
export const VHOST_USER_SET_FEATURES = 2;
/** Front-end request: the sender owns the session from here on. */
export const VHOST_USER_SET_OWNER = 3;
/** Front-end request: disable all rings; deprecated. */
export const VHOST_USER_RESET_OWNER = 4;
/** Front-end request: guest memory, all of it. */
export const VHOST_USER_SET_MEM_TABLE = 5;
/** Front-end request: the dirty log. */
export const VHOST_USER_SET_LOG_BASE = 6;
/** Front-end request: an eventfd that tells of new marks. */
export const VHOST_USER_SET_LOG_FD = 7;
/** Front-end request: a queue's size. */
export const VHOST_USER_SET_VRING_NUM = 8;
/** Front-end request: where a queue's areas lie. */
export const VHOST_USER_SET_VRING_ADDR = 9;
/** Front-end request: where a queue goes on. */
export const VHOST_USER_SET_VRING_BASE = 10;
/** Front-end request: stop a queue, and where it stands. */
export const VHOST_USER_GET_VRING_BASE = 11;
/** Front-end request: the eventfd by which the guest rings. */
export const VHOST_USER_SET_VRING_KICK = 12;
/** Front-end request: the eventfd by which the guest is rung. */
export const VHOST_USER_SET_VRING_CALL = 13;
/** Front-end request: the eventfd that tells of a broken queue. */
export const VHOST_USER_SET_VRING_ERR = 14;
/** Front-end request: which protocol features there are. */
export const VHOST_USER_GET_PROTOCOL_FEATURES = 15;
/** Front-end request: which of them are used. */
export const VHOST_USER_SET_PROTOCOL_FEATURES = 16;
/** Front-end request: how many queues there are. */
export const VHOST_USER_GET_QUEUE_NUM = 17;
/** Front-end request: a queue is enabled or disabled. */
export const VHOST_USER_SET_VRING_ENABLE = 18;
/** Front-end request: announce the guest in the network. */
export const VHOST_USER_SEND_RARP = 19;
/** Front-end request: the MTU that the guest sees. */
export const VHOST_USER_NET_SET_MTU = 20;
/** Front-end request: the socket of the back end's channel; once SET_SLAVE_REQ_FD. */
export const VHOST_USER_SET_BACKEND_REQ_FD = 21;
/** Front-end request: a change of the IOTLB. */
export const VHOST_USER_IOTLB_MSG = 22;
/** Front-end request: a queue's byte order. */
export const VHOST_USER_SET_VRING_ENDIAN = 23;
/** Front-end request: a piece of configuration space. */
export const VHOST_USER_GET_CONFIG = 24;
/** Front-end request: a write to configuration space. */
export const VHOST_USER_SET_CONFIG = 25;
/** Front-end request: a crypto session is opened. */
export const VHOST_USER_CREATE_CRYPTO_SESSION = 26;
/** Front-end request: a crypto session is closed. */
export const VHOST_USER_CLOSE_CRYPTO_SESSION = 27;
/** Front-end request: a postcopy migration is under way. */
export const VHOST_USER_POSTCOPY_ADVISE = 28;
/** Front-end request: pages will be missing from here on. */
export const VHOST_USER_POSTCOPY_LISTEN = 29;
/** Front-end request: no page is missing any more. */
export const VHOST_USER_POSTCOPY_END = 30;
/** Front-end request: make a record of what is in flight. */
export const VHOST_USER_GET_INFLIGHT_FD = 31;
/** Front-end request: the record of what was in flight. */
export const VHOST_USER_SET_INFLIGHT_FD = 32;
/** Front-end request: the socket of the GPU protocol. */
export const VHOST_USER_GPU_SET_SOCKET = 33;
/** Front-end request: back to the initial state. */
export const VHOST_USER_RESET_DEVICE = 34;
/** Front-end request: a kick as a message. */
export const VHOST_USER_VRING_KICK = 35;
/** Front-end request: how many regions there may be. */
export const VHOST_USER_GET_MAX_MEM_SLOTS = 36;
/** Front-end request: one more region. */
export const VHOST_USER_ADD_MEM_REG = 37;
/** Front-end request: one region less. */
export const VHOST_USER_REM_MEM_REG = 38;
/** Front-end request: the device status. */
export const VHOST_USER_SET_STATUS = 39;
/** Front-end request: the device status as the back end has it. */
export const VHOST_USER_GET_STATUS = 40;
/** Front-end request: a shared object's file descriptor. */
export const VHOST_USER_GET_SHARED_OBJECT = 41;
/** Front-end request: the pipe for device state. */
export const VHOST_USER_SET_DEVICE_STATE_FD = 42;
/** Front-end request: whether device state went through. */
export const VHOST_USER_CHECK_DEVICE_STATE = 43;

/** Back-end request: a miss, or a failed access. */
export const VHOST_USER_BACKEND_IOTLB_MSG = 1;
/** Back-end request: configuration space has changed. */
export const VHOST_USER_BACKEND_CONFIG_CHANGE_MSG = 2;
/** Back-end request: a doorbell that the guest may write directly. */
export const VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG = 3;
/** Back-end request: a call as a message. */
export const VHOST_USER_BACKEND_VRING_CALL = 4;
/** Back-end request: a queue is broken, as a message. */
export const VHOST_USER_BACKEND_VRING_ERR = 5;
/** Back-end request: a shared object is there. */
export const VHOST_USER_BACKEND_SHARED_OBJECT_ADD = 6;
/** Back-end request: a shared object is gone. */
export const VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE = 7;
/** Back-end request: whose shared object is it. */
export const VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP = 8;
