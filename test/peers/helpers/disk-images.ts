import { createHash } from "node:crypto";
import { closeSync, fstatSync, ftruncateSync, openSync, writeSync } from "node:fs";
import type { PeerScope } from "./scope.js";

const PAGE_BYTES = 4096;

/** Makes an image in the scope's folder: these bytes, or so many of zero, of which none takes room yet. */
export function diskImage(scope: PeerScope, content: Uint8Array | number, name = "disk.img"): string {
  const path = scope.path(name);
  const fd = openSync(path, "wx");
  if (typeof content === "number") ftruncateSync(fd, content);
  else writeSync(fd, content);
  closeSync(fd);
  return path;
}

/** What `verify` in the guest writes: `bytes` of pattern words under a seed; guest/disk.h has the same. */
export function patternBytes(bytes: number, seed: number): Buffer {
  const words = new Uint32Array(bytes / 4);
  const key = mixed(seed);
  for (let index = 0; index < words.length; index++) words[index] = mixed(index ^ key);
  return Buffer.from(words.buffer);
}

/** The disk of `migtest`: page p starts with the word p, and the last page is free for the stop word. */
export function numberedPages(bytes: number): Buffer {
  const disk = Buffer.alloc(bytes);
  for (let page = 0; page < bytes / PAGE_BYTES - 1; page++) disk.writeUInt32LE(page, page * PAGE_BYTES);
  return disk;
}

/** Tells `load` or `migtest` on this image to end. */
export function writeStopWord(image: string): void {
  const fd = openSync(image, "r+");
  writeSync(fd, "STOP", fstatSync(fd).size - PAGE_BYTES);
  closeSync(fd);
}

/** The md5 of bytes, in hexadecimal digits. */
export function md5(bytes: Uint8Array): string {
  return createHash("md5").update(bytes).digest("hex");
}

function mixed(word: number): number {
  let x = word;
  x ^= x >>> 16;
  x = Math.imul(x, 0x85ebca6b);
  x ^= x >>> 13;
  x = Math.imul(x, 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}
