/** The network device, as in linux/virtio_net.h (VIRTIO 1.3, 5.1). Offsets and sizes are bytes; little-endian. */

/** What a packet starts with on a legacy device without MRG_RXBUF, and on a tap device by default. */
export const VIRTIO_NET_HDR = {
  size: 10,
  offsets: { flags: 0, gso_type: 1, hdr_len: 2, gso_size: 4, csum_start: 6, csum_offset: 8 },
} as const;

/** What a packet starts with once VERSION_1 is agreed, in both directions (VIRTIO 1.3, 5.1.6). */
export const VIRTIO_NET_HDR_V1 = {
  size: 12,
  offsets: { flags: 0, gso_type: 1, hdr_len: 2, gso_size: 4, csum_start: 6, csum_offset: 8, num_buffers: 10 },
} as const;

/** Flag of a packet: its checksum from `csum_start` on is still to be computed. */
export const VIRTIO_NET_HDR_F_NEEDS_CSUM = 1;
/** Flag of a received packet: its checksum has been verified. */
export const VIRTIO_NET_HDR_F_DATA_VALID = 2;

/** Segmentation type: none. */
export const VIRTIO_NET_HDR_GSO_NONE = 0;
/** Segmentation type: TCP over IPv4. */
export const VIRTIO_NET_HDR_GSO_TCPV4 = 1;
/** Segmentation type: UDP fragments. */
export const VIRTIO_NET_HDR_GSO_UDP = 3;
/** Segmentation type: TCP over IPv6. */
export const VIRTIO_NET_HDR_GSO_TCPV6 = 4;
/** Flag added to a TCP segmentation type: the segment carries ECN. */
export const VIRTIO_NET_HDR_GSO_ECN = 0x80;

/** Feature bit number: the device takes packets without checksum (VIRTIO 1.3, 5.1.3, as for all below). */
export const VIRTIO_NET_F_CSUM = 0;
/** Feature bit number: the driver takes packets without checksum. */
export const VIRTIO_NET_F_GUEST_CSUM = 1;
/** Feature bit number: the device tells the MTU it prefers. */
export const VIRTIO_NET_F_MTU = 3;
/** Feature bit number: the device tells its MAC address. */
export const VIRTIO_NET_F_MAC = 5;
/** Feature bit number: the driver takes unsegmented TCP over IPv4. */
export const VIRTIO_NET_F_GUEST_TSO4 = 7;
/** Feature bit number: the driver takes unsegmented TCP over IPv6. */
export const VIRTIO_NET_F_GUEST_TSO6 = 8;
/** Feature bit number: the device takes unsegmented TCP over IPv4. */
export const VIRTIO_NET_F_HOST_TSO4 = 11;
/** Feature bit number: the device takes unsegmented TCP over IPv6. */
export const VIRTIO_NET_F_HOST_TSO6 = 12;
/** Feature bit number: a received packet may fill `num_buffers` chains. */
export const VIRTIO_NET_F_MRG_RXBUF = 15;
/** Feature bit number: the device tells its link status. */
export const VIRTIO_NET_F_STATUS = 16;
/** Feature bit number: there is a control queue. */
export const VIRTIO_NET_F_CTRL_VQ = 17;
/** Feature bit number: there may be several queue pairs. */
export const VIRTIO_NET_F_MQ = 22;
