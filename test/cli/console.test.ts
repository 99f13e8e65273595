/** svq console through a pipe: its tables, its refusals, its ends. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { completed } from "../../src/cli/console-commands.js";
import { statsText } from "../../src/cli/console-tables.js";
import { consoleOn, withRelay } from "../helpers/relay-daemon.js";
import { refused } from "../helpers/svq.js";

test("a script gets an answer to every line, in order", async () => {
  await withRelay(["ok"], async (relay) => {
    const lines = [
      "# a comment",
      "",
      "show status",
      "show queue stats all",
      "show queue stats 0",
      "show features",
      "show iova",
      "show queues g0.sock",
      "set datapath passthrough",
      "show status",
      "help",
    ];
    const { code, stdout, stderr } = await relay.console(`${lines.join("\n")}\n`);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const order = [
      /^datapath +svq$/m,
      /^queue +requests +bytes +kicks +calls +requests\/s +bytes\/s$/m,
      /^ +0 +\d+ +\d+ +\d+ +\d+ +– +–$/m,
      /^ +0 +\d+ +\d+ +\d+ +\d+ +\d+ +\d+$/m,
      /^masked: log_all \(bit 26\): asked for$/m,
      /^0x1000 +0x2000 +0x0 +– +rw$/m,
      /^ +0 +256 +true +true +svq /m,
      /^\* .*DATAPATH_CHANGED .*"to":"passthrough"/m,
      /^datapath +passthrough$/m,
      /^pause_ns +250000$/m,
      /^stop daemon +stop every device and end the relay$/m,
    ].map((line) => line.exec(stdout)?.index ?? -1);
    expect(stdout.match(/^datapath +passthrough$/gm)).toHaveLength(2);
    expect(order.filter((at) => at < 0)).toEqual([]);
    expect(order).toEqual([...order].sort((a, b) => a - b));
  });
});

test("what is wrong with a line is said on stderr, the next is run, and the exit code is 1", async () => {
  await withRelay(["ok", "ok"], async (relay) => {
    const lines = [
      "frobnicate",
      "show queue stats some",
      "show queue stats 9",
      "show status nobody",
      "set datapath",
      "set datapath fast",
      "set datapath svq",
      "quit now",
      "show queues 1",
    ];
    const { code, stdout, stderr } = await relay.console(lines.join("\n"));
    expect(code).toBe(1);
    expect(stderr.trimEnd().split("\n")).toEqual([
      expect.stringContaining('unknown command "frobnicate"'),
      expect.stringContaining('"some": all, or a queue'),
      expect.stringContaining("g0.sock has no queue 9"),
      expect.stringContaining('there is no device "nobody": one of 0 (g0.sock), 1 (g1.sock)'),
      expect.stringContaining("set datapath needs one of"),
      expect.stringContaining('"fast": one of svq, passthrough, auto'),
      expect.stringContaining('argument "device" is missing'),
      expect.stringContaining('unexpected "now"'),
    ]);
    expect(stdout).toContain("in_flight");
  });
});

test("several devices are shown under their names; a peer's escape sequences are not shown", async () => {
  await withRelay(["ok", "escape"], async (relay) => {
    const { code, stdout } = await relay.console("show status\nshow queue stats all\n");
    expect(code).toBe(0);
    expect(stdout.match(/^g[01]\.sock:$/gm)).toEqual(["g0.sock:", "g1.sock:", "g0.sock:", "g1.sock:"]);
    expect(stdout).not.toContain("\u001b");
    expect(stdout).toContain("[31mred");
  });
});

test("quit leaves the relay alone; shutdown ends it", async () => {
  const run = await withRelay(["ok"], async (relay) => {
    expect(await relay.console("quit\nshutdown\n")).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(existsSync(join(relay.folder, "c.sock"))).toBe(true);
    const ended = new Promise((resolve) => relay.child.once("close", resolve));
    expect((await relay.console("stop daemon\n")).code).toBe(0);
    await ended;
  });
  expect(run.code).toBe(0);
});

test("a relay that goes away is one line and 4", async () => {
  await withRelay(["ok"], async ({ child, folder }) => {
    const run = await consoleOn(join(folder, "c.sock"), "show status\n", async (console) => {
      await new Promise((resolve) => console.stdout!.once("data", resolve));
      child.kill("SIGTERM");
    });
    expect(run.code).toBe(4);
    expect(run.stderr).toMatch(/^svq: [^\n]*c\.sock: the daemon is gone\n$/);
    expect(run.stdout).toContain("SHUTDOWN");
  });
});

test("events are shown while nothing is typed", async () => {
  await withRelay(["crash-after-ready"], async ({ folder }) => {
    const run = await consoleOn(join(folder, "c.sock"), "", async (console) => {
      let text = "";
      console.stdout!.on("data", (piece: string) => {
        text += piece;
      });
      for (let waited = 0; !text.includes("DEVICE_READY") && waited < 20_000; waited += 20) await sleep(20);
      console.stdin!.end();
    });
    expect(run.stdout).toMatch(/^\* [\d:.]+ DEVICE_(READY|PROCESS_LOST) \{.*"device":"g0\.sock"/m);
    expect(run.code).toBe(0);
  });
});

describe.concurrent("no relay, no console", () => {
  test.each([
    ["nothing there", "/nowhere/c.sock", /cannot connect to \/nowhere\/c\.sock: ENOENT/],
    ["a file", "/dev/null", /cannot connect to \/dev\/null: /],
  ])("%s", async (_, path, line) => {
    await refused(["console", path], 2, line);
  });
});

test.each<[string, string[]]>([
  ["", ["show ", "set ", "help ", "quit ", "stop ", "shutdown "]],
  ["sh", ["show ", "shutdown "]],
  ["show ", ["queue ", "status ", "features ", "iova ", "queues "]],
  ["show queue s", ["stats "]],
  ["show queue stats ", ["all "]],
  ["set datapath ", ["svq ", "passthrough ", "auto "]],
  ["set datapath p", ["passthrough "]],
  ["set datapath svq ", []],
  ["nonsense ", []],
])("completion of %j", (line, candidates) => {
  expect(completed(line)[0]).toEqual(candidates);
});

test("rates are those since the last show, and none when the process counts from 0 again", () => {
  const at = (atMs: number, requests: number) => ({
    atMs,
    stats: { queues: [{ index: 0, requests, bytes: 0, kicks: 0, calls: 0 }] },
  });
  const row = (text: string | undefined) => text!.split("\n")[2]!.trim().split(/\s+/);
  expect(row(statsText(at(1500, 700), at(1000, 200), undefined))).toEqual(["0", "700", "0", "0", "0", "1000", "0"]);
  expect(row(statsText(at(1500, 10), at(1000, 200), undefined))).toEqual(["0", "10", "0", "0", "0", "–", "0"]);
  expect(row(statsText(at(1500, 700), undefined, 0))).toEqual(["0", "700", "0", "0", "0", "–", "–"]);
  expect(statsText(at(0, 0), undefined, 1)).toBeUndefined();
});
