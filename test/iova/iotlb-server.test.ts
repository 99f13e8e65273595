import { describe, expect, it } from "vitest";
import { IOTLB_RING_BYTES, type IotlbMessage, IotlbRing } from "../../src/iova/iotlb-ring.js";
import { IotlbServer } from "../../src/iova/iotlb-server.js";
import { IovaTree } from "../../src/iova/iova-tree.js";
import {
  VHOST_ACCESS_RO,
  VHOST_ACCESS_RW,
  VHOST_IOTLB_ACCESS_FAIL,
  VHOST_IOTLB_INVALIDATE,
  VHOST_IOTLB_MISS,
  VHOST_IOTLB_UPDATE,
} from "../../src/layout/vhost.js";
import { gpa, iova } from "../../src/memory/address.js";
import { RealMemory } from "../../src/memory/real-memory.js";

/** A server with the device's ends of its rings in a test's hands, and a tree of a guest and a host mapping. */
function bench() {
  const memory = new RealMemory(new ArrayBuffer(2 * IOTLB_RING_BYTES));
  const end = (which: number) => new IotlbRing(memory, which * IOTLB_RING_BYTES);
  const rung = { times: 0 };
  const toDevice = end(0);
  const server = new IotlbServer(toDevice, end(1), { ring: () => void rung.times++ }, ({ target }) =>
    target.kind === "guest" ? target.gpa + 1 : target.offset + 2,
  );
  const tree = new IovaTree({ first: iova(0), last: iova(2 ** 40 - 1) });
  tree.mapGuestAt(gpa(0x10_0000), 0x3000, iova(0x1000), VHOST_ACCESS_RO);
  tree.mapHostAt({ backing: 1, offset: 0x700 }, 0x1000, iova(0x8000), VHOST_ACCESS_RW);
  const [device, misses] = [end(0), end(1)];
  const miss = (address: number, type: number = VHOST_IOTLB_MISS) =>
    expect(misses.send({ iova: address, size: 1, uaddr: 0, perm: VHOST_ACCESS_RO, type })).toBe(true);
  const answers = () => {
    const list: IotlbMessage[] = [];
    while (device.receive()) list.push({ ...device.message });
    return list;
  };
  return { server, tree, toDevice, rung, miss, answers };
}

const invalidation = (address: number, size: number): IotlbMessage => ({
  iova: address,
  size,
  uaddr: 0,
  perm: VHOST_ACCESS_RW,
  type: VHOST_IOTLB_INVALIDATE,
});

describe("IotlbServer.poll()", () => {
  it("answers misses with the whole mapping, resolved, and rings once for all of them", () => {
    const { server, tree, rung, miss, answers } = bench();
    miss(0x3fff);
    miss(0x8000);
    expect([server.waiting(), server.poll(tree), server.waiting(), rung.times]).toEqual([true, true, false, 1]);
    expect(answers()).toEqual([
      { iova: 0x1000, size: 0x3000, uaddr: 0x10_0001, perm: VHOST_ACCESS_RO, type: VHOST_IOTLB_UPDATE },
      { iova: 0x8000, size: 0x1000, uaddr: 0x702, perm: VHOST_ACCESS_RW, type: VHOST_IOTLB_UPDATE },
    ]);
  });

  it("refuses where nothing is mapped", () => {
    const { server, tree, miss, answers } = bench();
    miss(0x4000);
    expect(server.poll(tree)).toBe(true);
    expect(answers()).toEqual([{ iova: 0x4000, size: 1, uaddr: 0, perm: 0, type: VHOST_IOTLB_ACCESS_FAIL }]);
  });

  it("refuses an address of 2^53 or above", () => {
    const { server, tree, miss, answers } = bench();
    miss(2 ** 60);
    expect(server.poll(tree)).toBe(true);
    expect(answers().map(({ type }) => type)).toEqual([VHOST_IOTLB_ACCESS_FAIL]);
  });

  it("does nothing when nothing waits, and does not answer what is no miss", () => {
    const { server, tree, rung, miss, answers } = bench();
    expect([server.waiting(), server.poll(tree), rung.times]).toEqual([false, false, 0]);
    miss(0x1000, VHOST_IOTLB_UPDATE);
    expect([server.poll(tree), answers()]).toEqual([true, []]);
  });
});

describe("IotlbServer.invalidate()", () => {
  it("sends the range, rings, and is drained once the device has received it", () => {
    const { server, rung, answers } = bench();
    expect(server.drained()).toBe(true);
    expect([server.invalidate(0x1000, 0x3000), rung.times, server.drained()]).toEqual([true, 1, false]);
    expect([server.invalidateAll(), rung.times]).toEqual([true, 2]);
    expect(answers()).toEqual([invalidation(0x1000, 0x3000), invalidation(0, 2 ** 52)]);
    expect(server.drained()).toBe(true);
  });

  it("says false while the ring is full, and true again when there is room", () => {
    const { server, toDevice, answers } = bench();
    while (toDevice.send(invalidation(1, 1)));
    expect([server.invalidate(0x1000, 1), server.invalidateAll()]).toEqual([false, false]);
    answers();
    expect(server.invalidate(0x1000, 1)).toBe(true);
  });
});
