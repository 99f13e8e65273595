import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { findGuestKernel, findProgram, peerCacheFolder } from "../../src/lab/peer-programs.js";

function folderOfOurs(): string {
  const folder = mkdtempSync(join(tmpdir(), "test-programs-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

test("findProgram() takes the first executable file in PATH, with its version from either output", () => {
  const folder = folderOfOurs();
  const [first, second] = [join(folder, "a"), join(folder, "b")];
  mkdirSync(join(first, "taskset"), { recursive: true });
  mkdirSync(second);
  writeFileSync(join(second, "taskset"), "#!/bin/sh\necho 'taskset of 3.14-x (2020)' >&2\n");
  expect(findProgram("taskset", { PATH: `${first}:${second}` })).toBeUndefined();
  chmodSync(join(second, "taskset"), 0o755);
  expect(findProgram("taskset", { PATH: `:${first}:${second}` })).toEqual({
    path: join(second, "taskset"),
    version: "3.14-x",
  });
});

test("findProgram() finds a program that says no version", () => {
  const folder = folderOfOurs();
  writeFileSync(join(folder, "taskset"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
  expect(findProgram("taskset", { PATH: folder })?.version).toBe("unknown");
});

test("peerCacheFolder() goes by SVQ_PEERS_CACHE, then XDG_CACHE_HOME; an empty one does not count", () => {
  expect(peerCacheFolder({ SVQ_PEERS_CACHE: "/a", XDG_CACHE_HOME: "/b" })).toBe("/a");
  expect(peerCacheFolder({ SVQ_PEERS_CACHE: "", XDG_CACHE_HOME: "/b" })).toBe("/b/shadowvq");
  expect(peerCacheFolder({})).toMatch(/\/\.cache\/shadowvq$/);
});

test("findGuestKernel() wants the image and its modules", () => {
  const SVQ_PEERS_CACHE = folderOfOurs();
  expect(findGuestKernel({ SVQ_PEERS_CACHE })).toBeUndefined();
  const [image, modules] = ["kernel/boot/vmlinuz-9.9", "kernel/lib/modules/9.9/kernel"].map((path) =>
    join(SVQ_PEERS_CACHE, path),
  );
  mkdirSync(join(image!, ".."), { recursive: true });
  writeFileSync(image!, "");
  expect(findGuestKernel({ SVQ_PEERS_CACHE })).toBeUndefined();
  mkdirSync(modules!, { recursive: true });
  expect(findGuestKernel({ SVQ_PEERS_CACHE })).toEqual({ image, release: "9.9", modules });
});
