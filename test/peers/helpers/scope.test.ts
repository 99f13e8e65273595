import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { PeerScope, peerScope } from "./scope.js";

const gone = (pid: number) => !existsSync(`/proc/${pid}`);

test("close() ends what runs, and removes the folder", async () => {
  const scope = new PeerScope();
  const sleeper = scope.start("sleeper", "sh", ["-c", "trap '' TERM; echo up; while :; do sleep 1; done"], 60_000);
  await sleeper.says(/up/, 10_000);
  await scope.close();
  expect(sleeper.ending).toEqual({ code: null, signal: "SIGKILL" });
  expect([gone(sleeper.pid), existsSync(scope.folder)]).toEqual([true, false]);
});

test("a process that is still there at its deadline is killed, and its story says so", async () => {
  const process = peerScope().start("sleeper", "sleep", ["60"], 50);
  expect(await process.ended).toEqual({ code: null, signal: "SIGKILL" });
  expect(process.story()).toContain("killed at its deadline");
});

test("says() finds what was said last before the end, and throws with the last words when nothing was", async () => {
  const scope = peerScope();
  const speaker = scope.start("speaker", "sh", ["-c", "echo value 7; echo sorry >&2; exit 3"], 60_000);
  expect((await speaker.says(/value (\d)/, 10_000))[1]).toBe("7");
  await expect(speaker.says(/value 8/, 10_000)).rejects.toThrow(/^speaker ended before saying .*: sorry$/);
});

test("says() gives up in time", async () => {
  const silent = peerScope().start("silent", "sleep", ["60"], 60_000);
  await expect(silent.says(/a/, 30)).rejects.toThrow("30 ms without saying /a/");
});

test("a program that is not there fails for who waits, and for nobody else", async () => {
  const scope = peerScope();
  const start = async () => scope.start("none", "/nowhere/program", [], 1_000).ended;
  expect(
    await start().then(
      ({ code }) => code,
      () => "refused",
    ),
  ).not.toBe(0);
});
