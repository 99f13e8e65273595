/** svq relay with its real data processes: what one guest does costs one device, and nothing adds up. */
import type { ChildProcess } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import { UnixSocket } from "../../src/sys/unix-socket.js";
import { BackEndProcess } from "../helpers/data-process.js";
import { QmpTalk } from "../helpers/qmp-talk.js";
import { expectNothingLeft, type SvqRun, svq } from "../helpers/svq.js";
import type { BackEndManners } from "../helpers/vhost-back-end.js";
import { RAM_THAT_SHRINKS, TestFront } from "../helpers/vhost-front.js";

const CONNECTS = 1000;
const RSS_GROWTH_BYTES = 24 * 2 ** 20;

interface Device {
  readonly pid: number;
  readonly process: string;
  readonly restarts: number;
}

interface Running {
  readonly child: ChildProcess;
  /** Where front ends connect: two devices. */
  readonly paths: readonly string[];
  readonly talk: QmpTalk;
  /** Asks until the answer is as wanted. */
  readonly devices: (wanted: (devices: readonly Device[]) => boolean) => Promise<readonly Device[]>;
  readonly events: string[];
}

/** Runs a relay of two devices with real data processes and a back end each; nothing is left when it returns. */
async function withDevices(manners: BackEndManners, more: readonly string[], use: (running: Running) => Promise<void>) {
  const backs: BackEndProcess[] = [];
  const args = ["--listen", "a.sock", "--connect", "a-disk.sock", "--listen", "b.sock", "--connect", "b-disk.sock"];
  const meanwhile = async (child: ChildProcess, folder: string) => {
    try {
      for (const name of ["a-disk.sock", "b-disk.sock"]) {
        const path = join(folder, name);
        backs.push(new BackEndProcess({ path, queues: 1, diskBytes: 1 << 20, sessions: [manners] }));
      }
      await Promise.all(backs.map((back) => back.ready()));
      await new Promise((resolve) => child.stdout!.once("data", resolve));
      const talk = await QmpTalk.negotiated(join(folder, "c.sock"));
      const paths = ["a.sock", "b.sock"].map((name) => join(folder, name));
      await use({ child, paths, talk, ...asking(talk) });
      talk.socket.destroy();
    } finally {
      child.kill("SIGTERM");
      await new Promise((resolve) => child.once("exit", resolve));
      await Promise.all(backs.map((back) => back.stop()));
    }
  };
  const run = await svq(["relay", ...args, "--control", "c.sock", ...more], { meanwhile, timeoutMs: 100_000 });
  expectNothingLeft(run);
  return run;
}

function asking(talk: QmpTalk): Pick<Running, "devices" | "events"> {
  const events: string[] = [];
  let id = 0;
  const once = async () => {
    talk.socket.write(`{"execute":"query-devices","id":${++id}}\n`);
    for (;;) {
      const message = await talk.next();
      if (typeof message["event"] === "string") events.push(message["event"]);
      if (message["id"] === id) return (message["return"] as { devices: Device[] }).devices;
    }
  };
  const devices = async (wanted: (devices: readonly Device[]) => boolean) => {
    for (const endMs = performance.now() + 30_000; ; ) {
      const there = await once();
      if (wanted(there)) return there;
      if (performance.now() > endMs) throw new Error(`the devices stay ${JSON.stringify(there)}`);
    }
  };
  return { devices, events };
}

function serve(path: string): void {
  const guest = new TestFront({ path });
  guest.startAll().load(20);
  guest.stopAll();
  guest.close();
}

/** Descriptors and resident bytes of a process. */
function resources(pid: number): { fds: number; rss: number } {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return { fds: readdirSync(`/proc/${pid}/fd`).length, rss: Number(/VmRSS:\s*(\d+)/.exec(status)![1]) * 1024 };
}

/** Whether the log of a run names an event. */
function logged({ stderr }: SvqRun, event: string): boolean {
  return stderr.includes(`"event":"${event}"`);
}

test("memory that becomes shorter ends one data process by SIGBUS; it comes back, the other device goes on", async () => {
  const run = await withDevices({}, [], async ({ paths, devices, events }) => {
    const other = new TestFront({ path: paths[1]! });
    other.startAll().load(10);
    const before = await devices(() => true);
    const guest = new TestFront({
      path: paths[0]!,
      ram: RAM_THAT_SHRINKS,
    });
    guest.startAll().load(10);
    guest.shorten(0);
    guest.queues[0]!.kick.signal();
    const after = await devices(([first]) => first!.restarts === 1 && first!.process === "ready");
    guest.back.close();
    expect(after[1]).toEqual(before[1]);
    expect(events).toContain("DEVICE_PROCESS_LOST");
    other.load(10);
    serve(paths[0]!);
    other.stopAll();
    other.close();
  });
  expect(run.code).toBe(0);
  const lost = run.stderr.split("\n").find((line) => line.includes('"event":"DEVICE_PROCESS_LOST"'))!;
  expect(JSON.parse(lost)).toMatchObject({ device: "a.sock", signal: "SIGBUS", restart_in_ms: 100 });
});

test(`${CONNECTS} connections leave no descriptor and little memory, in the daemon and in the data process`, async () => {
  const run = await withDevices({}, [], async ({ child, paths, devices }) => {
    const [path] = paths;
    const warm = async (count: number) => {
      for (let i = 0; i < count; i++) {
        UnixSocket.connect(path!, 10_000).close();
        // The log of the daemon is read, so that nobody waits for this process.
        if (i % 20 === 0) await nextTurn();
        if (i % 100 === 0) serve(path!);
      }
    };
    const seen = async () => {
      const [first] = await devices(() => true);
      return [resources(child.pid!), resources(first!.pid)] as const;
    };
    await warm(CONNECTS / 2);
    serve(path!);
    const before = await seen();
    await warm(CONNECTS);
    serve(path!);
    const after = await seen();
    console.log(`${CONNECTS} connections, daemon and data process:`, before, after);
    for (const which of [0, 1] as const) {
      expect(after[which].fds).toBe(before[which].fds);
      expect(after[which].rss - before[which].rss).toBeLessThan(RSS_GROWTH_BYTES);
    }
  });
  expect(run.code).toBe(0);
});

test("SIGTERM while a back end is silent ends the daemon with 0 within its grace", async () => {
  const silent: BackEndManners = { at: { name: "GET_VRING_BASE", does: "silence" } };
  const run = await withDevices(silent, ["--grace", "3s"], async ({ paths }) => {
    const guest = new TestFront({ path: paths[0]! });
    guest.startAll().load(10);
  });
  expect(run.code).toBe(0);
  expect(logged(run, "BACKEND_LOST")).toBe(true);
});
