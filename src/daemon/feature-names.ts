import { VHOST_F_LOG_ALL } from "../layout/vhost.js";
import * as vhostUser from "../layout/vhost-user.js";
import * as virtioConfig from "../layout/virtio-config.js";
import { VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC } from "../layout/virtio-ring.js";

const PROTOCOL_PREFIX = "VHOST_USER_PROTOCOL_F_";
const CONFIG_PREFIX = "VIRTIO_F_";

/** Names of features that all device types share, by bit; bits below 24 are the device type's own. */
export const FEATURE_NAMES_BY_BIT: ReadonlyMap<number, string> = new Map([
  ...prefixed(virtioConfig, CONFIG_PREFIX),
  [VIRTIO_RING_F_INDIRECT_DESC, "INDIRECT_DESC"],
  [VIRTIO_RING_F_EVENT_IDX, "EVENT_IDX"],
  [VHOST_F_LOG_ALL, "LOG_ALL"],
  [vhostUser.VHOST_USER_F_PROTOCOL_FEATURES, "PROTOCOL_FEATURES"],
]);

/** Names of vhost-user's protocol features, by bit. */
export const PROTOCOL_FEATURE_NAMES: ReadonlyMap<number, string> = new Map(prefixed(vhostUser, PROTOCOL_PREFIX));

function prefixed(module: object, prefix: string): [number, string][] {
  return Object.entries(module)
    .filter(([name, value]) => name.startsWith(prefix) && typeof value === "number")
    .map(([name, bit]) => [bit as number, name.slice(prefix.length)]);
}
