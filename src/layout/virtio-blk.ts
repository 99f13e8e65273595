/** The block device, as in linux/virtio_blk.h (VIRTIO 1.3, 5.2). Offsets and sizes are bytes; little-endian. */

/** What a request starts with, device-readable; data and one status byte follow (VIRTIO 1.3, 5.2.6). */
export const VIRTIO_BLK_OUTHDR = { size: 16, offsets: { type: 0, ioprio: 4, sector: 8 } } as const;

/**
 * Configuration space up to and with the write-zeroes limits (VIRTIO 1.3, 5.2.4).
 *
 * `size` ends there, padding included; younger headers go on behind it. A field means nothing unless its feature is
 * offered, `capacity` excepted, which counts sectors.
 */
export const VIRTIO_BLK_CONFIG = {
  size: 60,
  offsets: {
    capacity: 0,
    size_max: 8,
    seg_max: 12,
    geometry: 16,
    blk_size: 20,
    physical_block_exp: 24,
    alignment_offset: 25,
    min_io_size: 26,
    opt_io_size: 28,
    wce: 32,
    num_queues: 34,
    max_discard_sectors: 36,
    max_discard_seg: 40,
    discard_sector_alignment: 44,
    max_write_zeroes_sectors: 48,
    max_write_zeroes_seg: 52,
    write_zeroes_may_unmap: 56,
  },
} as const;

/** Bytes of a sector, the unit of `sector` and `capacity` at any block size (VIRTIO 1.3, 5.2.4); no header name. */
export const VIRTIO_BLK_SECTOR_BYTES = 512;
/** Bytes of the answer to GET_ID; a shorter string is padded with zeros, a full one has none (VIRTIO 1.3, 5.2.6). */
export const VIRTIO_BLK_ID_BYTES = 20;

/** Request type: read. */
export const VIRTIO_BLK_T_IN = 0;
/** Request type: write. */
export const VIRTIO_BLK_T_OUT = 1;
/** Request type: make earlier writes durable. */
export const VIRTIO_BLK_T_FLUSH = 4;
/** Request type: tell the device's ID string. */
export const VIRTIO_BLK_T_GET_ID = 8;
/** Request type: forget ranges. */
export const VIRTIO_BLK_T_DISCARD = 11;
/** Request type: write zeros to ranges. */
export const VIRTIO_BLK_T_WRITE_ZEROES = 13;

/** Status byte: done. */
export const VIRTIO_BLK_S_OK = 0;
/** Status byte: the device or the driver made an error. */
export const VIRTIO_BLK_S_IOERR = 1;
/** Status byte: the device does not know this type. */
export const VIRTIO_BLK_S_UNSUPP = 2;

/** Feature bit number: `size_max` is valid (VIRTIO 1.3, 5.2.3, as for all below). */
export const VIRTIO_BLK_F_SIZE_MAX = 1;
/** Feature bit number: `seg_max` is valid. */
export const VIRTIO_BLK_F_SEG_MAX = 2;
/** Feature bit number: `geometry` is valid. */
export const VIRTIO_BLK_F_GEOMETRY = 4;
/** Feature bit number: the device is read-only. */
export const VIRTIO_BLK_F_RO = 5;
/** Feature bit number: `blk_size` is valid. */
export const VIRTIO_BLK_F_BLK_SIZE = 6;
/** Feature bit number: FLUSH is understood. */
export const VIRTIO_BLK_F_FLUSH = 9;
/** Feature bit number: the four topology fields after `blk_size` are valid. */
export const VIRTIO_BLK_F_TOPOLOGY = 10;
/** Feature bit number: `wce` can be read and written. */
export const VIRTIO_BLK_F_CONFIG_WCE = 11;
/** Feature bit number: `num_queues` is valid. */
export const VIRTIO_BLK_F_MQ = 12;
/** Feature bit number: DISCARD is understood and its limits are valid. */
export const VIRTIO_BLK_F_DISCARD = 13;
/** Feature bit number: WRITE_ZEROES is understood and its limits are valid. */
export const VIRTIO_BLK_F_WRITE_ZEROES = 14;
