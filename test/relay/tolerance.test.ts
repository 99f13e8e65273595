import { describe, expect, it } from "vitest";
import type { DeviceModel } from "../../src/device/device-model.js";
import { NetDevice } from "../../src/device/net-device.js";
import type { SharedMemory } from "../../src/memory/shared-memory.js";
import { compositions } from "../helpers/hand-request.js";
import { type HandOptions, HandRings, wholeRamIova } from "../helpers/hand-rings.js";
import { testMachine } from "../helpers/inline-machine.js";
import { type Access, AmbushMemory, RecordingMemory } from "../helpers/odd-memory.js";

/** One writable element of 8 bytes at each head. */
function rings(options: HandOptions = {}): HandRings {
  const made = new HandRings(options);
  for (let head = 0; head < made.guest.num; head++) made.chain(head, [{ address: 0x10000, bytes: 8, writable: true }]);
  return made;
}

describe("a message of 16 bytes", () => {
  it("goes to the device as the same bytes, whichever way it is cut into 1 to 8 descriptors (SPLIT-02)", () => {
    const bench = new HandRings();
    const cuts = compositions(16, 8);
    expect(cuts.length).toBe(16_384);
    for (const [round, lengths] of cuts.entries()) {
      // No two pieces touch, so that each has an address of its own.
      const pieces = lengths.map((bytes, i) => ({ address: 0x10000 + i * 0x1003, bytes, writable: round % 2 === 1 }));
      bench.chain(0, pieces);
      bench.offer(0);
      bench.relay.forwardAvail();
      const [head] = bench.newHeads();
      const seen = bench.seen(head!).map(({ iova, bytes }) => [iova, bytes]);
      expect(seen).toEqual(pieces.map(({ address, bytes }) => [wholeRamIova(address), bytes]));
      bench.use([head!, 0]);
      bench.relay.forwardUsed();
    }
  });
});

describe("an event index", () => {
  it.each([
    ["the guest (TOL-06)", (bench: HandRings, event: number) => bench.setUsedEvent(event), "calls"],
    ["the device (TOL-07)", (bench: HandRings, event: number) => bench.setShadowAvailEvent(event), "kicks"],
  ] as const)("may be any of 65 536 values: left behind by %s", (_, leave, told) => {
    const bench = rings({ eventIdx: true });
    for (let event = 0; event < 65_536; event++) {
      const before = bench[told];
      const index = bench.usedIdx;
      leave(bench, (index + event) & 0xffff);
      bench.offer(event % 8);
      expect(bench.relay.forwardAvail()).toBe(true);
      bench.use([bench.newHeads()[0]!, 8]);
      expect(bench.relay.forwardUsed()).toBe(true);
      if (bench[told] - before !== (event === 0 ? 1 : 0)) expect.fail(`${event} entries ahead of ${index}`);
    }
    expect(bench.books().problems).toEqual([]);
  });
});

describe("a device", () => {
  it("may use a chain at the moment at which the available index shows (TOL-08)", () => {
    let strike = () => {};
    const bench = rings({ wrapShadow: (memory) => new AmbushMemory(memory, () => strike()) });
    strike = () => {
      for (const head of bench.newHeads()) bench.use([head, 8]);
    };
    let chains = 0;
    for (let round = 0; round < 20; round++) {
      chains += 1 + (round % 8);
      bench.offer(...Array.from({ length: 1 + (round % 8) }, (_, i) => i));
      expect(bench.relay.forwardAvail()).toBe(true);
      expect(bench.relay.forwardUsed()).toBe(true);
      expect(bench.books()).toMatchObject({ free: 8, inFlight: 0, problems: [] });
    }
    expect(bench.usedIdx).toBe(chains);
  });

  it("may read what it is to write, and what it reads there goes nowhere (TOL-02)", () => {
    const seen = new Set<number>();
    const witness = (memory: SharedMemory, offset: number, bytes: number) => {
      const found = new Uint8Array(bytes);
      memory.copyOut(offset, found);
      seen.add(found[0]!);
    };
    const machine = testMachine({}, { device: { witness }, judged: true });
    expect(machine.pass()).toMatchObject({ lost: 0, refused: 0, fault: undefined });
    expect(Buffer.compare(machine.received(), machine.sent)).toBe(0);
    expect([seen.size > 0, machine.oracle!.strays()]).toEqual([true, []]);
  });

  it("that shows buffers of one request together has them shown together to the guest (IMPL-23)", () => {
    const accesses: Access[] = [];
    const wrapGuest = (memory: SharedMemory) => new RecordingMemory(memory, "relay", (access) => accesses.push(access));
    for (let count = 1; count <= 8; count++) {
      const bench = rings({ wrapGuest });
      bench.offer(...Array(count).keys());
      bench.relay.step();
      accesses.length = 0;
      bench.use(...bench.newHeads().map((head): [number, number] => [head, 8]));
      bench.relay.step();
      const shown = accesses.filter(({ verb, offset }) => verb === "publish" && offset === bench.guest.used + 2);
      expect([shown.length, bench.usedIdx]).toEqual([1, count]);
    }
  });
});

describe("the bytes of a buffer", () => {
  it("are never looked at by the relay, within the length that is reported or behind it (SPLIT-13, SPLIT-14)", () => {
    const accesses: Access[] = [];
    const wrapGuest = (memory: SharedMemory) => new RecordingMemory(memory, "relay", (access) => accesses.push(access));
    const bench = new HandRings({ wrapGuest });
    const [from, end] = [0x10000, 0x30000];
    for (const len of [0, 1, 100, 8192]) {
      bench.table(0x50000, [
        { address: from, bytes: 4096 },
        { address: from + 8192, bytes: 8192, writable: true },
      ]);
      bench.chain(0, [{ address: 0x50000, bytes: 32, flags: 4 }]);
      bench.offer(0);
      while (bench.relay.step());
      bench.use([bench.newHeads()[0]!, len]);
      while (bench.relay.step());
      expect(bench.usedEntry(bench.usedIdx - 1).len).toBe(len);
    }
    const touched = accesses.filter(({ verb, offset }) => verb !== "fence" && offset >= from && offset < end);
    expect([touched, accesses.some(({ offset }) => offset === 0x50000)]).toEqual([[], true]);
  });

  it("that come back behind the length that is reported are not taken for an answer (SPLIT-13, SPLIT-14)", () => {
    for (const short of [0, 1, 40, 64]) {
      const machine = testMachine({ requestBytes: 600 }, { inputBytes: 664, device: { model: understating(short) } });
      const whole = machine.pass().refused === 0;
      expect(whole).toBe(short === 0);
      const got = machine.received().subarray(0, 64);
      const kept = Math.max(0, 64 - short);
      expect([...got.subarray(0, kept)]).toEqual([...machine.sent.subarray(0, kept)]);
      expect(got.subarray(kept).every((byte) => byte === 0)).toBe(true);
    }
  });
});

/** A device that echoes packets and says that it wrote `short` bytes less than it did. */
function understating(short: number): DeviceModel {
  const net = new NetDevice();
  return { name: "net", features: 0n, serve: (request) => net.serve(request) - short, close: () => {} };
}
