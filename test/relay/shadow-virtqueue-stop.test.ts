import { describe, expect, test } from "vitest";
import { PeerFault } from "../../src/ring/peer-fault.js";
import { HandRings } from "../helpers/hand-rings.js";

/** Offers heads 0 to 7 in an order of its own, one descriptor each. */
function loaded(start = { lastAvailIdx: 0, usedIdx: 0 }, heads = [5, 2, 7, 0, 3]): HandRings {
  const bench = new HandRings({ start });
  for (let head = 0; head < 8; head++) bench.chain(head, [{ address: 0x10000 + head * 64, bytes: 8, writable: true }]);
  bench.offer(...heads);
  bench.relay.forwardAvail();
  return bench;
}

describe("stop()", () => {
  test("takes back what the device never fetched: base and used index meet, every descriptor is free (D07, D08)", () => {
    for (const start of [
      { lastAvailIdx: 0, usedIdx: 0 },
      { lastAvailIdx: 65_534, usedIdx: 65_534 },
      { lastAvailIdx: 9, usedIdx: 9 },
    ]) {
      for (let fetched = 0; fetched <= 5; fetched++) {
        const bench = loaded(start);
        const heads = bench.newHeads();
        bench.use(...heads.slice(0, fetched).map((head): [number, number] => [head, 8]));
        bench.relay.drain();
        const base = bench.relay.stop({ lastAvailIdx: fetched, usedIdx: fetched });
        const wanted = (start.lastAvailIdx + fetched) & 0xffff;
        expect(base).toEqual({ lastAvailIdx: wanted, usedIdx: wanted });
        expect(bench.books()).toMatchObject({ free: 8, inFlight: 0, problems: [] });
      }
    }
  });

  test("goes by identity: completions out of order among those fetched leave no gap", () => {
    const bench = loaded();
    const heads = bench.newHeads();
    bench.use([heads[2]!, 8], [heads[0]!, 8], [heads[1]!, 8]);
    bench.relay.drain();
    expect(bench.relay.stop({ lastAvailIdx: 3, usedIdx: 3 })).toEqual({ lastAvailIdx: 3, usedIdx: 3 });
    expect([0, 1, 2].map((i) => bench.usedEntry(i).id)).toEqual([7, 5, 2]);
  });

  test("a device that keeps a chain it fetched is refused: its place in the ring would be lost", () => {
    const bench = loaded();
    const heads = bench.newHeads();
    bench.use([heads[1]!, 8]);
    bench.relay.drain();
    expect(() => bench.relay.stop({ lastAvailIdx: 2, usedIdx: 1 })).toThrow(/used-idx-overrun/);
  });

  test("a device that lies about its index is refused at every distance", () => {
    for (let lie = 0; lie < 65_536; lie += 67) {
      const bench = loaded();
      const honest = lie === 0;
      if (honest) expect(bench.relay.stop({ lastAvailIdx: 0, usedIdx: 0 }).lastAvailIdx).toBe(0);
      else expect(() => bench.relay.stop({ lastAvailIdx: lie, usedIdx: 0 })).toThrow(PeerFault);
    }
  });

  test("a guest that has changed its ring meanwhile is found, at each of its entries", () => {
    for (let entry = 1; entry < 5; entry++) {
      for (const head of [1, 8, 0xffff]) {
        const bench = loaded();
        const heads = bench.newHeads();
        bench.use([heads[0]!, 8]);
        bench.relay.drain();
        bench.guestRam.write16(bench.guest.avail + 4 + entry * 2, head);
        expect(() => bench.relay.stop({ lastAvailIdx: 1, usedIdx: 1 })).toThrow(/guest-ring-changed/);
      }
    }
  });

  test("a guest that has swapped two heads in flight is found: both are in flight, but not there", () => {
    const bench = loaded();
    bench.guestRam.write16(bench.guest.avail + 4 + 2, 7);
    bench.guestRam.write16(bench.guest.avail + 4 + 4, 2);
    expect(() => bench.relay.stop({ lastAvailIdx: 0, usedIdx: 0 })).toThrow(/guest-ring-changed/);
  });

  test("a rewind by count would hand one chain out twice and lose another (twin)", () => {
    const bench = loaded();
    const heads = bench.newHeads();
    bench.use([heads[2]!, 8]);
    bench.relay.drain();
    // A, B, C taken and C used: what a count leaves is entry 1 to 4, of which C was used and A is not among them.
    const byCount = bench.relay.state.lastAvailIdx - bench.relay.inFlight;
    const again = [5, 2, 7, 0, 3].slice(byCount);
    expect(again).toContain(bench.usedEntry(0).id);
    expect(again).not.toContain(5);
  });

  test("a held chain was never taken and stays where it is", () => {
    const bench = new HandRings({ shadowNum: 2 });
    for (let head = 0; head < 4; head++) bench.chain(head, [{ address: 0x10000, bytes: 8 }]);
    bench.offer(0, 1, 2, 3);
    while (bench.relay.step());
    expect(bench.relay.state.holding).toBe(1);
    bench.use([bench.newHeads()[0]!, 0]);
    bench.relay.drain();
    expect(bench.relay.stop({ lastAvailIdx: 1, usedIdx: 1 })).toEqual({ lastAvailIdx: 1, usedIdx: 1 });
    expect(bench.books()).toMatchObject({ free: 2, problems: [] });
  });
});
