import { describe, expect, it } from "vitest";
import {
  availEventOffset,
  availRingBytes,
  descTableBytes,
  usedEventOffset,
  usedRingBytes,
} from "../../src/layout/virtio-ring.js";
import { checkedAreas } from "../../src/ring/vring-areas.js";
import { CANARY_BYTES, CanaryRing } from "./canary-ring.js";

describe.each([1, 2, 256])("CanaryRing of %i entries", (num) => {
  it("starts with zeroes where a driver clears, indices where they are wanted, and poison elsewhere", () => {
    const { areas, memory } = new CanaryRing(num, true, 0xfff0);
    expect(checkedAreas(areas)).toBe(areas);
    const words = [areas.avail, areas.avail + 2, areas.avail + usedEventOffset(num)];
    words.push(areas.used, areas.used + 2, areas.used + availEventOffset(num));
    expect(words.map((offset) => memory.read16(offset))).toEqual([0, 0xfff0, 0, 0, 0xfff0, 0]);
    expect([areas.desc, areas.avail + 4, areas.used + 4].map((offset) => memory.read16(offset))).toEqual(
      [1, 2, 3].map(() => 0xa5a5),
    );
  });

  it("sees a store just outside each area, and none just inside", () => {
    const places = new CanaryRing(num, true).areas;
    const extents = [
      { start: places.desc, bytes: descTableBytes(num) },
      { start: places.avail, bytes: availRingBytes(num) },
      { start: places.used, bytes: usedRingBytes(num) },
    ];
    const broken = (offset: number) => {
      const ring = new CanaryRing(num, true);
      ring.memory.copyIn(offset, new Uint8Array(1));
      return ring.brokenCanaries();
    };
    for (const { start, bytes } of extents) {
      expect(broken(start - 1)).toHaveLength(1);
      expect(broken(start + bytes)).toHaveLength(1);
      expect([...broken(start), ...broken(start + bytes - 1)]).toEqual([]);
    }
    expect(broken(0)).toEqual(["a byte before the descriptor table has changed"]);
    expect(CANARY_BYTES).toBeGreaterThanOrEqual(16);
  });

  it("sees each side store where it must not: in the other's area, in a word of the other mode", () => {
    for (const eventIdx of [true, false]) {
      const strays = (act: (ring: CanaryRing) => void) => {
        const ring = new CanaryRing(num, eventIdx);
        act(ring);
        return ring.strayStores();
      };
      const { desc, avail, used } = new CanaryRing(num, eventIdx).areas;
      const [usedEvent, availEvent] = [avail + usedEventOffset(num), used + availEventOffset(num)];
      const driver = [desc, avail + 2, avail + 4, eventIdx ? usedEvent : avail];
      const device = [used + 2, used + 4, eventIdx ? availEvent : used];
      const [notDriver, notDevice] = [eventIdx ? avail : usedEvent, eventIdx ? used : availEvent];
      for (const offset of [...driver, ...device, notDriver, notDevice]) {
        const byDriver = strays(({ driverSide }) => driverSide.availMemory.publish16(offset, 1));
        const byDevice = strays(({ deviceSide }) => deviceSide.usedMemory.write16(offset, 1));
        expect(byDriver.length, `driver at ${offset}`).toBe(driver.includes(offset) ? 0 : 1);
        expect(byDevice.length, `device at ${offset}`).toBe(device.includes(offset) ? 0 : 1);
      }
      expect(strays(({ deviceSide }) => deviceSide.descMemory.write32(desc, 1))).toEqual([
        `the device has stored to byte ${desc}, which is not its own`,
      ]);
      expect(strays(({ driverSide }) => driverSide.usedMemory.copyIn(used, new Uint8Array(4)))).toHaveLength(1);
    }
  });
});
