/** svq relay as a service manager and a person use it, over fake data processes. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { packageRoot } from "../../src/workers/worker-url.js";
import { QmpTalk } from "../helpers/qmp-talk.js";
import { relayArgs, withRelay } from "../helpers/relay-daemon.js";
import { expectNothingLeft, expectOneLine, refused, svq, until } from "../helpers/svq.js";

const PAIR = ["--listen", "a.sock", "--connect", "b.sock"];

/** The log of a run, without the lines of one that was killed in the middle. */
function logOf(stderr: string): Record<string, unknown>[] {
  return stderr.split("\n").flatMap((line) => (line.startsWith("{") ? [JSON.parse(line)] : []));
}

/** Waits until the control socket tells of an event with this name. */
async function heard(talk: QmpTalk, name: string): Promise<Record<string, unknown>> {
  for (;;) {
    const message = await talk.next();
    if (message["event"] === name) return message["data"] as Record<string, unknown>;
  }
}

/** Whether a process runs; one that has ended and waits for its parent does not. */
function lives(pid: number): boolean {
  try {
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

describe.concurrent("a wrong word is refused by name", () => {
  test.each<[string[], RegExp]>([
    [[], /--listen is missing/],
    [["--listen", "a.sock"], /1 --listen and 0 --connect/],
    [[...PAIR, "--connect", "c.sock"], /1 --listen and 2 --connect/],
    [["--listen", "a.sock", "--connect", "./a.sock"], /--connect: \.\/a\.sock is a socket of this relay itself/],
    [[...PAIR, "--control", "b.sock"], /--connect: b\.sock is a socket of this relay itself/],
    [[...PAIR, "--control", "a.sock"], /a\.sock is given twice/],
    [[...PAIR, ...PAIR], /a\.sock is given twice/],
    [["--listen", `/${"x".repeat(107)}`, "--connect", "b"], /--listen: \/x+ has 108 bytes: at most 107/],
    [["--listen", "a", "--connect", `/${"x".repeat(107)}`], /--connect: \/x+ has 108 bytes/],
    [["--listen", "", "--connect", "b"], /--listen: "" is no path of a socket/],
    [
      [...PAIR, "--mask-backend-features", "log_all,log_everything"],
      /--mask-backend-features: no feature is named "log_everything"; there are .*log_shmfd/,
    ],
    [[...PAIR, "--datapath", "fast"], /fast.*svq, passthrough, auto/],
    [[...PAIR, "--metrics", "9464"], /--metrics: "9464" is no address/],
    [[...PAIR, "--grace", "5"], /"5" is not a duration/],
    [[...PAIR, "--grace", "0s"], /--grace: at least 1ms/],
    [[...PAIR, "--log-level", "loud"], /loud/],
    [[...PAIR, "operand"], /too many arguments/],
    [[...PAIR, "--control", "gone/c.sock"], /cannot listen on gone\/c\.sock: ENOENT/],
  ])("svq relay %j", async (args, line) => {
    const fake = join(packageRoot(), "dist/test/helpers/fake-data-process.js");
    await refused(["relay", ...args, "--data-process", fake], 2, line);
  });
});

describe("what cannot start leaves nothing behind", () => {
  test("a device that cannot use its socket ends all with its one line and 2", async () => {
    const run = await svq(relayArgs(["ok", "unusable"]));
    expect(run.code).toBe(2);
    expect(run.stderr.split("\n").at(-2)).toBe("svq: cannot listen on g1.sock: EADDRINUSE");
    expect(run.stdout).toBe("");
    expectNothingLeft(run);
    const quiet = await refused(relayArgs(["unusable"], ["--log-level", "silent"]), 2, /cannot listen on g0\.sock/);
    expectOneLine(quiet);
  });

  test("a data process that dies before it listens makes 4", async () => {
    await refused(
      relayArgs(["crash-at-start"]),
      4,
      /g0\.sock: the data process ended before it listened .*nothing works/,
    );
  });

  test("an address that is in use makes 2", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => void other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address() as { port: number };
    const args = relayArgs(["ok"], ["--metrics", `127.0.0.1:${port}`]);
    await refused(args, 2, /cannot serve metrics on 127\.0\.0\.1:\d+: EADDRINUSE/);
    await new Promise((resolve) => void other.close(resolve));
  });

  test("a control socket somebody listens on is refused and left to them", async () => {
    const folder = mkdtempSync(join(tmpdir(), "test-relay-"));
    const other = createServer().listen(join(folder, "c.sock"));
    const args = relayArgs(["ok"]).map((word) => (word === "c.sock" ? join(folder, word) : word));
    await refused(args, 2, /c\.sock: somebody listens there/);
    expect(existsSync(join(folder, "c.sock"))).toBe(true);
    await new Promise((resolve) => void other.close(resolve));
    rmSync(folder, { recursive: true });
  });

  test("SIGTERM while a device is not there yet ends with 0", async () => {
    const run = await svq(relayArgs(["never-ready"]), {
      meanwhile: async (child, folder) => {
        while (!existsSync(join(folder, "c.sock"))) await sleep(10);
        child.kill("SIGTERM");
      },
    });
    expect(run).toMatchObject({ code: 0, stdout: "" });
    expectNothingLeft(run);
  });
});

describe("a relay that runs", () => {
  test("says where it listens, hands its options on, and ends with 0 after SIGTERM", async () => {
    const more = [
      "--metrics",
      "127.0.0.1:0",
      "--datapath",
      "passthrough",
      "--mask-backend-features",
      "log_all,log_shmfd",
    ];
    const run = await withRelay(
      ["ok", "ok"],
      async ({ line, folder }) => {
        const where =
          /^listening on g0\.sock \(passthrough\), g1\.sock \(passthrough\), control c\.sock, metrics (\S+)$/;
        expect(line).toMatch(where);
        const talk = await QmpTalk.negotiated(join(folder, "c.sock"));
        const { return: status } = await talk.ask({ execute: "query-status", arguments: { device: 1 } });
        expect(status).toMatchObject({
          options: {
            index: 1,
            listen: "g1.sock",
            connect: "ok.1.sock",
            datapath: "passthrough",
            maskBackendFeatures: "log_all,log_shmfd",
            graceMs: 4500,
          },
        });
        const text = await (await fetch(where.exec(line)![1]!)).text();
        expect(text).toContain('svq_up{device="g0.sock"} 1');
        expect(text).toContain('svq_up{device="g1.sock"} 1');
        talk.socket.destroy();
      },
      more,
    );
    expect(run).toMatchObject({ code: 0, signal: null });
    const logged = logOf(run.stderr);
    expect(logged).toContainEqual(
      expect.objectContaining({ level: "info", device: "g1.sock", queue: 0, connection: 3, msg: "listening" }),
    );
    expect(run.stderr.trimEnd().split("\n")).toHaveLength(logged.length);
  });

  test("--no-isolate runs a device in the main process, and stops it as well", async () => {
    const run = await withRelay(
      ["ok"],
      async ({ child, folder }) => {
        const talk = await QmpTalk.negotiated(join(folder, "c.sock"));
        expect(await talk.ask({ execute: "query-status" })).toMatchObject({ return: { pid: child.pid } });
        talk.socket.destroy();
      },
      ["--no-isolate"],
    );
    expect(run.code).toBe(0);
  });

  test("ends with 0 after SIGINT to the whole group, and after quit; clients are told", async () => {
    const interrupted = await withRelay(["ok"], async ({ child }) => {
      const ended = new Promise((resolve) => child.once("close", resolve));
      process.kill(-child.pid!, "SIGINT");
      await ended;
    });
    expect(interrupted.code).toBe(0);
    expect(interrupted.stderr).not.toContain("PROCESS_LOST");
    const quit = await withRelay(["ok"], async ({ child, folder }) => {
      const ended = new Promise((resolve) => child.once("close", resolve));
      const talk = await QmpTalk.negotiated(join(folder, "c.sock"));
      expect(await talk.ask({ execute: "quit" })).toEqual({ return: {} });
      await heard(talk, "SHUTDOWN");
      await talk.over();
      await ended;
    });
    expect(quit.code).toBe(0);
  });

  test("a device that does not stop is killed after the grace: 4, and nothing is left", async () => {
    const run = await withRelay(["ok", "deaf-to-stop"], async () => {}, ["--grace", "300ms"]);
    expect(run.code).toBe(4);
    expect(logOf(run.stderr).at(-1)).toMatchObject({ level: "error", device: "g1.sock" });
  });

  test("a second signal ends it at once, and nothing is left", async () => {
    let pid = 0;
    const run = await svq(relayArgs(["deaf-to-stop"], ["--grace", "50s"]), {
      meanwhile: async (child, folder) => {
        await new Promise((resolve) => child.stdout!.once("data", resolve));
        const talk = await QmpTalk.negotiated(join(folder, "c.sock"));
        const { return: status } = await talk.ask({ execute: "query-status" });
        pid = (status as { pid: number }).pid;
        child.kill("SIGTERM");
        await heard(talk, "SHUTDOWN");
        child.kill("SIGTERM");
        talk.socket.destroy();
      },
    });
    expect(run).toMatchObject({ code: 143, left: [] });
    await until(() => !lives(pid));
  });

  test.each(["crash-once", "garbage", "flood"])("a device is lost and comes back, the other stays: %s", async (how) => {
    const run = await withRelay([how, "ok"], async ({ folder }) => {
      const talk = await QmpTalk.negotiated(join(folder, "c.sock"));
      const devices = async () => {
        talk.socket.write('{"execute":"query-devices","id":1}\n');
        for (;;) {
          const { id, return: value } = await talk.next();
          if (id === 1) return (value as { devices: { process: string; restarts: number; pid: number }[] }).devices;
        }
      };
      const before = (await devices())[1]!;
      for (let waited = 0; (await devices())[0]!.restarts === 0; waited += 20) {
        if (waited > 20_000) throw new Error("the device was not started again");
        await sleep(20);
      }
      expect((await devices())[1]).toEqual(before);
      talk.socket.destroy();
      rmSync(join(folder, "g0.sock.crashed"), { force: true });
    });
    expect(run.code).toBe(0);
    const lost = logOf(run.stderr).find(({ event }) => event === "DEVICE_PROCESS_LOST");
    expect(lost).toMatchObject({ device: "g0.sock", restart_in_ms: 100, signal: "SIGKILL" });
  });

  test("a stale control socket is replaced", async () => {
    const folder = mkdtempSync(join(tmpdir(), "test-relay-"));
    const path = join(folder, "c.sock");
    const program =
      "require('node:net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))";
    spawnSync(process.execPath, ["-e", program, path]);
    expect(existsSync(path)).toBe(true);
    const args = relayArgs(["ok"]).map((word) => (word === "c.sock" ? path : word));
    const run = await svq(args, {
      meanwhile: async (child) => {
        await new Promise((resolve) => child.stdout!.once("data", resolve));
        await QmpTalk.negotiated(path).then(({ socket }) => socket.destroy());
        child.kill("SIGTERM");
      },
    });
    expect(run.code).toBe(0);
    expect(existsSync(path)).toBe(false);
    rmSync(folder, { recursive: true });
  });
});

/** Files of dist/src that a command loads. */
function loadedBy(args: readonly string[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), "test-loads-"));
  const hook = join(folder, "hook.mjs");
  const load =
    'import { writeSync } from "node:fs"; export const load = (u, c, n) => (writeSync(2, u + "\\n"), n(u, c));';
  writeFileSync(join(folder, "load.mjs"), load);
  writeFileSync(hook, 'import { register } from "node:module"; register(new URL("load.mjs", import.meta.url));');
  const main = join(packageRoot(), "dist/src/cli/svq.js");
  const { stderr } = spawnSync(process.execPath, ["--import", hook, main, ...args], { encoding: "utf8" });
  rmSync(folder, { recursive: true });
  return stderr.split("\n").flatMap((line) => /dist\/src\/(.+\.js)$/.exec(line)?.[1] ?? []);
}

test("other commands load nothing of the daemon; twin: the console does", () => {
  const arena = loadedBy(["arena"]);
  expect(arena).toContain("cli/relay.js");
  expect(arena.filter((file) => file.startsWith("daemon/"))).toEqual([]);
  expect(loadedBy(["console", "/nowhere/c.sock"])).toContain("daemon/qmp-client.js");
});
