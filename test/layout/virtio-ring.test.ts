import { expect, test } from "vitest";
import { featureBit, VIRTIO_F_SUSPEND, VIRTIO_F_VERSION_1 } from "../../src/layout/virtio-config.js";
import { isQueueSize } from "../../src/layout/virtio-ring.js";

test.each([0, -1, -2, 1.5, 3, 32767, 65536, 2 ** 32, 2 ** 32 + 1, Number.NaN, Number.POSITIVE_INFINITY])(
  "isQueueSize() refuses %d",
  (num) => {
    expect(isQueueSize(num)).toBe(false);
  },
);

test("featureBit() gives masks beyond 32 bits", () => {
  expect(featureBit(0)).toBe(1n);
  expect(featureBit(VIRTIO_F_VERSION_1)).toBe(0x1_0000_0000n);
  expect(featureBit(VIRTIO_F_SUSPEND)).toBe(0x800_0000_0000n);
});
