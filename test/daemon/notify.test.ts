import { expect, test } from "vitest";
import { notifyManager } from "../../src/daemon/notify.js";

test("notifyManager() tells the socket of NOTIFY_SOCKET, and nobody without it", async () => {
  const sent: [string, string][] = [];
  const tell = (state: string, address: string) => sent.push([state, address]);
  expect(await notifyManager("READY=1", { NOTIFY_SOCKET: "@n" }, tell)).toBeUndefined();
  expect(await notifyManager("READY=1", {}, tell)).toBeUndefined();
  expect(await notifyManager("READY=1", { NOTIFY_SOCKET: "" }, tell)).toBeUndefined();
  expect(sent).toEqual([["READY=1", "@n"]]);
});

test("notifyManager() says why a manager cannot be told", async () => {
  const why = await notifyManager("READY=1", { NOTIFY_SOCKET: "/nowhere/notify" });
  expect(why).toMatch(/^NOTIFY_SOCKET \/nowhere\/notify: .*(ENOENT|No such file)/);
});
