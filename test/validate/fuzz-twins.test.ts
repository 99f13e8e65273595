/** Faulty relays: the fuzzer finds each within a bounded number of programs, and reduces it to a few actions. */
import { expect, test } from "vitest";
import type { ShadowVirtqueue } from "../../src/relay/shadow-virtqueue.js";
import { runFuzz } from "../../src/validate/fuzz/fuzz.js";
import type { OracleId } from "../../src/validate/oracles/violation.js";
import { type MakeRelay, runProgram } from "../../src/validate/rig/rig.js";
import { patchedCopy } from "../helpers/patched-copy.js";

const FILE = "relay/shadow-virtqueue.ts";

interface Twin {
  readonly fault: string;
  readonly passage: string;
  readonly instead: string;
  /** Which oracles may be the first to notice. */
  readonly by: readonly OracleId[];
}

const TWINS: readonly Twin[] = [
  {
    fault: "the length of a descriptor is read twice",
    passage: "shadowDesc.write32(to + 8, length);",
    instead: "shadowDesc.write32(to + 8, source.read32(at + 8));",
    by: ["O8"],
  },
  {
    fault: "next has no bound",
    passage: "if (index >= limit) {",
    instead: "if (index > 0xffff) {",
    by: ["O6", "O8"],
  },
  {
    fault: "the id of a used entry is masked instead of checked",
    passage: "const count = id >>> 0 < num ? rows[first + ROW_COUNT]! : 0;",
    instead: "const count = rows[((id & (num - 1)) << ROW_SHIFT) + ROW_COUNT]!;",
    by: ["O3", "O8"],
  },
  {
    fault: "a used id need not be outstanding",
    passage: "const count = id >>> 0 < num ? rows[first + ROW_COUNT]! : 0;",
    instead: "const count = id >>> 0 < num ? rows[first + ROW_COUNT]! || 1 : 0;",
    by: ["O3", "O8"],
  },
  {
    fault: "a head may be offered while it is outstanding",
    passage: "fault = head >= num ? HEAD_OUT_OF_RANGE : outstanding[head]!;",
    instead: "fault = head >= num ? HEAD_OUT_OF_RANGE : 0;",
    by: ["O8"],
  },
  {
    fault: "only the first buffer of a chain is marked",
    passage: "          if (log !== undefined) {\n",
    instead: "          if (log !== undefined && row === first) {\n",
    by: ["O4"],
  },
  {
    fault: "the used length is handed on as it is",
    passage: "length = Math.min(length >>> 0, writable, 0xffffffff) | 0;",
    instead: "length |= 0;",
    by: ["O3"],
  },
  {
    fault: "used entries are stored past the end of the ring",
    passage: "const to = (guestRing + ((guestUsedIdx & (guest.num - 1)) << USED_ELEM_SHIFT)) | 0;",
    instead: "const to = (guestRing + (guestUsedIdx << USED_ELEM_SHIFT)) | 0;",
    by: ["O3", "O6"],
  },
];

async function maker({ passage, instead }: Twin): Promise<MakeRelay> {
  const copy = await patchedCopy<{ ShadowVirtqueue: typeof ShadowVirtqueue }>(FILE, [FILE, passage, instead]);
  return (parts) => new copy.ShadowVirtqueue(parts);
}

test.each(TWINS)("is found: $fault", async (twin) => {
  const make = await maker(twin);
  const report = runFuzz({ seed: 1, executions: 20_000, make, stopAfterFailures: 64, now: () => 0 });
  const [example] = [...report.examples].sort((a, b) => a.program.actions.length - b.program.actions.length);
  expect(example, "nothing was found").toBeDefined();
  const { program, violation } = example!;
  expect(twin.by).toContain(violation.oracle);
  expect(program.actions.length, JSON.stringify(program.actions.map(({ op }) => op))).toBeLessThanOrEqual(7);
  expect(runProgram(program, make).violation?.message).toBe(violation.message);
  expect(runProgram(program).violation).toBeUndefined();
});

test("a check of one reading and a use of another is found by what comes out, too", async () => {
  const make = await maker({
    fault: "the address is read again, by halves, after it was checked",
    passage: "shadowDesc.write32(to, (frame << 12) | within);",
    instead: "shadowDesc.write32(to, (frame << 12) | (source.read32(at) & 0xfff));",
    by: [],
  });
  const { failures, modes } = runFuzz({ seed: 1, executions: 8000, make, now: () => 0 });
  expect(failures).toBeGreaterThan(100);
  for (const mode of modes) expect(mode.failures, mode.name).toBeGreaterThan(0);
});

test("shrinking gives the same program each time", async () => {
  const make = await maker(TWINS[5]!);
  const report = () => runFuzz({ seed: 3, executions: 4000, make, stopAfterFailures: 2, now: () => 0 });
  expect(report()).toEqual(report());
});
