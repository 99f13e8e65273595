/** The entries of a dirty ring, from empty to empty. */
import { describe, expect, it } from "vitest";
import { KvmDirtyRing, KvmDirtyRingReader } from "../../src/dirty/kvm-dirty-ring.js";
import { RealMemory } from "../../src/memory/real-memory.js";

function rings(entries: number) {
  const memory = new RealMemory(new SharedArrayBuffer(entries * 16));
  const got: number[] = [];
  const again: number[] = [];
  return {
    ...{ memory, got, again, kernel: new KvmDirtyRing(memory), user: new KvmDirtyRingReader(memory) },
    flags: (index: number) => memory.read32(index * 16),
  };
}

describe("an entry", () => {
  it("goes from empty to dirty, harvested, empty, and says slot and page in 16 bytes", () => {
    const { memory, kernel, user, flags } = rings(1024);
    kernel.push(0x1_0002, 2 ** 40 + 5);
    expect([flags(0), memory.read32(4), memory.read32(8), memory.read32(12)]).toEqual([1, 0x1_0002, 5, 256]);
    expect(user.harvest((slot, offset) => expect([slot, offset]).toEqual([0x1_0002, 2 ** 40 + 5]))).toBe(1);
    expect(flags(0)).toBe(2);
    expect(kernel.reset((slot, offset) => expect([slot, offset]).toEqual([0x1_0002, 2 ** 40 + 5]))).toBe(1);
    expect([flags(0), kernel.used]).toEqual([0, 0]);
  });

  it("that was not harvested is not reset, nor any behind it", () => {
    const { memory, kernel, user, flags } = rings(1024);
    for (const page of [7, 8, 9]) kernel.push(0, page);
    expect(kernel.reset(() => {})).toBe(0);
    user.harvest(() => {});
    // A user that skips the second: its entry is dirty again.
    memory.write32(16, 1);
    const again: number[] = [];
    expect(kernel.reset((_, page) => again.push(page))).toBe(1);
    expect(again).toEqual([7]);
    expect([flags(1), flags(2)]).toEqual([1, 2]);
    expect(kernel.used).toBe(2);
  });

  it("is read again only after it was reset, round the ring", () => {
    const { kernel, user } = rings(1024);
    const seen: number[] = [];
    for (let page = 0; page < 5000; page++) {
      kernel.push(0, page);
      if (page % 100 !== 99) continue;
      user.harvest((_, offset) => seen.push(offset));
      expect(user.harvest(() => {})).toBe(0);
      kernel.reset(() => {});
    }
    expect(seen).toEqual(Array.from({ length: 5000 }, (_, page) => page));
  });
});

it("a ring is soft full 64 + 512 entries before its end, and never takes one more than it has", () => {
  const { kernel } = rings(1024);
  for (let page = 0; page < 1024 - 576; page++) {
    expect(kernel.softFull).toBe(false);
    kernel.push(0, page);
  }
  expect(kernel.softFull).toBe(true);
  for (let page = 0; page < 576; page++) kernel.push(0, page);
  expect(() => kernel.push(0, 0)).toThrow("a vCPU stops before its dirty ring is full");
});

it("a user that writes nonsense into its entries keeps a harvest finite and the kernel's books right", () => {
  const { memory, kernel, user } = rings(1024);
  kernel.push(0, 1);
  for (let at = 0; at < memory.byteLength; at += 4) memory.write32(at, -1);
  expect(user.harvest(() => {})).toBe(0);
  const seen: number[] = [];
  expect(kernel.reset((_, offset) => seen.push(offset))).toBe(1);
  expect(seen).toEqual([Number.NaN]);
  expect(kernel.used).toBe(0);
});
