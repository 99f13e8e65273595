import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { REGION_BYTES_MAX, RealMemory } from "../../src/memory/real-memory.js";

describe("RealMemory", () => {
  const memory = () => new RealMemory(new SharedArrayBuffer(64));

  it("copies up to its last byte", () => {
    const shared = memory();
    shared.copyIn(60, Uint8Array.of(1, 2, 3, 4));
    const target = new Uint8Array(4);
    shared.copyOut(60, target);
    expect([...target]).toEqual([1, 2, 3, 4]);
    expect(() => shared.copyIn(64, new Uint8Array(0))).not.toThrow();
  });

  it.each([
    [61, 4],
    [64, 1],
    [-1, 1],
    [-4, 4],
    [0, 65],
    [Number.NaN, 1],
    [2 ** 40, 1],
  ])("refuses to copy from or to %d, %d bytes", (offset, length) => {
    const shared = memory();
    expect(() => shared.copyIn(offset, new Uint8Array(length).fill(1))).toThrow(RangeError);
    expect(() => shared.copyOut(offset, new Uint8Array(length))).toThrow(RangeError);
    const all = new Uint8Array(64);
    shared.copyOut(0, all);
    expect(all).toEqual(new Uint8Array(64));
  });

  it("keeps the low bits of what is stored, and reads words signed and halves unsigned", () => {
    const shared = memory();
    shared.write16(0, 0x1_fffe);
    shared.publish16(2, -1);
    shared.write32(4, 2 ** 32 - 2);
    expect([shared.read16(0), shared.observe16(2), shared.read32(4)]).toEqual([0xfffe, 0xffff, -2]);
  });

  it("takes what was set, once", () => {
    const shared = memory();
    shared.setBits32(8, 1);
    shared.setBits32(8, 1 << 31);
    expect(shared.takeBits32(8)).toBe(-0x7fff_ffff);
    expect(shared.takeBits32(8)).toBe(0);
  });

  it("covers whole words only", () => {
    expect(() => new RealMemory(new ArrayBuffer(6))).toThrow("whole number of 32-bit words");
    expect(REGION_BYTES_MAX).toBe(2 ** 31);
  });
});

describe("RealMemory.listNonZero32()", () => {
  const BYTES = 40_960;
  const words = fc.uniqueArray(fc.nat(BYTES / 4 - 1), { maxLength: 60 });
  const range = fc
    .tuple(fc.nat(BYTES / 4), fc.nat(BYTES / 4))
    .map(([a, b]) => [Math.min(a, b) * 4, Math.max(a, b) * 4]);

  it("finds what a loop over the words finds, in blocks that are compared at once and beside them", () => {
    fc.assert(
      fc.property(words, range, fc.constantFrom(1, -1, 2 ** 31, 0x0100_0000), (marked, [from, end], value) => {
        const memory = new RealMemory(new SharedArrayBuffer(BYTES));
        for (const word of marked) memory.write32(word * 4, value);
        const found = new Int32Array((end! - from!) / 4);
        const count = memory.listNonZero32(from!, end!, found);
        const due = marked.map((word) => word * 4).filter((at) => at >= from! && at < end!);
        expect([...found.subarray(0, count)]).toEqual(due.sort((a, b) => a - b));
      }),
    );
  });

  it("finds every word of a block that is full", () => {
    const memory = new RealMemory(new SharedArrayBuffer(16_384));
    for (let at = 0; at < 16_384; at += 4) memory.write32(at, -1);
    expect(memory.listNonZero32(0, 16_384, new Int32Array(4096))).toBe(4096);
  });
});
