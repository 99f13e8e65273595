import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ControlSocket } from "../../src/daemon/control-socket.js";
import { type RoutedDevice, Router } from "../../src/daemon/router.js";
import { memoryLog } from "../helpers/memory-log.js";
import { QmpTalk } from "../helpers/qmp-talk.js";

const EVENT = { event: "CONNECTED", data: { n: 1 }, timestamp: { seconds: 1, microseconds: 2 } };
const { log, lines } = memoryLog();
let folder = "";
let path = "";
let control: ControlSocket;
let talks: QmpTalk[] = [];
let quits = 0;
/** What the device answers. */
let answer: (execute: string) => Promise<object> = async (execute) => ({ execute });

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "test-control-"));
  path = join(folder, "c.sock");
  talks = [];
  quits = 0;
  lines.length = 0;
  answer = async (execute) => ({ execute });
  const facts = { index: 0, listen: "/g", connect: "/d", process: "ready", pid: 1, restarts: 0 } as const;
  const device: RoutedDevice = { facts: () => facts, request: (execute) => answer(execute) };
  control = await ControlSocket.listen(path, new Router([device], () => quits++), "1.2.3", log);
});

afterEach(async () => {
  for (const { socket } of talks) socket.destroy();
  await control.close();
  expect(readdirSync(folder)).toEqual([]);
  rmSync(folder, { recursive: true });
});

async function talk(how: "connect" | "negotiated" = "negotiated"): Promise<QmpTalk> {
  const made = await QmpTalk[how](path);
  talks.push(made);
  return made;
}

function openFds(): number {
  return readdirSync("/proc/self/fd").length;
}

test("a session is greeted, negotiates first, and gets its ids back", async () => {
  const client = await talk("connect");
  expect(await client.next()).toEqual({
    QMP: { version: { svq: { major: 1, minor: 2, micro: 3 }, package: "svq 1.2.3" }, capabilities: [] },
  });
  expect(await client.ask({ execute: "query-status", id: 1 })).toMatchObject({
    error: { class: "CommandNotFound", desc: expect.stringContaining("qmp_capabilities") },
    id: 1,
  });
  expect(await client.ask({ execute: "qmp_capabilities", arguments: { enable: ["oob"] } })).toHaveProperty("error");
  expect(await client.ask({ execute: "qmp_capabilities", arguments: { more: 1 } })).toHaveProperty("error");
  expect(await client.ask({ execute: "qmp_capabilities", id: null })).toEqual({ return: {}, id: null });
  expect(await client.ask({ execute: "query-status", id: { a: [1] } })).toEqual({
    return: { execute: "query-status" },
    id: { a: [1] },
  });
  expect(await client.ask({ execute: "query-status" })).toEqual({ return: { execute: "query-status" } });
  expect(await client.ask({ execute: "qmp_capabilities" })).toMatchObject({ error: { class: "CommandNotFound" } });
});

test.each<[string, string]>([
  ["{", "no JSON"],
  ["[]", "no JSON object"],
  ["7", "no JSON object"],
  ["{}", '"execute"'],
  ['{"execute":7}', '"execute"'],
  ['{"execute":"query-status","arguments":[]}', '"arguments"'],
  ['{"execute":"query-status","control":{}}', '"control"'],
  ['{"execute":"query-status","__proto__":{}}', '"__proto__"'],
  [`{"execute":"query-status","id":${"[".repeat(20_000)}${"]".repeat(20_000)}}`, "nests too deeply"],
])("a line that is no command is an error, and the session goes on: %.60s", async (line, why) => {
  const client = await talk();
  expect(await client.ask(line)).toMatchObject({
    error: { class: "GenericError", desc: expect.stringContaining(why) },
  });
  expect(await client.ask({ execute: "query-status", id: 2 })).toMatchObject({ id: 2, return: {} });
});

