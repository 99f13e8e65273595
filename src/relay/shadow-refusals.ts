import { VIRTIO_F_RING_RESET, VIRTIO_F_SUSPEND, VIRTIO_F_VERSION_1 } from "../layout/virtio-config.js";
import { hasFeature, shadowableFeatures } from "../transport/features.js";

/** Why a shadow virtqueue cannot be put in the way of a device that runs. */
export interface ShadowRefusal {
  readonly name: string;
  /** One sentence, for people. */
  readonly reason: string;
}

/** What is known of a device and its guest. */
export interface ShadowedDevice {
  /** Features that the guest has accepted. */
  readonly accepted: bigint;
  /** Features that the device offers. */
  readonly offered: bigint;
  /** 1 while the guest's queues are processed; before that nothing has to be taken over. */
  readonly running: number;
}

/**
 * Checks whether software can take a device's queues over for a migration (vDPA software assisted live migration RFC,
 * can-sw-lm); every reason against it, none when it can.
 */
export function shadowRefusals({ accepted, offered, running }: ShadowedDevice): ShadowRefusal[] {
  if (running === 0) return [];
  const refused: ShadowRefusal[] = [];
  if (!hasFeature(accepted, VIRTIO_F_VERSION_1)) {
    refused.push({
      name: "svq-needs-version-1",
      reason: "a legacy ring cannot be shadowed: VERSION_1 is not accepted",
    });
  }
  for (const { bit, name, why } of shadowableFeatures(accepted, false).refused) {
    if (hasFeature(accepted, bit)) refused.push({ name: `svq-refuses-${name}`, reason: why });
  }
  if (!hasFeature(offered, VIRTIO_F_SUSPEND)) {
    refused.push({
      name: "svq-needs-suspend",
      reason: "the device cannot rest (SUSPEND), so its state cannot be read",
    });
  }
  if (!hasFeature(offered, VIRTIO_F_RING_RESET)) {
    refused.push({ name: "svq-needs-ring-reset", reason: "the device does not give a queue back (RING_RESET)" });
  }
  return refused;
}
