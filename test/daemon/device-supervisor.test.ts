import { expect, test } from "vitest";
import type { ControlEvent, DeviceLogLine } from "../../src/daemon/control-messages.js";
import { DeviceSupervisor } from "../../src/daemon/device-supervisor.js";
import { FakeTimers } from "../helpers/fake-timers.js";
import { deviceOptions, scriptedStart } from "../helpers/scripted-process.js";

/** A device on time and processes of the test's own. */
function device() {
  const timers = new FakeTimers();
  const { start, processes } = scriptedStart();
  const events: ControlEvent[] = [];
  const logs: DeviceLogLine[] = [];
  const heard = { event: (event: ControlEvent) => events.push(event), log: (line: DeviceLogLine) => logs.push(line) };
  return { timers, processes, events, logs, supervisor: new DeviceSupervisor(deviceOptions(), start, heard, timers) };
}

async function readyDevice() {
  const parts = device();
  const started = parts.supervisor.start();
  parts.processes[0]!.ready();
  await started;
  return parts;
}

test("a device is ready when its process listens, and hears of nine tenths of the grace", async () => {
  const { supervisor, events, processes } = await readyDevice();
  expect(supervisor.facts()).toMatchObject({ process: "ready", pid: 1000, restarts: 0 });
  expect(events.map(({ event, data }) => [event, data["device"]])).toEqual([["DEVICE_READY", "/nowhere/guest.sock"]]);
  expect(processes[0]!.options.graceMs).toBe(4500);
});

test("a first process that ends with 2 is a usage error with its one line; with another code, a broken run", async () => {
  const unusable = device();
  const refused = unusable.supervisor.start();
  unusable.processes[0]!.end({ code: 2, lastLine: "svq: cannot listen on /a: EACCES" });
  await expect(refused).rejects.toMatchObject({ name: "UsageError", message: "cannot listen on /a: EACCES" });
  expect(unusable.timers.count).toBe(0);

  const crashed = device();
  const broken = crashed.supervisor.start();
  crashed.processes[0]!.end({ signal: "SIGSEGV", lastLine: "oh" });
  await expect(broken).rejects.toMatchObject({
    name: "RunBroken",
    message: /ended before it listened \(SIGSEGV\): oh/,
  });
  expect(crashed.processes).toHaveLength(1);
});

test("a first process that does not come to listen is ended", async () => {
  const { supervisor, timers, processes } = device();
  const started = expect(supervisor.start()).rejects.toMatchObject({ name: "RunBroken" });
  await timers.pass(19_999);
  expect(processes[0]!.killed).toBe(0);
  await timers.pass(1);
  expect(processes[0]!.killed).toBe(1);
  await started;
});

test("a process that crashes over and over is started after waits that double, each of them told", async () => {
  const { timers, processes, events, supervisor } = await readyDevice();
  const waits: unknown[] = [];
  for (let i = 0; i < 9; i++) {
    processes.at(-1)!.end({ signal: "SIGBUS" });
    const { event, data } = events.at(-1)!;
    expect({ event, signal: data["signal"] }).toEqual({ event: "DEVICE_PROCESS_LOST", signal: "SIGBUS" });
    const waitMs = data["restart_in_ms"] as number;
    waits.push(waitMs);
    await timers.pass(waitMs - 1);
    expect(processes).toHaveLength(i + 1);
    await timers.pass(1);
    expect(processes).toHaveLength(i + 2);
  }
  expect(waits).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
  expect(supervisor.facts()).toMatchObject({ process: "starting", restarts: 9 });
  processes.at(-1)!.ready();
  await answerProbes(processes, timers, 60_000);
  processes.at(-1)!.end({ code: 1 });
  expect(events.at(-1)!.data["restart_in_ms"]).toBe(100);
});

test("a later process that ends with 2 is lost like others, and started again", async () => {
  const { timers, processes, events } = await readyDevice();
  processes[0]!.end({ signal: "SIGKILL" });
  await timers.pass(100);
  processes[1]!.end({ code: 2, lastLine: "svq: in use" });
  expect(events.at(-1)).toMatchObject({ event: "DEVICE_PROCESS_LOST", data: { code: 2, restart_in_ms: 200 } });
  await timers.pass(200);
  expect(processes).toHaveLength(3);
});

test("a process that answers is left alone; one that does not for 30 s is ended and started again", async () => {
  const well = await readyDevice();
  await answerProbes(well.processes, well.timers, 600_000);
  expect(well.processes).toHaveLength(1);
  expect(well.processes[0]!.killed).toBe(0);

  const hung = await readyDevice();
  await hung.timers.pass(39_999);
  expect(hung.processes[0]!.killed).toBe(0);
  await hung.timers.pass(1);
  expect(hung.processes[0]!.killed).toBe(1);
  expect(hung.events.at(-1)!.event).toBe("DEVICE_PROCESS_LOST");
  await hung.timers.pass(100);
  expect(hung.processes).toHaveLength(2);
});

