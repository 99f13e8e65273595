import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { RunBroken, UsageError } from "../../src/report/exit-codes.js";
import { runProgram } from "../../src/validate/rig/rig.js";
import { recordRun, traceHash } from "../../src/validate/trace/record.js";
import { replay } from "../../src/validate/trace/replay.js";
import { readTraceFile, writeTraceFile } from "../../src/validate/trace/trace-file.js";
import { readTrace, TRACE_BYTES_MAX, writeTrace } from "../../src/validate/trace/trace-format.js";
import { seededProgram } from "./seeded-program.js";
import { faultyRelay, ONE_CHAIN, STRAY_STORE, WRONG_LENGTH } from "./traces.js";

describe("recordRun()", () => {
  it("O9: the same hash twice for 500 seeds, and another for another seed", () => {
    const hashes = new Set<string>();
    for (let seed = 1; seed <= 500; seed++) {
      const program = seededProgram(seed);
      const hash = traceHash(recordRun(program));
      expect(traceHash(recordRun(program)), `seed ${seed}`).toBe(hash);
      hashes.add(hash);
    }
    expect(hashes.size).toBeGreaterThan(490);
  });

  it("sees what a run without it does: the same accesses, the same end", () => {
    for (let seed = 1; seed <= 100; seed++) {
      const program = seededProgram(seed);
      const seen: (readonly number[])[] = [];
      const { violation, broken, action } = runProgram(program, undefined, (kind, space, offset, bytes) => {
        seen.push([kind, space, offset, bytes]);
      });
      const { events, end } = recordRun(program);
      const accesses = events.filter(({ kind, refused }) => kind <= 8 && !refused);
      expect(accesses.map(({ kind, space, offset, bytes }) => [kind, space, offset, bytes])).toEqual(seen);
      expect(end).toMatchObject({ broken, action });
      expect(end.violation?.message).toBe(violation?.message);
    }
  });

  it("has something to say of every action, in their order", () => {
    for (let seed = 1; seed <= 100; seed++) {
      const program = seededProgram(seed);
      const { events, end } = recordRun(program);
      const done = new Set(events.map(({ action }) => action));
      for (let action = 0; action < end.action; action++) expect(done.has(action), `seed ${seed}`).toBe(true);
    }
  });

  it("has a hash that does not depend on how an oracle puts it", () => {
    const trace = recordRun(ONE_CHAIN);
    const violation = { oracle: "O1", invariant: 2, message: "one way" } as const;
    const hash = (message: string) =>
      traceHash({ ...trace, end: { ...trace.end, violation: { ...violation, message } } });
    expect(hash("one way")).toBe(hash("another"));
    expect(hash("one way")).not.toBe(traceHash(trace));
  });
});

describe("replay()", () => {
  it.each([
    ["O2", WRONG_LENGTH, 12, "relay writes desc[0].len of shadow = 63", "relay writes desc[0].len of shadow = 64"],
    [
      "O6",
      STRAY_STORE,
      33,
      "relay writes desc[0].addr of guest, 4 bytes (refused)",
      "relay writes used.ring[3].id of guest",
    ],
  ] as const)(
    "repeats a failure of %s, and says where the shipping relay differs",
    async (oracle, patch, index, a, b) => {
      const make = await faultyRelay(patch[0], patch[1]);
      const recorded = recordRun(ONE_CHAIN, make);
      const trace = readTrace(writeTrace(recorded));
      expect(trace.end.violation?.oracle).toBe(oracle);

      const again = replay(trace, make);
      expect(again).toEqual({ same: true, hash: again.hash, recordedHash: again.hash, violation: trace.end.violation });

      const shipping = replay(trace);
      expect(shipping.same).toBe(false);
      expect(shipping.violation).toBeUndefined();
      expect(shipping.recordedHash).toBe(again.hash);
      expect(shipping.firstDifference?.index).toBe(index);
      expect(shipping.firstDifference?.text).toContain(`recorded: ${a} (`);
      expect(shipping.firstDifference?.text).toContain(`; now: ${b}`);
    },
  );

  it("says when two runs differ in nothing but their end", () => {
    const trace = recordRun(ONE_CHAIN);
    const { same, firstDifference } = replay({ ...trace, end: { ...trace.end, returned: 7 } });
    expect(same).toBe(false);
    expect(firstDifference?.index).toBe(trace.events.length);
    expect(firstDifference?.text).toContain("1 forwarded, 7 returned");
  });

  it("says when one run goes on where the other ends", () => {
    const trace = recordRun(ONE_CHAIN);
    const { firstDifference } = replay({ ...trace, events: trace.events.slice(0, 10) });
    expect(firstDifference).toMatchObject({
      index: 10,
      text: expect.stringMatching(/^recorded: ends at .*; now: relay /),
    });
  });
});

describe("a trace in a file", () => {
  const inFolder = (run: (folder: string) => void) => {
    const folder = mkdtempSync(join(tmpdir(), "svq-trace-"));
    try {
      run(folder);
    } finally {
      rmSync(folder, { recursive: true });
    }
  };

  it("comes back, and repeats the failure", async () => {
    const make = await faultyRelay(...WRONG_LENGTH);
    const trace = recordRun(ONE_CHAIN, make);
    inFolder((folder) => {
      const path = join(folder, "o2.svqtrace");
      writeTraceFile(path, trace);
      expect(readFileSync(path)).toEqual(Buffer.from(writeTrace(trace)));
      expect(readTraceFile(path)).toEqual(trace);
      expect(replay(readTraceFile(path), make)).toMatchObject({ same: true, violation: { oracle: "O2" } });
    });
  });

  it("that cannot be read is wrong usage, in one line with its name", () => {
    inFolder((folder) => {
      const path = join(folder, "trace");
      const refusal = (name: string) => {
        try {
          readTraceFile(name);
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError);
          return (error as Error).message;
        }
        return "";
      };
      expect(refusal(path)).toBe(`cannot read trace ${path}: ENOENT`);
      expect(refusal(folder)).toBe(`cannot read trace ${folder}: not a regular file`);
      writeFileSync(path, "{}");
      expect(refusal(path)).toBe(`cannot read trace ${path}: not a trace: it does not begin with svqtrace`);
      writeFileSync(path, Buffer.from(writeTrace(recordRun(ONE_CHAIN))).subarray(0, 100));
      expect(refusal(path)).toMatch(/: truncated: 100 of \d+ bytes$/);
      writeFileSync(path, new Uint8Array(TRACE_BYTES_MAX + 1));
      expect(refusal(path)).toMatch(/bytes are too many for a trace/);
    });
  });

  it("that cannot be written is wrong usage; a full disk is not", (ctx) => {
    inFolder((folder) => {
      const path = join(folder, "missing", "trace");
      expect(() => writeTraceFile(path, recordRun(ONE_CHAIN))).toThrow(UsageError);
      expect(() => writeTraceFile(path, recordRun(ONE_CHAIN))).toThrow(`cannot write trace ${path}: ENOENT`);
    });
    if (process.platform !== "linux") return ctx.skip("no /dev/full");
    expect(() => writeTraceFile("/dev/full", recordRun(ONE_CHAIN))).toThrow(RunBroken);
  });
});
