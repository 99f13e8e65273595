import { expect, test } from "vitest";
import {
  featureBit,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_SUSPEND,
  VIRTIO_F_VERSION_1,
} from "../../src/layout/virtio-config.js";
import { shadowRefusals } from "../../src/relay/shadow-refusals.js";

const ACCEPTED = featureBit(VIRTIO_F_VERSION_1);
const OFFERED = ACCEPTED | featureBit(VIRTIO_F_SUSPEND) | featureBit(VIRTIO_F_RING_RESET);

test("a device that can rest and give its queues back can be shadowed (D14)", () => {
  expect(shadowRefusals({ accepted: ACCEPTED, offered: OFFERED, running: 1 })).toEqual([]);
});

test.each([
  ["svq-needs-version-1", 0n, OFFERED],
  ["svq-refuses-RING_PACKED", ACCEPTED | featureBit(VIRTIO_F_RING_PACKED), OFFERED],
  ["svq-needs-suspend", ACCEPTED, OFFERED & ~featureBit(VIRTIO_F_SUSPEND)],
  ["svq-needs-ring-reset", ACCEPTED, OFFERED & ~featureBit(VIRTIO_F_RING_RESET)],
])("%s is a reason by its name", (name, accepted, offered) => {
  const refused = shadowRefusals({ accepted, offered, running: 1 });
  expect(refused.map((refusal) => refusal.name)).toEqual([name]);
  expect(refused[0]!.reason.length).toBeGreaterThan(10);
});

test("before the guest runs nothing has to be taken over, so nothing is refused", () => {
  expect(shadowRefusals({ accepted: 0n, offered: 0n, running: 0 })).toEqual([]);
});
