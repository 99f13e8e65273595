import { describe, expect, it } from "vitest";
import { type FaultReason, faultCode, faultReason, PEER_FAULTS, PeerFault } from "../../src/ring/peer-fault.js";

const REASONS = Object.keys(PEER_FAULTS) as FaultReason[];

describe("faultCode() and faultReason()", () => {
  it("give each reason a code of its own, from 1 on, that fits the register of a queue", () => {
    expect(REASONS.map(faultCode)).toEqual(REASONS.map((_, i) => i + 1));
    expect(REASONS.map(faultCode).map(faultReason)).toEqual(REASONS);
    expect(REASONS.length).toBeLessThan(255);
  });

  it("know no reason behind 0 or a code that was never given", () => {
    for (const code of [0, -1, REASONS.length + 1, 0xffff, Number.NaN])
      expect(() => faultReason(code)).toThrow(RangeError);
  });
});

describe("PeerFault", () => {
  it("says its reason first, and what it costs", () => {
    const fault = new PeerFault("head-out-of-range", "head 9 in a queue of 4");
    expect(fault.message).toBe("head-out-of-range: head 9 in a queue of 4");
    expect([fault.name, fault.reason, fault.outcome]).toEqual(["PeerFault", "head-out-of-range", "break-queue"]);
  });

  it("ends each reason in one of three ways (O8)", () => {
    const outcomes = REASONS.map((reason) => new PeerFault(reason, "").outcome);
    expect([...new Set(outcomes)].sort()).toEqual(["break-queue", "quarantine", "refuse"]);
  });
});
