/** A machine in threads: how it starts, works, breaks and ends. */
import { spawnSync } from "node:child_process";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type MachineOptions, Stuck, type ThreadedMachine } from "../../src/lab/threaded-machine.js";
import { WindowSeries } from "../../src/lab/windows.js";
import { VIRTIO_CONFIG_S_SUSPEND } from "../../src/layout/virtio-config.js";
import { type Arena, NOTIFIERS, notifierOffset } from "../../src/machine/arena.js";
import type { MachineConfig } from "../../src/machine/config.js";
import { doorbells } from "../../src/machine/views.js";
import { EventFd } from "../../src/memory/bell.js";
import { RealMemory } from "../../src/memory/real-memory.js";
import { RunBroken } from "../../src/report/exit-codes.js";
import { FlightRecorder } from "../../src/report/flight-recorder.js";
import { DriverTransport } from "../../src/transport/driver-transport.js";
import { job, SENT_SHA256, SMALL, withMachine, withRunning, workersAlive } from "../helpers/threaded.js";

const hasTaskset = spawnSync("taskset", ["--version"]).status === 0;
const linux = process.platform === "linux";
const ALL_WELL = { lost: 0, duplicated: 0, refused: 0, fault: undefined };
const BLK: Partial<MachineConfig> = { device: "blk", requestBytes: 512 };

let workersBefore = 0;

beforeEach(() => {
  workersBefore = workersAlive();
});

// Whatever a test does to its machine, it leaves no thread.
afterEach(() => {
  expect(workersAlive()).toBe(workersBefore);
});

describe("a machine", () => {
  test.each<[string, Partial<MachineConfig>, string[]]>([
    ["svq/threads", { ...BLK }, ["device", "relay", "driver"]],
    ["svq/fused", { placement: "fused", ...BLK }, ["fused", "driver"]],
    ["svq/inline", { placement: "inline" }, ["inline"]],
    ["passthrough/threads", { path: "passthrough", iovaPolicy: "gpa" }, ["device", "relay", "driver"]],
    ["used-only/fused", { path: "used-only", placement: "fused", iovaPolicy: "fixed" }, ["fused", "driver"]],
  ])("%s starts, pins its threads, does a job and a window, and accounts for every descriptor", (_, change, threads) =>
    withRunning(change, {}, async (machine) => {
      expect(machine.pinning.pinned).toBe(linux && hasTaskset);
      expect(machine.pinning.reason).toBe(linux && hasTaskset ? undefined : expect.stringMatching(/./));
      expect(machine.refusals).toContainEqual(expect.stringMatching(/^ACCESS_PLATFORM: /));
      const { result, received } = await job(machine);
      expect(result).toMatchObject(ALL_WELL);
      expect(received).toEqual({ equal: true, sha256: SENT_SHA256 });
      const accounting = await machine.sync();
      expect(accounting.length).toBe(machine.config.path === "svq" ? 2 : 1);
      for (const { size, free, inFlight } of accounting)
        expect({ free, inFlight }).toEqual({ free: size, inFlight: 0 });
      const series = new WindowSeries(machine);
      await series.take(1e6, true);
      expect(series.failures(SENT_SHA256)).toEqual([]);
      expect(series.requests % result.requests).toBe(0);
      expect(machine.counters("driver").requests).toBe(series.requests + result.requests);
      expect(machine.lost).toEqual([]);
      const times = machine.times();
      expect(Object.keys(times).sort()).toEqual(threads.toSorted());
      for (const time of Object.values(times)) expect(time !== null && time!.on_cpu_ns > 0).toBe(linux);
    }),
  );

  test("does part of a pass, then the rest", () =>
    withRunning({}, {}, async (machine) => {
      const first = await job(machine, 10);
      expect(first).toEqual({ result: { ...ALL_WELL, requests: 10 }, received: undefined });
      const second = await job(machine, 2 ** 30, 10);
      expect(second).toMatchObject({ result: ALL_WELL, received: { equal: true, sha256: SENT_SHA256 } });
    }));

  test("is refused before a thread starts when its config cannot be", async () => {
    for (const change of [{ queueSize: 3 }, { depth: 30_000, batch: 1 }, { apertureLast: 2 ** 20 }]) {
      await expect(withMachine(change, {}, async () => {})).rejects.toMatchObject({ name: "ConfigError" });
    }
  });

  test("that polls sleeps while others have their turn, and not before", async (ctx) => {
    if (!linux) return ctx.skip("the kernel does not say how long a thread ran");
    const one = { path: "passthrough", iovaPolicy: "gpa", waiting: "polled" } as const;
    await withRunning(one, {}, async (machine) => {
      const onCpu = () => machine.times().driver!.on_cpu_ns;
      const awake = await spentIn(onCpu);
      for (const role of ["driver", "relay", "device"] as const) machine.tell(role, { kind: "rest" });
      await spentIn(onCpu);
      expect(await spentIn(onCpu)).toBeLessThan(awake / 4);
      await machine.sync();
      expect((await job(machine)).received).toMatchObject({ equal: true });
    });
  });
});

