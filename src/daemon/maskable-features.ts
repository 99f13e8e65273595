import { VHOST_F_LOG_ALL } from "../layout/vhost.js";
import * as config from "../layout/virtio-config.js";
import { VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC } from "../layout/virtio-ring.js";

/** A feature that can be taken from the back end's offer. */
export interface MaskableFeature {
  /** The constant's name in lower case, without its prefix. */
  readonly name: string;
  readonly bit: number;
  /** Whether it is one of GET_FEATURES or of GET_PROTOCOL_FEATURES. */
  readonly of: "features" | "protocol";
}

/** Protocol features of vhost-user by bit. */
const PROTOCOL_NAMES = [
  "mq",
  "log_shmfd",
  "rarp",
  "reply_ack",
  "net_mtu",
  "backend_req",
  "cross_endian",
  "crypto_session",
  "pagefault",
  "config",
  "backend_send_fd",
  "host_notifier",
  "inflight_shmfd",
  "reset_device",
  "inband_notifications",
  "configure_mem_slots",
  "status",
  "xen_mmap",
  "shared_object",
  "device_state",
] as const;

/** What --mask-backend-features can name; "bit_N" stands for feature bit N of a device type. */
export const MASKABLE_FEATURES: readonly MaskableFeature[] = [
  feature("log_all", VHOST_F_LOG_ALL),
  feature("indirect_desc", VIRTIO_RING_F_INDIRECT_DESC),
  feature("event_idx", VIRTIO_RING_F_EVENT_IDX),
  feature("notify_on_empty", config.VIRTIO_F_NOTIFY_ON_EMPTY),
  feature("any_layout", config.VIRTIO_F_ANY_LAYOUT),
  feature("version_1", config.VIRTIO_F_VERSION_1),
  feature("access_platform", config.VIRTIO_F_ACCESS_PLATFORM),
  feature("ring_packed", config.VIRTIO_F_RING_PACKED),
  feature("in_order", config.VIRTIO_F_IN_ORDER),
  feature("order_platform", config.VIRTIO_F_ORDER_PLATFORM),
  feature("notification_data", config.VIRTIO_F_NOTIFICATION_DATA),
  feature("notif_config_data", config.VIRTIO_F_NOTIF_CONFIG_DATA),
  feature("ring_reset", config.VIRTIO_F_RING_RESET),
  ...PROTOCOL_NAMES.map((name, bit) => ({ name, bit, of: "protocol" as const })),
];

/** The feature with a name of MASKABLE_FEATURES or "bit_0" to "bit_63"; undefined when there is none. */
export function maskableFeature(name: string): MaskableFeature | undefined {
  const bit = /^bit_(\d{1,2})$/.exec(name)?.[1];
  if (bit !== undefined && Number(bit) < 64) return { name, bit: Number(bit), of: "features" };
  return MASKABLE_FEATURES.find((candidate) => candidate.name === name);
}

function feature(name: string, bit: number): MaskableFeature {
  return { name, bit, of: "features" };
}
