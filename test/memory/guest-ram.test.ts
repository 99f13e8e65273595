import { describe, expect, it } from "vitest";
import { ramSha256 } from "../../src/lab/migrate/digest.js";
import { DenseRam, ramBlocks, ramLike, SparseRam } from "../../src/memory/guest-ram.js";
import { copyPage } from "../helpers/copy-page.js";

const MIB = 2 ** 20;

describe.each([
  ["dense", () => DenseRam.allocate(ramBlocks(4 * MIB))],
  ["sparse", () => new SparseRam(ramBlocks(4 * MIB))],
] as const)("%s RAM", (kind, make) => {
  it("has three quarters low, a hole, and a quarter above it", () => {
    const ram = make();
    expect(ram.blocks.map(({ gpa, bytes }) => [gpa, bytes])).toEqual([
      [0, 3 * MIB],
      [4 * MIB, MIB],
    ]);
    expect([ram.kind, ram.endPage, ram.pageCount]).toEqual([kind, 1280, 1024]);
    expect(ram.write(3 * MIB - 1, Uint8Array.of(1))).toBe(true);
    expect(ram.write(3 * MIB - 1, Uint8Array.of(1, 2))).toBe(false);
    expect(ram.write(3 * MIB, Uint8Array.of(1))).toBe(false);
    expect(ram.write(5 * MIB, Uint8Array.of(1))).toBe(false);
  });

  it("copies and compares pages; a write after the copy shows, on every page it covers", () => {
    const ram = make();
    const copy = ramLike(ram);
    ram.write(4 * MIB + 4095, Uint8Array.of(7, 8));
    expect([1023, 1024, 1025, 1026].map((page) => page >= 1024 && ram.pageDiffers(page, copy))).toEqual([
      false,
      true,
      true,
      false,
    ]);
    expect(ramSha256(ram)).not.toBe(ramSha256(copy));
    for (const page of [1024, 1025]) copyPage(ram, page, copy);
    expect(ram.pageDiffers(1024, copy) || ram.pageDiffers(1025, copy)).toBe(false);
    expect(ramSha256(ram)).toBe(ramSha256(copy));
  });

  it("refuses blocks that a bitmap could not start a word with", () => {
    expect(() => new SparseRam([{ gpa: 4096, bytes: MIB }])).toThrow("multiples of 64 pages");
    expect(() => new SparseRam([])).toThrow("there is RAM");
  });
});