/** Nanoseconds that a clock advances while the event loop waits for a while. */
async function spentIn(clock: () => number): Promise<number> {
  const before = clock();
  await new Promise((resolve) => setTimeout(resolve, 300));
  return clock() - before;
}

describe("stop()", () => {
  test("ends a machine that was never started, that is starting, and one that has ended", async () => {
    await withMachine({}, {}, async (machine) => machine.stop());
    await withMachine({}, {}, async (machine) => {
      const started = expect(machine.start()).rejects.toThrow("stopped");
      await machine.stop();
      await started;
      await machine.stop();
    });
  });

  test("ends one that is at work; whoever waits for it hears so", () =>
    withRunning({}, {}, async (machine) => {
      const window = expect(new WindowSeries(machine).take(60e9, true)).rejects.toThrow("stopped");
      await machine.stop();
      await window;
      await expect(job(machine)).rejects.toThrow("stopped");
    }));
});

describe("a worker that breaks ends the run and is named", () => {
  test("one that throws while it starts", async () => {
    const image = { path: "/nonexistent/disk.img", bytes: 512 };
    const error = await withRunning(BLK, { image }, async () => {}).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(RunBroken);
    expect((error as Error).message).toMatch(/^device: ENOENT.*\/nonexistent\/disk\.img/);
  });

  test("one whose memory is not what it has to be", async () => {
    const small = new SharedArrayBuffer(4);
    const broken = async (poison: Partial<Arena>, options: Partial<MachineOptions> = {}) => {
      const error = await withMachine({}, options, async (machine) => {
        Object.assign(machine.arena, poison);
        await machine.start();
        // The driver may hear of a broken queue before main does.
        const { result } = await job(machine);
        throw new RunBroken(`driver: ${result.fault}`);
      }).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(RunBroken);
      return (error as Error).message;
    };
    expect(await broken({ log: small })).toMatch(/^relay: /);
    expect(await broken({ shadowRings: small })).toMatch(/^(relay broke a|driver: queue 0).*ring-outside-memory/);
    expect(await broken({}, { stamps: [new SharedArrayBuffer(3)] })).toMatch(/^device: /);
  });

  test("one that throws in the middle of a job", async () => {
    // The copy of guest RAM ends before the buffers of the requests.
    const mirror = [new SharedArrayBuffer(8192), new SharedArrayBuffer(8192)];
    await expect(withRunning({}, { mirror }, (machine) => job(machine))).rejects.toThrow(/^driver: /);
  });

  test.each(["driver", "relay", "device"] as const)("one that ends by itself: %s", (role) =>
    withRunning({}, {}, async (machine) => {
      const window = new WindowSeries(machine).take(60e9, true);
      machine.tell(role, { kind: "stop" });
      await expect(window).rejects.toThrow(`${role} worker ended by itself with 0`);
      await expect(window).rejects.toBeInstanceOf(RunBroken);
    }),
  );

  test("one whose file fails", () =>
    withRunning(BLK, { image: { path: "/dev/full", bytes: 2 ** 20 } }, async (machine) => {
      await expect(job(machine)).rejects.toThrow(/^device: \/dev\/full: ENOSPC/);
    }));
});

/** Writes to the device as its driver would: behind the relay's back. */
function suspendDevice({ arena }: ThreadedMachine): void {
  const registers = new RealMemory(arena.deviceRegisters);
  const intruder = new DriverTransport(registers, 0, doorbells(arena.bells)[2]!);
  intruder.state.written = intruder.status() & ~VIRTIO_CONFIG_S_SUSPEND;
  intruder.state.version = 30_000;
  intruder.suspend();
}

