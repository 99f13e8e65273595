import { describe, expect, it } from "vitest";
import { DEVICE_REGISTERS, QUEUE_REGISTERS, queueRegisters, transportBytes } from "../../src/transport/registers.js";

const BLOCK = 64;
/** Registers that are not 16 bits wide. */
const WIDE = new Set(["deviceFeatures", "driverFeatures", "desc", "avail", "used"]);

function spans(registers: Record<string, number>): { name: string; start: number; end: number }[] {
  return Object.entries(registers)
    .map(([name, start]) => ({ name, start, end: start + (WIDE.has(name) ? 8 : 2) }))
    .sort((a, b) => a.start - b.start);
}

describe.each([
  ["DEVICE_REGISTERS", DEVICE_REGISTERS],
  ["QUEUE_REGISTERS", QUEUE_REGISTERS],
] as const)("%s", (_, registers) => {
  it("lie in one block, aligned, and share no byte", () => {
    for (const [i, { name, start, end }] of spans(registers).entries()) {
      expect(start % (end - start), name).toBe(0);
      expect(end, name).toBeLessThanOrEqual(BLOCK);
      expect(start, name).toBeGreaterThanOrEqual(spans(registers)[i - 1]?.end ?? 0);
    }
  });
});

describe("transportBytes() and queueRegisters()", () => {
  it("put the queues behind the device, one block each", () => {
    expect([0, 1, 64].map(transportBytes)).toEqual([BLOCK, 2 * BLOCK, 65 * BLOCK]);
    expect([0, 1, 63].map(queueRegisters)).toEqual([BLOCK, 2 * BLOCK, 64 * BLOCK]);
  });
});
