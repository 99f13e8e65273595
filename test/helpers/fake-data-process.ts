/**
 * A data process that relays nothing: it speaks the control line, and misbehaves as the name of its back end says.
 *
 * "ok", "unusable", "crash-at-start", "crash-after-ready", "crash-once", "mute", "garbage", "flood", "deaf-to-stop",
 * "never-ready", "escape"; with a suffix after a dot, as in /some/folder/ok.sock.
 */
import { existsSync, writeFileSync } from "node:fs";
import { createServer, Socket } from "node:net";
import { basename } from "node:path";
import { isMainThread, workerData } from "node:worker_threads";
import type { DataProcessOptions, DataWorkerData } from "../../src/daemon/control-messages.js";

const { options, controlFd } = isMainThread
  ? { options: JSON.parse(process.argv[2]!) as DataProcessOptions, controlFd: 3 }
  : (workerData as DataWorkerData);
const behaviour = basename(options.connect).split(".")[0]!;
const control = new Socket({ fd: controlFd, readable: true, writable: true });
const started = process.hrtime.bigint();
const server = createServer();
let datapath: string = options.datapath;
let asked = 0;

if (isMainThread) for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => {});

if (behaviour === "unusable") end(`svq: cannot listen on ${options.listen}: EADDRINUSE`, 2);
if (behaviour === "crash-at-start") throw new Error("nothing works here");
if (behaviour !== "never-ready") server.listen(options.listen, ready);

function ready(): void {
  say({ event: "DEVICE_READY", data: { listen: options.listen }, timestamp: { seconds: 1, microseconds: 2 } });
  say({ log: { level: "info", msg: "listening", queue: 0, connection: 3, odd: { not: "plain" } } });
  if (behaviour === "garbage") control.write("this is no JSON\n");
  if (behaviour === "flood") control.write("x".repeat(5 * 2 ** 20));
  if (behaviour === "crash-after-ready") setTimeout(() => process.kill(process.pid, "SIGKILL"), 5);
  if (behaviour === "crash-once" && !existsSync(`${options.listen}.crashed`)) {
    writeFileSync(`${options.listen}.crashed`, "");
    setTimeout(() => process.kill(process.pid, "SIGKILL"), 5);
  }
}

let held = "";
control.setEncoding("utf8").on("data", (text: string) => {
  held += text;
  for (let end = held.indexOf("\n"); end >= 0; end = held.indexOf("\n")) {
    const line = held.slice(0, end);
    held = held.slice(end + 1);
    obey(JSON.parse(line) as { execute: string; arguments: Record<string, unknown>; id: number });
  }
});
control.on("end", () => process.exit(0));

function obey({ execute, arguments: args, id }: { execute: string; arguments: Record<string, unknown>; id: number }) {
  asked++;
  if (execute === "stop") {
    if (behaviour === "deaf-to-stop") return;
    say({ return: {}, id });
    server.close();
    process.exit(0);
  }
  if (behaviour === "mute") return;
  if (execute === "set-datapath") {
    const from = datapath;
    datapath = String(args["datapath"]);
    const data = { from, to: datapath, why: "command", pause_ns: 250_000 };
    say({ event: "DATAPATH_CHANGED", data, timestamp: { seconds: 3, microseconds: 4 } });
    return say({ return: { datapath, pause_ns: 250_000 }, id });
  }
  const answer = answers()[execute];
  if (answer === undefined) return say({ error: { class: "CommandNotFound", desc: `no ${execute}` }, id });
  say({ return: answer, id });
}

function answers(): Record<string, object> {
  const { listen, connect } = options;
  const queue = { index: 0, requests: 100 * asked, bytes: 4096 * asked, kicks: asked, calls: 2 * asked };
  return {
    "query-status": {
      listen,
      connect: behaviour === "escape" ? "\u001b[31mred" : connect,
      state: "running",
      datapath,
      options,
      pid: process.pid,
      uptime_seconds: Number((process.hrtime.bigint() - started) / 1_000_000_000n),
    },
    "query-vq-status": { queues: [{ index: 0, num: 256, enabled: true, running: true, datapath, in_flight: 7 }] },
    "query-iova-tree": { mappings: [{ iova: 4096, bytes: 8192, gpa: 0, perm: "rw" }] },
    "query-features": {
      backend: ["version_1", "log_all"],
      offered: ["version_1"],
      accepted: [],
      masked: [{ name: "log_all", bit: 26, why: "asked for" }],
      protocol: { backend: ["mq"], offered: ["mq"], accepted: [], masked: [] },
    },
    "query-stats": {
      requests: 100 * asked,
      bytes: 4096 * asked,
      kicks: 4,
      calls: 2,
      switches: 1,
      faults: 0,
      dirty_marks: 9,
      syscalls: 11,
      messages: { GET_FEATURES: { received: 1, sent: 2 } },
      cpu_ns: 5e8,
      rss_bytes: 6e7,
      fds: 21,
      queues: [queue],
    },
  };
}

function say(message: object): void {
  control.write(`${JSON.stringify(message)}\n`);
}

function end(line: string, code: number): never {
  process.stderr.write(`${line}\n`);
  process.exit(code);
}
