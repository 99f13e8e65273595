import { expect, it } from "vitest";
import { IOTLB_RING_BYTES, IotlbRing } from "../../src/iova/iotlb-ring.js";
import { VHOST_ACCESS_RW, VHOST_IOTLB_MISS } from "../../src/layout/vhost.js";
import { RealMemory } from "../../src/memory/real-memory.js";

const message = (iova: number) => ({ iova, size: 1, uaddr: 0, perm: VHOST_ACCESS_RW, type: VHOST_IOTLB_MISS });

it("goes on, at either end, where whoever had that end before left off", () => {
  const memory = new RealMemory(new ArrayBuffer(IOTLB_RING_BYTES));
  const [sender, receiver] = [new IotlbRing(memory, 0), new IotlbRing(memory, 0)];
  for (let i = 1; i <= 70; i++) {
    expect(sender.send(message(i))).toBe(true);
    if (i <= 68) receiver.receive();
  }
  const [nextSender, nextReceiver] = [new IotlbRing(memory, 0), new IotlbRing(memory, 0)];
  expect([nextSender.drained(), nextSender.send(message(71))]).toEqual([false, true]);
  const received: number[] = [];
  while (nextReceiver.receive()) received.push(nextReceiver.message.iova);
  expect(received).toEqual([69, 70, 71]);
  expect(nextSender.drained()).toBe(true);
});
