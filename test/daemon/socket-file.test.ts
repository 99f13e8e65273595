import { spawn } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkSocketPath, listenAt, SocketFile } from "../../src/daemon/socket-file.js";

let folder = "";
let servers: Server[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "test-socket-"));
  servers = [];
});

afterEach(async () => {
  await Promise.all(servers.map((server) => new Promise((resolve) => void server.close(resolve))));
  rmSync(folder, { recursive: true });
});

function server(): Server {
  const made = createServer((socket) => socket.destroy());
  servers.push(made);
  return made;
}

/** A socket file whose listener was killed. */
async function staleSocket(path: string): Promise<void> {
  const program =
    "require('node:net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))";
  const child = spawn(process.execPath, ["-e", program, path], { stdio: "ignore" });
  await new Promise((resolve) => child.on("close", resolve));
  expect(lstatSync(path).isSocket()).toBe(true);
}

test("a socket is there with mode 0600, under its own name only", async () => {
  const path = join(folder, "a.sock");
  const before = process.umask(0);
  try {
    await listenAt(server(), path);
    expect(process.umask()).toBe(0);
  } finally {
    process.umask(before);
  }
  expect(lstatSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder)).toEqual(["a.sock"]);
});

test("a path of 107 bytes can be listened on, wherever the name that is bound first would end", async () => {
  const path = join(folder, "x".repeat(107 - folder.length - 1));
  checkSocketPath("--control", path);
  await listenAt(server(), path);
  expect(lstatSync(path).isSocket()).toBe(true);
});

test("a stale socket is replaced; a live one and a file that is none are refused by name and left alone", async () => {
  const stale = join(folder, "stale.sock");
  await staleSocket(stale);
  await listenAt(server(), stale);

  const inode = lstatSync(stale).ino;
  await expect(listenAt(server(), stale)).rejects.toThrow(`cannot listen on ${stale}: somebody listens there`);
  expect(lstatSync(stale).ino).toBe(inode);

  const file = join(folder, "file");
  writeFileSync(file, "precious");
  await expect(listenAt(server(), file)).rejects.toThrow(`cannot listen on ${file}: there is a file that is no socket`);
  expect(lstatSync(file).size).toBe(8);
  expect(readdirSync(folder).sort()).toEqual(["file", "stale.sock"]);
});

test.each([
  ["a folder that is not there", "gone/a.sock", "ENOENT"],
  ["a folder that is a file", "plain/a.sock", "ENOTDIR"],
])("%s is refused by name", async (_, name, code) => {
  writeFileSync(join(folder, "plain"), "");
  await expect(listenAt(server(), join(folder, name))).rejects.toMatchObject({
    name: "UsageError",
    message: `cannot listen on ${join(folder, name)}: ${code}`,
  });
});

test("a socket file is removed while it is ours, and left alone when somebody else has its name", async () => {
  const path = join(folder, "a.sock");
  const ours = await listenAt(server(), path);
  renameSync(path, join(folder, "moved.sock"));
  const theirs = await listenAt(server(), path);
  ours.remove();
  expect(existsSync(path)).toBe(true);
  theirs.remove();
  expect(existsSync(path)).toBe(false);
  theirs.remove();
  mkdirSync(path);
  expect(SocketFile.at(path)).toBeUndefined();
});

test("closing the server alone does not remove a file that has taken its name", async () => {
  const path = join(folder, "a.sock");
  const first = createServer();
  await listenAt(first, path);
  rmSync(path);
  await listenAt(server(), path);
  await new Promise((resolve) => void first.close(resolve));
  expect(existsSync(path)).toBe(true);
});

test("twin: with a plain listen() it does", async () => {
  const path = join(folder, "a.sock");
  const first = createServer();
  await new Promise<void>((resolve) => void first.listen(path, resolve));
  rmSync(path);
  await listenAt(server(), path);
  await new Promise((resolve) => void first.close(resolve));
  expect(existsSync(path)).toBe(false);
});

test.each([
  ["", "is no path of a socket"],
  ["/run/", "is no path of a socket"],
  ["..", "is no path of a socket"],
  ["a\0b", "is no path of a socket"],
  [`/${"é".repeat(54)}`, "has 109 bytes: at most 107"],
])("checkSocketPath() refuses %j", (path, why) => {
  expect(() => checkSocketPath("--listen", path)).toThrow(why);
});
