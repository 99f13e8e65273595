/** A data process as a worker of the main process. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type ProcessEnd, workersOf } from "../../src/daemon/device-process.js";
import { DeviceSupervisor } from "../../src/daemon/device-supervisor.js";
import { REAL_TIMERS } from "../../src/daemon/timers.js";
import { packageRoot } from "../../src/workers/worker-url.js";
import { deviceOptions } from "../helpers/scripted-process.js";
import { type StreamPair, streamPair } from "../helpers/stream-pair.js";

const FAKE = join(packageRoot(), "dist/test/helpers/fake-data-process.js");
let folder = "";
let pair: StreamPair;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "test-worker-"));
  pair = await streamPair(join(folder, "pair.sock"));
});

afterEach(() => {
  pair.close();
  rmSync(folder, { recursive: true });
});

test("a worker is started, asked and stopped as a process is", async () => {
  const options = { ...deviceOptions(join(folder, "g.sock")), connect: "ok.sock" };
  const events: string[] = [];
  const heard = { event: ({ event }: { event: string }) => events.push(event), log: () => {} };
  const device = new DeviceSupervisor(
    options,
    workersOf(FAKE, () => pair.fds),
    heard,
    REAL_TIMERS,
  );
  await device.start();
  expect(device.facts()).toMatchObject({ process: "ready", pid: null });
  expect(await device.request("query-status", {}, 5000)).toMatchObject({ listen: options.listen, pid: process.pid });
  expect(await device.stop()).toBe(true);
  expect(events).toEqual(["DEVICE_READY"]);
});

test("a worker that cannot use its socket, or throws, says why in its last line", async () => {
  const ended = await new Promise<ProcessEnd>((resolve) => {
    const options = { ...deviceOptions(join(folder, "g.sock")), connect: "crash-at-start.sock" };
    workersOf(FAKE, () => pair.fds)(options, { line: () => {}, ended: resolve });
  });
  expect(ended).toMatchObject({ code: 1, lastLine: "nothing works here" });
});