test("a line over 1 MiB is an error as soon as it is, its rest is passed over, and the session goes on", async () => {
  const client = await talk();
  client.socket.write(`{"execute":"${"x".repeat(2 ** 20)}`);
  expect(await client.next()).toMatchObject({ error: { desc: expect.stringContaining("1048576") } });
  client.socket.write(`${"y".repeat(2 ** 21)}"}\n`);
  expect(await client.ask({ execute: "query-status", id: 3 })).toMatchObject({ id: 3, return: {} });
});

test("replies come in the order of the commands, and one runs at a time", async () => {
  let running = 0;
  let most = 0;
  answer = async (execute) => {
    most = Math.max(most, ++running);
    await sleep(1);
    running--;
    return { execute };
  };
  const client = await talk();
  client.socket.write(Array.from({ length: 50 }, (_, id) => `{"execute":"query-stats","id":${id}}\n`).join(""));
  const ids: unknown[] = [];
  for (let i = 0; i < 50; i++) ids.push((await client.next())["id"]);
  expect(ids).toEqual(Array.from({ length: 50 }, (_, id) => id));
  expect(most).toBe(1);
});

test("events go to every session that has negotiated, and to no other", async () => {
  const [a, b, fresh] = [await talk(), await talk(), await talk("connect")];
  await fresh.next();
  control.tell(EVENT);
  expect(await a.next()).toEqual(EVENT);
  expect(await b.next()).toEqual(EVENT);
  expect(await fresh.ask({ execute: "qmp_capabilities" })).toEqual({ return: {} });
});

test("a client that has sent its last command still gets its replies", async () => {
  answer = async () => {
    await sleep(20);
    return {};
  };
  const client = await talk("connect");
  client.socket.end('{"execute":"qmp_capabilities"}\n{"execute":"query-stats","id":9}\n');
  await client.over();
  expect(client.messages.at(-1)).toEqual({ return: {}, id: 9 });
  expect(client.messages).toHaveLength(3);
});

test("a client that does not read is dropped with a line in the log; the others are not", async () => {
  const [idle, other] = [await talk(), await talk()];
  idle.socket.pause();
  const large = { ...EVENT, data: { text: "x".repeat(2 ** 20) } };
  for (let i = 0; i < 12; i++) {
    control.tell(large);
    await other.next();
  }
  expect(lines.map(({ msg }) => msg)).toEqual([expect.stringMatching(/client dropped: it left \d+ bytes unread/)]);
  expect(await other.ask({ execute: "query-status" })).toHaveProperty("return");
});

test("clients over the bound are closed at once, and make room when they leave", async () => {
  const many = await Promise.all(Array.from({ length: 64 }, () => talk()));
  const over = await talk("connect");
  await over.over();
  expect(lines[0]).toMatchObject({ msg: expect.stringContaining("more than 64 clients") });
  many[0]!.socket.destroy();
  let room: QmpTalk | undefined;
  // The daemon hears of a client that leaves a moment later.
  for (let tries = 0; room === undefined && tries < 200; tries++) {
    await sleep(10);
    room = await talk().catch(() => undefined);
  }
  expect(await room?.ask({ execute: "query-status" })).toHaveProperty("return");
});

test("clients that vanish in the middle of anything leave nothing", async () => {
  await (await talk()).ask({ execute: "query-status" });
  const before = openFds();
  for (let i = 0; i < 300; i++) {
    const client = await QmpTalk.connect(path);
    if (i % 3 === 0) client.socket.write('{"execute":"qmp_capab');
    if (i % 3 === 1) client.socket.write('{"execute":"qmp_capabilities"}\n{"execute":"query-stats"}\n'.repeat(20));
    client.socket.destroy();
  }
  const last = await talk();
  expect(await last.ask({ execute: "query-status" })).toHaveProperty("return");
  for (let waited = 0; openFds() > before + 4 && waited < 5000; waited += 50) await sleep(50);
  expect(openFds()).toBeLessThanOrEqual(before + 4);
});

test("quit is answered before what it starts", async () => {
  const client = await talk();
  client.socket.once("data", () => expect(client.messages[0]).toHaveProperty("return"));
  expect(await client.ask({ execute: "quit", id: "q" })).toEqual({ return: {}, id: "q" });
  expect(quits).toBe(1);
});
