import { describe, expect, test } from "vitest";
import { availEventOffset } from "../../src/layout/virtio-ring.js";
import { armKicks } from "../../src/ring/notification.js";
import { type HandOptions, HandRings } from "../helpers/hand-rings.js";
import { AmbushMemory } from "../helpers/odd-memory.js";

function bench(options: HandOptions): HandRings {
  const made = new HandRings(options);
  for (let head = 0; head < made.guest.num; head++) made.chain(head, [{ address: 0x10000, bytes: 8, writable: true }]);
  return made;
}

describe("flags", () => {
  test("kicks the device unless it asks not to be kicked, once for each batch (NOTIF-12, NOTIF-13, TOL-05, D03)", () => {
    const rings = bench({});
    rings.offer(0, 1, 2);
    rings.relay.step();
    expect(rings.kicks).toBe(1);
    rings.setShadowUsedFlags(1);
    rings.offer(3);
    rings.relay.step();
    expect([rings.kicks, rings.counter("relayKicks"), rings.counter("availBatches")]).toEqual([1, 1, 2]);
    rings.setShadowUsedFlags(0);
    rings.offer(4);
    rings.relay.step();
    expect(rings.kicks).toBe(2);
  });

  test("calls the guest unless it asks not to be called, once for each batch (NOTIF-05, NOTIF-06, TOL-04, D03)", () => {
    const rings = bench({});
    rings.offer(0, 1, 2, 3);
    rings.relay.step();
    rings.use([0, 8], [1, 8]);
    rings.relay.step();
    expect(rings.calls).toBe(1);
    rings.setAvailFlags(1);
    rings.use([2, 8]);
    rings.relay.step();
    expect([rings.calls, rings.counter("relayCalls"), rings.counter("usedBatches")]).toEqual([1, 1, 2]);
  });

  test("asks both sides not to notify while it works, and both to notify when it is armed", () => {
    const rings = bench({});
    rings.relay.step();
    expect([rings.usedFlags, rings.shadowAvailFlags]).toEqual([1, 1]);
    expect(rings.relay.arm()).toBe(true);
    expect([rings.usedFlags, rings.shadowAvailFlags]).toEqual([0, 0]);
  });
});

describe("event indices", () => {
  test("kicks the device exactly when its event index is passed, over the wrap of 16 bits (NOTIF-15, NOTIF-16)", () => {
    const rings = bench({ eventIdx: true });
    let kicks = 0;
    for (let round = 0; round < 70_000; round++) {
      const event = round % 3 === 0 ? round : round - 1;
      rings.setShadowAvailEvent(event & 0xffff);
      rings.offer(round % 8);
      rings.relay.forwardAvail();
      if (round % 3 === 0) kicks += 1;
      rings.use([rings.newHeads()[0]!, 8]);
      rings.relay.forwardUsed();
    }
    expect(rings.kicks).toBe(kicks);
  });

  test("calls the guest exactly when its event index is passed, also in the midst of a batch (NOTIF-08, NOTIF-09)", () => {
    for (let event = 0; event < 8; event++) {
      const rings = bench({ eventIdx: true });
      rings.offer(0, 1, 2, 3, 4, 5);
      rings.relay.forwardAvail();
      rings.setUsedEvent(event);
      rings.use([0, 0], [1, 0]);
      rings.relay.forwardUsed();
      rings.use([2, 0], [3, 0], [4, 0]);
      rings.relay.forwardUsed();
      expect(rings.calls, `used_event ${event}`).toBe(event < 5 ? 1 : 0);
    }
  });

  test("arms at the entry after the last one taken, on both sides; leaves the event words behind at work", () => {
    const rings = bench({ eventIdx: true });
    rings.offer(0, 1, 2);
    rings.relay.step();
    expect(rings.relay.arm()).toBe(true);
    expect([rings.availEvent, rings.shadowUsedEvent]).toEqual([3, 0]);
    rings.use([0, 0], [1, 0]);
    rings.relay.step();
    expect([rings.availEvent, rings.shadowUsedEvent]).toEqual([3, 0]);
    expect(rings.relay.arm()).toBe(true);
    expect([rings.availEvent, rings.shadowUsedEvent]).toEqual([3, 2]);
    expect([rings.usedFlags, rings.shadowAvailFlags]).toEqual([0, 0]);
  });
});

describe("arm()", () => {
  for (const eventIdx of [false, true]) {
    const mode = eventIdx ? "event index" : "flags";

    test(`arms, then looks again: never sleeps through an entry of either side (${mode})`, () => {
      for (const side of ["guest", "device"] as const) {
        let strike = () => {};
        const wrap = (memory: ConstructorParameters<typeof AmbushMemory>[0]) =>
          new AmbushMemory(memory, () => strike());
        const rings = bench({ eventIdx, ...(side === "guest" ? { wrapGuest: wrap } : { wrapShadow: wrap }) });
        rings.offer(0);
        while (rings.relay.step());
        // The peer acts at the very moment at which it is asked to notify, when its last look has found no wish.
        strike = () => {
          strike = () => {};
          if (side === "guest") rings.offer(1);
          else rings.use([0, 0]);
        };
        expect(rings.relay.arm()).toBe(false);
        expect(rings.relay.step()).toBe(true);
      }
    });

    test(`looks, then arms: does (${mode}, twin)`, () => {
      let strike = () => {};
      const rings = bench({ eventIdx, wrapGuest: (memory) => new AmbushMemory(memory, () => strike()) });
      const idxAt = rings.guest.avail + 2;
      const wrong = () => {
        const waiting = rings.guestRam.observe16(idxAt) !== rings.relay.state.lastAvailIdx;
        armKicks({ ...rings.guest, usedMemory: new AmbushMemory(rings.guestRam, () => strike()) }, eventIdx, 0);
        return !waiting;
      };
      strike = () => rings.offer(1);
      expect(wrong()).toBe(true);
      expect(rings.guestRam.observe16(idxAt)).toBe(1);
    });
  }

  test("does not ask for kicks while it holds a chain, and marks the word with which it asks", () => {
    const rings = bench({ num: 4, shadowNum: 1, eventIdx: true });
    rings.offer(0, 1);
    while (rings.relay.step());
    rings.takeDirty();
    expect(rings.relay.arm()).toBe(true);
    expect([rings.availEvent, rings.takeDirty()]).toEqual([0, []]);
    rings.use([0, 0]);
    while (rings.relay.step());
    rings.takeDirty();
    expect(rings.relay.arm()).toBe(true);
    expect(rings.availEvent).toBe(2);
    expect(rings.takeDirty()).toContain((rings.guest.used + availEventOffset(4)) >>> 12);
  });
});

test("a pass without entries publishes nothing, kicks nobody, calls nobody (NOTIF-03, NOTIF-19, TOL-10)", () => {
  for (const eventIdx of [false, true]) {
    const rings = bench({ eventIdx });
    rings.offer(0);
    while (rings.relay.step());
    rings.relay.arm();
    const before = new Uint8Array(rings.shadowRam.byteLength);
    rings.shadowRam.copyOut(0, before);
    const counts = () => [
      rings.kicks,
      rings.calls,
      rings.usedIdx,
      rings.counter("usedBatches"),
      rings.counter("availBatches"),
    ];
    const wanted = counts();
    for (let i = 0; i < 10; i++) {
      expect(rings.relay.forwardUsed()).toBe(false);
      expect(rings.relay.forwardAvail()).toBe(false);
    }
    const after = new Uint8Array(before.length);
    rings.shadowRam.copyOut(0, after);
    expect(after).toEqual(before);
    expect(counts()).toEqual(wanted);
  }
});
