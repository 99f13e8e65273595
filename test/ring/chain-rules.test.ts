import { describe, expect, it } from "vitest";
import { indirectFault, orderFault } from "../../src/ring/chain-rules.js";
import { faultReason } from "../../src/ring/peer-fault.js";
import { INDIRECT, NEXT, WRITE } from "./chain-catalogue.js";

/** The name behind a code; undefined for 0. */
function nameOf(code: number): string | undefined {
  return code === 0 ? undefined : faultReason(code);
}

const ALL_FLAGS = Array.from({ length: 16 }, (_, flags) => flags);

describe("orderFault()", () => {
  it("is a readable element behind a writable one, whatever the other flags are (SPLIT-03)", () => {
    for (const flags of ALL_FLAGS) {
      for (const seen of ALL_FLAGS) {
        const late = (seen & WRITE) !== 0 && (flags & WRITE) === 0;
        expect(nameOf(orderFault(flags, seen))).toBe(late ? "readable-after-writable" : undefined);
      }
    }
  });
});

/** indirectFault() of a pointer that breaks no rule, but for what is said. */
function fault({ flags = INDIRECT, bytes = 32, negotiated = true, nested = false, before = 0, num = 4 } = {}) {
  return nameOf(indirectFault(flags, bytes, negotiated, nested, before, num));
}

describe("indirectFault()", () => {
  it("finds nothing wrong with a table that fits, whatever WRITE says (INDIR-06)", () => {
    expect(fault()).toBeUndefined();
    expect(fault({ flags: INDIRECT | WRITE })).toBeUndefined();
    expect(fault({ bytes: 64 })).toBeUndefined();
    expect(fault({ before: 2 })).toBeUndefined();
  });

  it.each([
    [{ nested: true }, "indirect-nested"],
    [{ negotiated: false }, "indirect-not-negotiated"],
    [{ flags: INDIRECT | NEXT }, "indirect-with-next"],
    [{ bytes: 0 }, "indirect-length"],
    [{ bytes: 31 }, "indirect-length"],
    [{ bytes: 33 }, "indirect-length"],
    [{ bytes: 80 }, "chain-too-long"],
    [{ before: 3 }, "chain-too-long"],
    [{ bytes: 2 ** 32 - 16 }, "chain-too-long"],
  ])("finds %o: %s", (change, reason) => {
    expect(fault(change)).toBe(reason);
  });

  it("names the nesting first: a table must not say what the ring may", () => {
    expect(fault({ nested: true, negotiated: false, flags: INDIRECT | NEXT, bytes: 0 })).toBe("indirect-nested");
  });
});
