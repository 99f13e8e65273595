import { describe, expect, it } from "vitest";
import type { SharedMemory } from "../../src/memory/shared-memory.js";
import { ContainmentError } from "../../src/memory/simulated/write-permits.js";
import { smallMachine } from "./litmus.js";

describe("permit()", () => {
  const fencedIn = () => {
    const { machine, memory } = smallMachine("sc", { owners: false });
    memory.forbidAll();
    memory.permit("a", 16, 16);
    return { machine, memory };
  };

  it("lets a party store inside its extents", () => {
    const a = fencedIn().memory.port("a");
    a.write32(16, 1);
    a.copyIn(16, new Uint8Array(16));
    a.publish16(30, 1);
    expect(a.takeBits32(28)).toBe(1 << 16);
  });

  it.each<[string, (a: SharedMemory) => void]>([
    ["the byte after", (a) => a.copyIn(17, new Uint8Array(16))],
    ["the word before", (a) => a.write32(12, 1)],
    ["a publish", (a) => a.publish16(32, 1)],
    ["a bit", (a) => a.setBits32(0, 1)],
    ["a take", (a) => a.takeBits32(0)],
  ])("refuses a store outside: %s", (_, store) => {
    const { memory } = fencedIn();
    const before = memory.bytes.slice();
    expect(() => store(memory.port("a"))).toThrow(ContainmentError);
    expect(memory.bytes).toEqual(before);
  });

  it("refuses others, and says whom and where; reading is free", () => {
    const { memory } = fencedIn();
    expect(() => memory.port("b").write16(18, 1)).toThrow("b may not write memory at 18 (2 bytes at 18)");
    expect(memory.port("b").read16(0)).toBe(0);
  });

  it("can be taken back for a canary between permitted bytes", () => {
    const { memory } = smallMachine("sc");
    memory.forbid("a", 8, 4);
    memory.port("a").write32(4, 1);
    expect(() => memory.port("a").copyIn(4, new Uint8Array(5))).toThrow("at 8");
    memory.port("b").write32(8, 1);
  });
});
