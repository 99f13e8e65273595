import { describe, expect, it } from "vitest";
import { BELL_BYTES, Doorbell } from "../../src/memory/bell.js";

const TIMEOUT_MS = 20;

describe("Doorbell", () => {
  const bells = () => {
    const buffer = new SharedArrayBuffer(2 * BELL_BYTES);
    return [new Doorbell(buffer, 0), new Doorbell(buffer, 1)] as const;
  };

  it("does not sleep through a ring that came after the observe", () => {
    const [bell] = bells();
    const seen = bell.observe();
    bell.ring();
    expect(bell.sleep(seen, TIMEOUT_MS)).toBe(true);
  });

  it("sleeps until its timeout when nobody rings", () => {
    const [bell] = bells();
    expect(bell.sleep(bell.observe(), TIMEOUT_MS)).toBe(false);
  });

  it("sleeps through a ring that came before the observe: work is looked for in between", () => {
    const [bell] = bells();
    bell.ring();
    expect(bell.sleep(bell.observe(), TIMEOUT_MS)).toBe(false);
  });

  it("does not hear its neighbour", () => {
    const [bell, neighbour] = bells();
    const seen = bell.observe();
    neighbour.ring();
    expect(bell.sleep(seen, TIMEOUT_MS)).toBe(false);
  });

  it("goes on counting where its word wraps", () => {
    const buffer = new SharedArrayBuffer(BELL_BYTES);
    new Int32Array(buffer)[0] = 0x7fff_ffff;
    const bell = new Doorbell(buffer, 0);
    const seen = bell.observe();
    bell.ring();
    expect(bell.observe()).toBe(-0x8000_0000);
    expect(bell.sleep(seen, TIMEOUT_MS)).toBe(true);
  });

  it("is one of those in its buffer", () => {
    expect(() => new Doorbell(new SharedArrayBuffer(BELL_BYTES), 1)).toThrow(RangeError);
  });
});