/** Resets the relay as its guest would: behind the driver's back. */
function resetRelay({ arena }: ThreadedMachine): void {
  const intruder = new DriverTransport(new RealMemory(arena.guestRegisters), 0, doorbells(arena.bells)[1]!);
  intruder.state.version = 30_000;
  intruder.reset();
}

describe("a role that holds up the work", () => {
  const HINDERED: readonly [Partial<MachineConfig>, (machine: ThreadedMachine) => void, RegExp][] = [
    [{}, suspendDevice, /device holds 4 chains of the shadow ring/],
    [{ path: "passthrough", iovaPolicy: "gpa" }, suspendDevice, /device holds 4 chains of the guest's ring/],
    [{}, resetRelay, /relay holds 4 chains of the guest's ring/],
  ];

  test("is reported by name, with the state of the rings; a machine that works as long is not", async () => {
    const stuck = HINDERED.map(([change, hinder, words]) =>
      withRunning(change, {}, async (machine) => {
        hinder(machine);
        // A thread answers before its next step: the second answer says that it has taken one.
        await machine.sync();
        await machine.sync();
        const started = performance.now();
        const error = (await job(machine, 4).catch((thrown: unknown) => thrown)) as Error;
        // 5 s without progress, and what a busy machine adds.
        expect(performance.now() - started).toBeLessThan(12_000);
        expect(error).toBeInstanceOf(Stuck);
        expect(error.message).toMatch(/^no progress for [\d.]+ s: /);
        expect(error.message).toMatch(words);
        expect(error.message).toMatch(/guest ring 0: avail\.idx 4 .* used\.idx 0 /);
        expect(error.message).toMatch(/driver: \d+ busy turns, \d+ sleeps, \d+ timeouts/);
        expect(machine.lost).toEqual([]);
      }),
    );
    const working = withRunning({ placement: "fused" }, {}, (machine) => new WindowSeries(machine).take(5.5e9, true));
    const ends = await Promise.allSettled([...stuck, working]);
    expect(ends.filter(({ status }) => status === "rejected")).toEqual([]);
  });
});

describe("a lost notification", () => {
  const sleepy = { waiting: "notified" } as const;

  test.each([
    { path: "svq" } as const,
    { path: "svq", placement: "fused" } as const,
    { path: "passthrough", iovaPolicy: "gpa" } as const,
  ])("a call that is lost is found by the driver, a call that comes is not counted: %j", async (change) => {
    for (const fault of [undefined, { kind: "lose-call", at: 0 } as const]) {
      const recorder = new FlightRecorder(64);
      await withRunning({ ...sleepy, ...change }, { fault, recorder }, async (machine) => {
        const { result, received } = await job(machine);
        expect({ result, received }).toMatchObject({ result: ALL_WELL, received: { equal: true } });
        expect(machine.lost).toEqual(fault === undefined ? [] : ["driver"]);
        expect(machine.counters("driver").lostNotifications).toBe(fault === undefined ? 0 : 1);
        const dumped = recorder.dump().filter((line) => line.includes("lost-notification"));
        if (fault === undefined) expect(dumped).toEqual([]);
        else expect(dumped).toEqual([expect.stringMatching(/guest ring 0: avail\.idx \d+/)]);
      });
    }
  });

  test.each([
    ["relay", { path: "svq" }],
    ["device", { path: "passthrough", iovaPolicy: "gpa" }],
    ["relay+device", { path: "svq", placement: "fused" }],
  ] as const)("a kick that wakes nobody is found by whom it was for: %s", (role, change) =>
    withRunning({ ...sleepy, ...change }, {}, async (machine) => {
      const { arena } = machine;
      const kick = notifierOffset(0, NOTIFIERS.guestKick);
      // Nobody's bell is rung any more.
      new EventFd(new RealMemory(arena.notifiers), kick, []).detach();
      expect((await job(machine, SMALL.batch)).result).toMatchObject({ ...ALL_WELL, requests: SMALL.batch });
      expect(machine.lost).toEqual([role]);
    }),
  );

  test("sleeps that end by timeout with nothing to do are none", () =>
    withRunning(sleepy, {}, async (machine) => {
      await new Promise((resolve) => setTimeout(resolve, 1_300));
      expect((await job(machine)).result).toMatchObject(ALL_WELL);
      const timeouts = (["driver", "relay", "device"] as const).map((role) => machine.counters(role).timeouts);
      expect(Math.min(...timeouts)).toBeGreaterThan(0);
      expect(machine.lost).toEqual([]);
    }));
});
