import { describe, expect, it } from "vitest";
import {
  COUNTER_BLOCK_BYTES,
  COUNTERS,
  count,
  counterBlock,
  difference,
  snapshot,
} from "../../src/telemetry/counters.js";

describe("COUNTERS", () => {
  it("gives every name a column of its own inside a block", () => {
    const columns = Object.values(COUNTERS);
    expect(new Set(columns).size).toBe(columns.length);
    expect(Math.max(...columns)).toBeLessThan(COUNTER_BLOCK_BYTES / 8);
    expect(COUNTER_BLOCK_BYTES % 64).toBe(0);
  });
});

describe("counterBlock()", () => {
  it("shows one writer's counts to another view of the same memory, and to no other block", () => {
    const buffer = new SharedArrayBuffer(3 * COUNTER_BLOCK_BYTES);
    const writer = counterBlock(buffer, 1);
    for (const column of Object.values(COUNTERS)) count(writer, column, column + 1);
    for (const [name, column] of Object.entries(COUNTERS)) {
      expect(snapshot(counterBlock(buffer, 1))).toHaveProperty(name, column + 1);
    }
    expect(Object.values(snapshot(counterBlock(buffer, 0)))).toEqual(Object.values(COUNTERS).map(() => 0));
    expect(Object.values(snapshot(counterBlock(buffer, 2)))).toEqual(Object.values(COUNTERS).map(() => 0));
  });

  it("refuses a block outside the buffer", () => {
    const buffer = new SharedArrayBuffer(2 * COUNTER_BLOCK_BYTES);
    expect(() => counterBlock(buffer, 2)).toThrow("counter block 2");
    expect(() => counterBlock(buffer, -1)).toThrow("counter block -1");
    expect(() => counterBlock(buffer, 0.5)).toThrow("counter block 0.5");
  });
});

describe("count()", () => {
  it("goes on past 2^32, where an integer column would have wrapped", () => {
    const block = counterBlock(new SharedArrayBuffer(COUNTER_BLOCK_BYTES), 0);
    const wrapping = new Uint32Array([0xffff_ffff]);
    count(block, COUNTERS.writtenBytes, 0xffff_ffff);
    count(block, COUNTERS.writtenBytes);
    wrapping[0]! += 1;
    expect(snapshot(block).writtenBytes).toBe(2 ** 32);
    expect(wrapping[0]).toBe(0);
  });
});

describe("difference()", () => {
  it("is what was counted between two snapshots, which do not move with the block", () => {
    const block = counterBlock(new SharedArrayBuffer(COUNTER_BLOCK_BYTES), 0);
    count(block, COUNTERS.kicks, 3);
    const earlier = snapshot(block);
    count(block, COUNTERS.kicks, 4);
    count(block, COUNTERS.calls);
    const between = difference(snapshot(block), earlier);
    expect(earlier.kicks).toBe(3);
    expect(between).toMatchObject({ kicks: 4, calls: 1, requests: 0 });
  });
});
