import { VHOST_F_LOG_ALL } from "../../layout/vhost.js";
import * as vhostUser from "../../layout/vhost-user.js";
import * as virtioConfig from "../../layout/virtio-config.js";
import { VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC } from "../../layout/virtio-ring.js";

/** Names by bit; bits of features below 24 are the device type's own and have none. */
const NAMES = {
  features: new Map<number, string>([
    ...prefixed(virtioConfig, "VIRTIO_F_"),
    [VIRTIO_RING_F_INDIRECT_DESC, "INDIRECT_DESC"],
    [VIRTIO_RING_F_EVENT_IDX, "EVENT_IDX"],
    [VHOST_F_LOG_ALL, "LOG_ALL"],
    [vhostUser.VHOST_USER_F_PROTOCOL_FEATURES, "PROTOCOL_FEATURES"],
  ]),
  protocol: new Map<number, string>(prefixed(vhostUser, "VHOST_USER_PROTOCOL_F_")),
} as const;

/** The names of a set of features by their bits, as in the headers and without prefix; "bit N" where there is none. */
export function featureNames(bits: bigint, of: keyof typeof NAMES): string[] {
  const set = Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => ((bits >> BigInt(bit)) & 1n) === 1n);
  return set.map((bit) => NAMES[of].get(bit) ?? `bit ${bit}`);
}

function prefixed(module: object, prefix: string): [number, string][] {
  return Object.entries(module)
    .filter(([name, value]) => name.startsWith(prefix) && typeof value === "number")
    .map(([name, bit]) => [bit as number, name.slice(prefix.length)]);
}