test.each([
  ["no JSON", "nonsense"],
  ["too long", undefined],
  ["a reply without an id", '{"return":{}}'],
])("a process that sends what makes no sense is ended: %s", async (_, line) => {
  const { processes, logs, events } = await readyDevice();
  processes[0]!.heard.line(line);
  expect(processes[0]!.killed).toBe(1);
  expect(logs[0]).toMatchObject({ level: "error", msg: expect.stringContaining("it sent") });
  expect(events.at(-1)!.event).toBe("DEVICE_PROCESS_LOST");
});

test("a request gets its own answer, in whatever order they come; an unknown number is passed over", async () => {
  const { supervisor, processes } = await readyDevice();
  const process = processes[0]!;
  const first = supervisor.request("query-stats", {}, 100);
  const second = supervisor.request("set-datapath", { datapath: "svq" }, 100);
  const [a, b] = process.requests;
  expect(b).toMatchObject({ execute: "set-datapath", arguments: { datapath: "svq" } });
  process.say({ return: { n: 99 }, id: 12_345 });
  process.say({ error: { class: "GenericError", desc: "no" }, id: b!.id });
  process.say({ return: { n: 1 }, id: a!.id });
  process.say({ return: { n: 2 }, id: a!.id });
  expect(await first).toEqual({ n: 1 });
  await expect(second).rejects.toMatchObject({ errorClass: "GenericError", message: "no" });
});

test("a request fails when its time is up, when too many wait, when the process is gone", async () => {
  const { supervisor, processes, timers } = await readyDevice();
  const late = expect(supervisor.request("query-stats", {}, 100)).rejects.toThrow(
    /no answer to query-stats within 100/,
  );
  await timers.pass(100);
  await late;
  const waiting = Array.from({ length: 64 }, () => supervisor.request("query-stats", {}, 1000));
  await expect(supervisor.request("query-stats", {}, 1000)).rejects.toThrow(/too many requests/);
  const gone = Promise.allSettled(waiting);
  processes[0]!.end({ signal: "SIGBUS" });
  const reasons = (await gone).map((result) => (result as PromiseRejectedResult).reason as { errorClass: string });
  expect(new Set(reasons.map(({ errorClass }) => errorClass))).toEqual(new Set(["DeviceNotActive"]));
  await expect(supervisor.request("query-stats", {}, 1000)).rejects.toMatchObject({ errorClass: "DeviceNotActive" });
});

test("stop() is clean when the process ends with 0 in time, and not when it has to be killed or crashes", async () => {
  const clean = await readyDevice();
  const stopped = clean.supervisor.stop();
  expect(clean.processes[0]!.requests.at(-1)).toMatchObject({ execute: "stop" });
  clean.processes[0]!.end({ code: 0 });
  expect(await stopped).toBe(true);
  expect(clean.timers.count).toBe(0);
  expect(clean.events.map(({ event }) => event)).toEqual(["DEVICE_READY"]);

  const deaf = await readyDevice();
  const killed = deaf.supervisor.stop();
  await deaf.timers.pass(4999);
  expect(deaf.processes[0]!.killed).toBe(0);
  await deaf.timers.pass(1);
  expect(await killed).toBe(false);
  expect(deaf.processes[0]!.killed).toBe(1);

  const crashing = await readyDevice();
  const crashed = crashing.supervisor.stop();
  crashing.processes[0]!.end({ signal: "SIGBUS" });
  expect(await crashed).toBe(false);
  expect(crashing.processes).toHaveLength(1);
});

test("a device that was stopped before it started does not start", async () => {
  const { supervisor, processes } = device();
  expect(await supervisor.stop()).toBe(true);
  await expect(supervisor.start()).rejects.toThrow(/stopped before it started/);
  expect(processes).toEqual([]);
});

test("stop() while it waits for a restart ends that wait; while it starts, the process", async () => {
  const lost = await readyDevice();
  lost.processes[0]!.end({ signal: "SIGBUS" });
  expect(await lost.supervisor.stop()).toBe(true);
  await lost.timers.pass(60_000);
  expect(lost.processes).toHaveLength(1);

  const starting = device();
  const failed = expect(starting.supervisor.start()).rejects.toThrow(/stopped before it listened/);
  expect(await starting.supervisor.stop()).toBe(true);
  await failed;
  expect(starting.processes[0]!.killed).toBe(1);
});

/** Lets time pass while the last process answers what it is asked. */
async function answerProbes(
  processes: ReturnType<typeof scriptedStart>["processes"],
  timers: FakeTimers,
  ms: number,
): Promise<void> {
  const process = processes.at(-1)!;
  for (let passed = 0; passed < ms; passed += 1000) {
    await timers.pass(1000);
    for (const { id } of process.requests.splice(0)) process.say({ return: {}, id });
  }
}
