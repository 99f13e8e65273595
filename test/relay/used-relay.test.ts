import { describe, expect, test } from "vitest";
import { DirtyLog, logBytes } from "../../src/dirty/dirty-log.js";
import { VRING_DESC_F_INDIRECT, VRING_DESC_F_WRITE } from "../../src/layout/virtio-ring.js";
import { PAGE_BYTES } from "../../src/memory/address.js";
import { GuestMemory } from "../../src/memory/guest-memory.js";
import { RealMemory } from "../../src/memory/real-memory.js";
import { GuestMarks } from "../../src/relay/guest-marks.js";
import { UsedRelay } from "../../src/relay/used-relay.js";
import { vringOffsets } from "../../src/ring/vring-areas.js";
import { COUNTERS } from "../../src/telemetry/counters.js";

const NUM = 4;
const PAGES = 4;

/** A guest of four pages, its ring on the first, and a device that returns head 0 with `length` bytes written. */
function relayed(address: bigint, bytes: number, flags: number, length: number) {
  const buffers = [PAGES * PAGE_BYTES, PAGE_BYTES, logBytes(PAGES * PAGE_BYTES)].map((size) => new ArrayBuffer(size));
  const [memory, own, log] = buffers.map((buffer) => new RealMemory(buffer)) as [RealMemory, RealMemory, RealMemory];
  const view = new DataView(buffers[0]!);
  view.setBigUint64(0, address, true);
  view.setUint32(8, bytes, true);
  view.setUint16(12, flags, true);
  const counters = new Float64Array(Object.keys(COUNTERS).length);
  const dirty = new DirtyLog(log, 0, PAGES * PAGE_BYTES);
  const ring = vringOffsets(NUM, 0);
  const relay = new UsedRelay({
    guest: { num: NUM, ...ring, descMemory: memory, availMemory: memory, usedMemory: memory },
    mediated: { memory: own, used: 0 },
    guestMemory: new GuestMemory([{ gpa: 0, bytes: PAGES * PAGE_BYTES, memory }]),
    marks: new GuestMarks(dirty, "all-writable", ring.used, NUM, counters),
    indirect: true,
    guestCall: { signal: () => {} },
    counters,
    start: { lastAvailIdx: 0, usedIdx: 0 },
  });
  own.write32(8, length);
  own.publish16(2, 1);
  relay.step();
  const bitmap = new Uint32Array(1);
  dirty.take(bitmap);
  return { usedIdx: view.getUint16(ring.used + 2, true), pages: bitmap[0] };
}

/** The page of the ring itself, which every returned entry marks. */
const RING = 1;

describe("a chain that the device returned is passed on, whatever the guest has put into its descriptors", () => {
  test("a buffer inside guest memory is marked", () => {
    expect(relayed(BigInt(PAGE_BYTES), 2 * PAGE_BYTES, VRING_DESC_F_WRITE, 9)).toEqual({ usedIdx: 1, pages: RING | 6 });
  });

  test("of a buffer that runs out of guest memory what lies inside is marked", () => {
    const past = BigInt((PAGES - 1) * PAGE_BYTES + 8);
    expect(relayed(past, 0xffff_ffff, VRING_DESC_F_WRITE, 0)).toEqual({ usedIdx: 1, pages: RING | 8 });
  });

  test("a buffer or a table outside guest memory was none to the device either: returned, nothing marked", () => {
    for (const address of [BigInt(PAGES * PAGE_BYTES), 2n ** 52n, 2n ** 53n, 2n ** 64n - 1n]) {
      expect(relayed(address, 64, VRING_DESC_F_WRITE, 0)).toEqual({ usedIdx: 1, pages: RING });
      expect(relayed(address, 64, VRING_DESC_F_INDIRECT, 0)).toEqual({ usedIdx: 1, pages: RING });
    }
  });
});
