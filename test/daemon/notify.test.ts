import { expect, test } from "vitest";
import { notifyManager } from "../../src/daemon/notify.js";

test("notifyManager() tells the socket of NOTIFY_SOCKET, also in the abstract namespace", () => {
  const sent: [string, string][] = [];
  const send = (path: string, text: string) => void sent.push([path, text]);
  expect(notifyManager("READY=1", send, { NOTIFY_SOCKET: "/run/n" })).toBeUndefined();
  expect(notifyManager("STOPPING=1", send, { NOTIFY_SOCKET: "@n" })).toBeUndefined();
  expect(sent).toEqual([
    ["/run/n", "READY=1"],
    ["\0n", "STOPPING=1"],
  ]);
});

test("notifyManager() does nothing without NOTIFY_SOCKET, and says why when it cannot tell", () => {
  const fails = () => {
    throw new Error("ECONNREFUSED");
  };
  expect(notifyManager("READY=1", fails, {})).toBeUndefined();
  expect(notifyManager("READY=1", fails, { NOTIFY_SOCKET: "" })).toBeUndefined();
  expect(notifyManager("READY=1", fails, { NOTIFY_SOCKET: "/run/n" })).toBe("NOTIFY_SOCKET /run/n: ECONNREFUSED");
  expect(notifyManager("READY=1", fails, { NOTIFY_SOCKET: "n" })).toMatch(/neither a path/);
  expect(notifyManager("READY=1", undefined, { NOTIFY_SOCKET: "/run/n" })).toMatch(/cannot send/);
});
