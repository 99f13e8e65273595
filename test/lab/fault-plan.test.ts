import { describe, expect, test } from "vitest";
import { planFault } from "../../src/lab/fault-plan.js";
import { configOf } from "../../src/lab/paths.js";
import { parsePaths } from "../../src/lab/settings.js";
import type { MachineConfig } from "../../src/machine/config.js";
import { FAULTS, type FaultKind } from "../../src/machine/faults.js";
import { UsageError } from "../../src/report/exit-codes.js";

const MIB = 2 ** 20;

function plan(kind: FaultKind, row: string, change: Partial<MachineConfig> = {}, bytes = MIB): number {
  return planFault(kind, configOf(parsePaths(row)[0]!, change), bytes).at;
}

describe("planFault()", () => {
  test("strikes elsewhere under another seed, and at the same place under the same", () => {
    for (const kind of FAULTS) {
      const at = (seed: number) => plan(kind, "svq", { seed });
      const places = [1, 2, 3, 4, 5].map(at);
      expect(new Set(places).size, kind).toBe(5);
      expect([1, 2, 3, 4, 5].map(at)).toEqual(places);
      expect([6, 7, 8, 9, 10].map(at)).toEqual(places);
    }
  });

  test("strikes where there is something, however small the run", () => {
    for (let seed = 0; seed < 10; seed++) {
      // One block: a read, a mark, a round.
      for (const kind of FAULTS) expect(plan(kind, "svq", { seed }, 512), kind).toBe(0);
      // Three rounds of 64 requests.
      expect(plan("lose-call", "svq", { seed }, 256 * 1024)).toBeLessThan(3);
      expect(plan("double-used", "svq", { seed }, 256 * 1024)).toBeLessThan(3);
      // 64 reads, whose pages fit into two words of the log.
      expect(plan("drop-mark", "svq", { seed }, 256 * 1024)).toBeLessThan(2);
      expect(plan("flip-byte", "svq", { seed }, 4 * 4096)).toBeLessThan(4);
      expect(plan("lose-call", "svq", { seed, device: "null", nullRequests: 65 })).toBeLessThan(2);
    }
  });

  test.each<[FaultKind, string, Partial<MachineConfig>, RegExp]>([
    ["drop-mark", "passthrough", {}, /path passthrough marks no pages/],
    ["drop-mark", "notify", {}, /path notify marks no pages/],
    ["drop-mark", "svq", { dirtyLog: false }, /without a dirty log/],
    ["drop-mark", "svq", { device: "null" }, /null device/],
    ["flip-byte", "passthrough", { device: "null" }, /null device/],
    ["lose-call", "used-only/inline", {}, /inline nobody sleeps/],
  ])("%s in %s with %j is refused: there is nothing of the kind", (kind, row, change, message) => {
    expect(() => plan(kind, row, change)).toThrow(UsageError);
    expect(() => plan(kind, row, change)).toThrow(message);
  });
});
