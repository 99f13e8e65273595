import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { UsageError } from "../../src/report/exit-codes.js";
import { openLog } from "../../src/report/logging.js";

let directory = "";
let fd = 0;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "svq-log-"));
  fd = openSync(join(directory, "log"), "a");
});

afterEach(() => {
  closeSync(fd);
  rmSync(directory, { recursive: true });
  vi.doUnmock("node:worker_threads");
});

function written(): Record<string, unknown>[] {
  const lines = readFileSync(join(directory, "log"), "utf8").split("\n").filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe("openLog()", () => {
  it("has written a line when the call returns", () => {
    const log = openLog({ level: "info", fd });
    for (let n = 0; n < 100; n++) log.info({ queue: n }, "switched");
    expect(written()).toHaveLength(100);
    expect(written()[7]).toEqual({
      level: "info",
      time: expect.stringMatching(/^\d{4}-.*Z$/),
      queue: 7,
      msg: "switched",
    });
  });

  it("has not, with a destination that waits for more: the check can fail", () => {
    const destination = pino.destination({ dest: fd, sync: false, minLength: 4096 });
    pino(destination).info("switched");
    expect(written()).toHaveLength(0);
    destination.flushSync();
    expect(written()).toHaveLength(1);
  });

  it("writes from its level up", () => {
    const log = openLog({ level: "warn", fd });
    log.info("no");
    log.warn("yes");
    expect(written().map(({ msg }) => msg)).toEqual(["yes"]);
  });

  it("refuses a level that is none, in one line", () => {
    expect(() => openLog({ level: "loud" })).toThrow(UsageError);
    expect(() => openLog({ level: "loud" })).toThrow('"loud"');
  });

  it("refuses to be opened in a worker", async () => {
    vi.resetModules();
    vi.doMock("node:worker_threads", () => ({ isMainThread: false }));
    const inWorker = await import("../../src/report/logging.js");
    expect(() => inWorker.openLog({ level: "info" })).toThrow("main thread");
  });
});
