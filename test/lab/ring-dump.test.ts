import { describe, expect, test } from "vitest";
import { describeMachine, whoIsStuck } from "../../src/lab/ring-dump.js";
import { descTableBytes, usedEventOffset } from "../../src/layout/virtio-ring.js";
import { allocateArena, COUNTER_BLOCKS, shadowRingPlaces } from "../../src/machine/arena.js";
import { guestLayout } from "../../src/machine/assemble.js";
import { DEFAULT_CONFIG, type MachineConfig } from "../../src/machine/config.js";
import { RealMemory } from "../../src/memory/real-memory.js";
import { COUNTERS, counterBlock } from "../../src/telemetry/counters.js";

const SVQ: MachineConfig = { ...DEFAULT_CONFIG, ramBytes: 2 ** 22, queueSize: 16, depth: 4, queues: 2 };

/** A machine's memory in which the words of its rings are set by hand. */
function byHand(config: MachineConfig) {
  const arena = allocateArena(config);
  const guest = new RealMemory(arena.regions[0]!.buffer);
  const shadow = new RealMemory(arena.shadowRings);
  return {
    arena,
    guest(queue: number, availIdx: number, usedIdx: number): void {
      const { avail, used } = guestLayout(config)[queue]!;
      guest.publish16(avail + 2, availIdx);
      guest.publish16(avail + usedEventOffset(config.queueSize), 77);
      guest.publish16(used + 2, usedIdx);
    },
    shadow(queue: number, availIdx: number, usedIdx: number): void {
      const { driverArea, deviceArea } = shadowRingPlaces(config)[queue]!;
      const num = config.shadowQueueSize || config.queueSize;
      shadow.publish16(driverArea.offset + descTableBytes(num) + 2, availIdx);
      shadow.publish16(deviceArea.offset + 2, usedIdx);
    },
    who: () => whoIsStuck(config, arena),
  };
}

describe("whoIsStuck()", () => {
  test("the device, while a shadow ring holds what it has not used", () => {
    for (const shadowQueueSize of [0, 4]) {
      const hand = byHand({ ...SVQ, shadowQueueSize });
      hand.guest(1, 9, 4);
      hand.shadow(1, 7, 4);
      expect(hand.who()).toBe("device holds 3 chains of the shadow ring");
    }
  });

  test("the relay, when the shadow rings are even and the guest's are not", () => {
    const hand = byHand(SVQ);
    hand.guest(1, 2, 0xfffe);
    hand.shadow(1, 5, 5);
    expect(hand.who()).toBe("relay holds 4 chains of the guest's ring");
  });

  test("the device, where the guest's ring is the device's", () => {
    for (const path of ["passthrough", "notify"] as const) {
      const hand = byHand({ ...SVQ, path, iovaPolicy: "gpa" });
      hand.guest(0, 3, 1);
      // Left over from another path, and not looked at.
      hand.shadow(0, 9, 1);
      expect(hand.who()).toBe("device holds 2 chains of the guest's ring");
    }
  });

  test("the driver, when everything was used", () => {
    const hand = byHand(SVQ);
    hand.guest(0, 5, 5);
    expect(hand.who()).toMatch(/^driver has not taken/);
  });
});

describe("describeMachine()", () => {
  test("is one line with every ring and every role", () => {
    const hand = byHand(SVQ);
    hand.guest(0, 3, 1);
    hand.shadow(1, 2, 1);
    const driver = counterBlock(hand.arena.counters, COUNTER_BLOCKS.driver);
    driver[COUNTERS.progress] = 11;
    driver[COUNTERS.timeouts] = 2;
    const text = describeMachine(SVQ, hand.arena);
    expect(text).not.toContain("\n");
    expect(text).toContain("guest ring 0: avail.idx 3 flags 0 used_event 77 | used.idx 1 flags 0 avail_event 0");
    expect(text).toContain("shadow ring 1: avail.idx 2 flags 0 used_event 0 | used.idx 1");
    expect(text).toContain("driver: 11 busy turns, 0 sleeps, 2 timeouts");
    expect(text.match(/(guest|shadow) ring \d/g)).toEqual([
      "guest ring 0",
      "guest ring 1",
      "shadow ring 0",
      "shadow ring 1",
    ]);
  });
});
