import { expect, it } from "vitest";
import { IOTLB_RING_BYTES, type IotlbMessage, IotlbRing } from "../../src/iova/iotlb-ring.js";
import {
  VHOST_ACCESS_RO,
  VHOST_ACCESS_RW,
  VHOST_IOTLB_ACCESS_FAIL,
  VHOST_IOTLB_MISS,
  VHOST_IOTLB_UPDATE,
} from "../../src/layout/vhost.js";
import { RealMemory } from "../../src/memory/real-memory.js";

const message = (iova: number) => ({ iova, size: 1, uaddr: 0, perm: VHOST_ACCESS_RW, type: VHOST_IOTLB_MISS });

function ends(memory = new RealMemory(new ArrayBuffer(IOTLB_RING_BYTES)), base = 0) {
  return { sender: new IotlbRing(memory, base), receiver: new IotlbRing(memory, base) };
}

it("goes on, at either end, where whoever had that end before left off", () => {
  const memory = new RealMemory(new ArrayBuffer(IOTLB_RING_BYTES));
  const { sender, receiver } = ends(memory);
  for (let i = 1; i <= 70; i++) {
    expect(sender.send(message(i))).toBe(true);
    if (i <= 68) receiver.receive();
  }
  const { sender: nextSender, receiver: nextReceiver } = ends(memory);
  expect([nextSender.drained(), nextSender.send(message(71))]).toEqual([false, true]);
  const received: number[] = [];
  while (nextReceiver.receive()) received.push(nextReceiver.message.iova);
  expect(received).toEqual([69, 70, 71]);
  expect(nextSender.drained()).toBe(true);
});

it("takes 64 messages, and refuses the next with nothing sent until one is received", () => {
  const { sender, receiver } = ends();
  expect([receiver.waiting(), receiver.receive()]).toEqual([false, false]);
  expect(receiver.message).toEqual({ iova: 0, size: 0, uaddr: 0, perm: 0, type: 0 });
  for (let i = 0; i < 64; i++) expect(sender.send(message(i))).toBe(true);
  expect([sender.send(message(64)), sender.state.sent, receiver.waiting()]).toEqual([false, 64, true]);
  expect([receiver.receive(), receiver.message.iova]).toEqual([true, 0]);
  expect([sender.send(message(65)), sender.send(message(66))]).toEqual([true, false]);
  const received: number[] = [];
  while (receiver.receive()) received.push(receiver.message.iova);
  expect(received).toEqual([...Array.from({ length: 63 }, (_, i) => i + 1), 65]);
  expect([receiver.receive(), receiver.waiting()]).toEqual([false, false]);
});

it("keeps all fields apart, with addresses up to the last below 2^53", () => {
  const { sender, receiver } = ends();
  const sent: IotlbMessage[] = [
    { iova: 2 ** 53 - 1, size: 2 ** 52, uaddr: 3 * 2 ** 40 + 5, perm: VHOST_ACCESS_RO, type: VHOST_IOTLB_UPDATE },
    { iova: 0xffff_ffff, size: 2 ** 32, uaddr: 2 ** 31, perm: 0, type: VHOST_IOTLB_ACCESS_FAIL },
  ];
  for (const one of sent) {
    expect(sender.send(one)).toBe(true);
    expect([receiver.receive(), { ...receiver.message }]).toEqual([true, one]);
  }
});

it("goes round: its indices wrap at 65 536", () => {
  const { sender, receiver } = ends();
  for (let i = 0; i < 65_600; i++) {
    if (!(sender.send(message(i)) && receiver.receive()) || receiver.message.iova !== i) expect.fail(`message ${i}`);
  }
  expect([sender.drained(), sender.state.sent, receiver.state.received]).toEqual([true, 64, 64]);
});

it("lays its records out as struct vhost_iotlb_msg, and writes nothing outside of its bytes", () => {
  const buffer = new ArrayBuffer(3 * IOTLB_RING_BYTES);
  const view = new DataView(buffer);
  const bytes = new Uint8Array(buffer);
  bytes.fill(0xa5);
  bytes.fill(0, IOTLB_RING_BYTES, 2 * IOTLB_RING_BYTES);
  const { sender, receiver } = ends(new RealMemory(buffer), IOTLB_RING_BYTES);
  const second = { iova: 0x1_2345_6000, size: 0x2_0000_1000, uaddr: 0x3_0000_0002, perm: 1, type: VHOST_IOTLB_UPDATE };
  expect(sender.send(message(7)) && sender.send(second)).toBe(true);
  const record = IOTLB_RING_BYTES + 128 + 32;
  expect([0, 8, 16].map((at) => Number(view.getBigUint64(record + at, true)))).toEqual([
    second.iova,
    second.size,
    second.uaddr,
  ]);
  expect([bytes[record + 24], bytes[record + 25]]).toEqual([second.perm, second.type]);
  expect([view.getUint16(IOTLB_RING_BYTES, true), view.getUint16(IOTLB_RING_BYTES + 64, true)]).toEqual([2, 0]);
  while (receiver.receive());
  expect(view.getUint16(IOTLB_RING_BYTES + 64, true)).toBe(2);
  for (let i = 0; i < 64; i++)
    sender.send({ iova: 2 ** 53 - 1, size: 2 ** 53 - 1, uaddr: 2 ** 53 - 1, perm: 3, type: 4 });
  const outside = [...bytes.subarray(0, IOTLB_RING_BYTES), ...bytes.subarray(2 * IOTLB_RING_BYTES)];
  expect(outside.every((byte) => byte === 0xa5)).toBe(true);
});
