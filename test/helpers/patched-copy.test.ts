import { describe, expect, it } from "vitest";
import { vringNeedEvent } from "../../src/ring/notification.js";
import { PeerFault } from "../../src/ring/peer-fault.js";
import { patchedCopy } from "./patched-copy.js";

type Notification = typeof import("../../src/ring/notification.js");
type Chain = typeof import("../../src/ring/chain.js");

describe("patchedCopy()", () => {
  it("has the fault, and the source has not", async () => {
    const faulty = await patchedCopy<Notification>("ring/notification.ts", [
      "ring/notification.ts",
      "return u16(newIdx - eventIdx - 1) < u16(newIdx - oldIdx);",
      "return newIdx === eventIdx;",
    ]);
    expect([faulty.vringNeedEvent(5, 6, 5), faulty.vringNeedEvent(6, 6, 5)]).toEqual([false, true]);
    expect([vringNeedEvent(5, 6, 5), vringNeedEvent(6, 6, 5)]).toEqual([true, false]);
  });

  it("throws when the passage is not there, or not only once", async () => {
    const from = (passage: string) => patchedCopy("ring/notification.ts", ["ring/notification.ts", passage, "nothing"]);
    await expect(from("never written")).rejects.toThrow("ring/notification.ts has 0 times: never written");
    await expect(from("eventIdx")).rejects.toThrow(/has \d+ times: eventIdx/);
  });

  it("leads a patched file to the patched copies of others, and to src/ for the rest", async () => {
    const { Chain } = await patchedCopy<Chain>("ring/chain.ts", [
      "ring/chain-rules.ts",
      "if (nested) return INDIRECT_NESTED;",
      'if (nested) throw new Error("the patched rule");',
    ]);
    const rules = new Chain(1, true);
    const memory = { read32: (at: number) => (at % 16 === 8 ? 16 : at % 16 === 12 ? 4 : 0) } as never;
    const ring = { num: 1, descMemory: memory, desc: 0 } as never;
    const nested = (_: number, table: Uint8Array) => {
      table.set([16], 8);
      table.set([4], 12);
      return "ok" as const;
    };
    expect(() => rules.load(ring, 0, nested)).toThrow("the patched rule");
    expect(() => rules.load(ring, 1, nested)).toThrow(PeerFault);
  });
});
