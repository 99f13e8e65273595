import { expect, test } from "vitest";
import type { ControlEvent, DeviceLogLine } from "../../src/daemon/control-messages.js";
import { DeviceSupervisor } from "../../src/daemon/device-supervisor.js";
import { LineLimit } from "../../src/daemon/line-limit.js";
import { FakeTimers } from "../helpers/fake-timers.js";
import { deviceOptions, scriptedStart } from "../helpers/scripted-process.js";

function limited() {
  const timers = new FakeTimers();
  const reports: Readonly<Record<string, number>>[] = [];
  const limit = new LineLimit(timers, (dropped) => reports.push(dropped));
  const taken = (kind: string, count: number) => Array.from({ length: count }, () => limit.takes(kind)).filter(Boolean);
  return { timers, reports, limit, passed: (kind: string, count: number) => taken(kind, count).length };
}

test("LineLimit lets 50 lines of a kind pass at once, then one a second", async () => {
  const { timers, passed } = limited();
  expect(passed("CONNECTED", 1000)).toBe(50);
  await timers.pass(3000);
  expect(passed("CONNECTED", 1000)).toBe(3);
  await timers.pass(3_600_000);
  expect(passed("CONNECTED", 1000)).toBe(50);
});

test("LineLimit counts kinds apart, and those that nobody knows together", () => {
  const { passed } = limited();
  passed("CONNECTED", 1000);
  expect(passed("QUEUE_BROKEN", 2)).toBe(2);
  let all = 0;
  for (let kind = 0; kind < 10_000; kind++) all += passed(`KIND_${kind}`, 1);
  expect(all).toBeLessThan(32 + 50);
});

test("LineLimit reports what it dropped every ten seconds and at the end; a quiet one has no timer", async () => {
  const { timers, reports, limit, passed } = limited();
  expect(passed("CONNECTED", 50)).toBe(50);
  limit.flush();
  expect({ reports, timers: timers.count }).toEqual({ reports: [], timers: 0 });
  passed("CONNECTED", 7);
  await timers.pass(9999);
  expect(reports).toEqual([]);
  await timers.pass(1);
  expect(reports).toEqual([{ CONNECTED: 7 }]);
  passed("log", 51);
  limit.flush();
  expect(reports.at(-1)).toEqual({ log: 1 });
  expect(timers.count).toBe(0);
});

test("a data process that chatters is heard 50 times, and what was dropped is said once it ends", async () => {
  const timers = new FakeTimers();
  const { start, processes } = scriptedStart();
  const events: ControlEvent[] = [];
  const logs: DeviceLogLine[] = [];
  const heard = { event: (event: ControlEvent) => events.push(event), log: (line: DeviceLogLine) => logs.push(line) };
  const device = new DeviceSupervisor(deviceOptions(), start, heard, timers);
  const started = device.start();
  processes[0]!.ready();
  await started;
  for (let i = 0; i < 5000; i++) {
    processes[0]!.say({ event: "PEER_REFUSED", data: { why: "another front end is connected" } });
    processes[0]!.say({ log: { level: "warn", msg: "again" } });
  }
  expect(logs).toHaveLength(50);
  expect(events.filter(({ event }) => event === "PEER_REFUSED")).toHaveLength(50);
  processes[0]!.end({ signal: "SIGBUS" });
  const names = events.map(({ event }) => event).filter((event) => event !== "PEER_REFUSED");
  expect(names).toEqual(["DEVICE_READY", "LINES_DROPPED", "DEVICE_PROCESS_LOST"]);
  expect(events.find(({ event }) => event === "LINES_DROPPED")!.data).toMatchObject({
    dropped: { PEER_REFUSED: 4950, log: 4950 },
    why: "4950 more of PEER_REFUSED, 4950 more of log",
  });
  expect(logs.at(-1)!.msg).toBe("the data process is lost");
});
