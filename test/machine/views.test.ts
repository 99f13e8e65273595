/** What memory each party of a machine is given. */
import { describe, expect, it } from "vitest";
import { allocateArena } from "../../src/machine/arena.js";
import { DEFAULT_CONFIG, PLACEMENTS } from "../../src/machine/config.js";
import { deviceShare, deviceViews, relayViews } from "../../src/machine/views.js";
import { LocalMemory } from "../../src/memory/local-memory.js";
import type { SharedMemory } from "../../src/memory/shared-memory.js";

const arena = allocateArena({ ...DEFAULT_CONFIG, ramBytes: 2 ** 22 });

function withoutAtomics(memories: readonly SharedMemory[]): number {
  return memories.filter((memory) => memory instanceof LocalMemory).length;
}

describe.each(PLACEMENTS)("a machine placed as %s", (placement) => {
  const relay = relayViews(arena, placement);
  const device = deviceViews(deviceShare(arena), placement);
  const alone = placement === "fused" ? 1 : 0;

  it("goes without atomics in the shadow rings where relay and device share a thread, and nowhere else", () => {
    expect(withoutAtomics([relay.shadowRings])).toBe(alone);
    expect(withoutAtomics(device.backings)).toBe(alone);
    expect(device.backings.at(-1) instanceof LocalMemory).toBe(alone === 1);
    const shared = [relay.guestRegisters, relay.deviceRegisters, relay.notifiers, relay.iotlb, relay.log];
    const guest = relay.regions.map(({ memory }) => memory);
    expect(withoutAtomics([...shared, ...guest, device.deviceRegisters, device.notifiers, device.iotlb])).toBe(0);
  });
});
