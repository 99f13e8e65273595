import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ImageFolder, loadInput, prefixOf } from "../../src/lab/files.js";
import { UsageError } from "../../src/report/exit-codes.js";

const BYTES = Buffer.from(Array.from({ length: 10_000 }, (_, i) => i % 251));
let folder = "";
let path = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "test-files-"));
  path = join(folder, "input");
  writeFileSync(path, BYTES);
});

afterAll(() => rmSync(folder, { recursive: true }));

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

describe("loadInput() and prefixOf()", () => {
  test("hold the first bytes of a file, and say which by their hash", () => {
    for (const max of [1, 4096, BYTES.length, 2 ** 30]) {
      const expected = BYTES.subarray(0, max);
      const input = loadInput(path, max);
      expect(input).toMatchObject({ path, bytes: expected.length, sha256: sha256(expected) });
      expect(Buffer.from(input.buffer)).toEqual(Buffer.from(expected));
    }
    const shorter = prefixOf(loadInput(path, 5000), 3000);
    expect(shorter).toMatchObject({ path, bytes: 3000, sha256: sha256(BYTES.subarray(0, 3000)) });
    expect(prefixOf(shorter, 9000)).toMatchObject({ bytes: 3000, sha256: shorter.sha256 });
  });

  test("refuse what is no input, by name", () => {
    writeFileSync(join(folder, "empty"), "");
    const refused = (name: string, max = 100) => expect(() => loadInput(join(folder, name), max));
    refused("empty").toThrow(/input .*empty: the file is empty/);
    refused("none").toThrow(/input .*none: ENOENT/);
    refused(".").toThrow(/not a regular file/);
    refused("input", 0).toThrow(/0 bytes/);
    refused("input", 0).toThrow(UsageError);
  });
});

describe("ImageFolder", () => {
  test("holds images until it is removed, and leaves no listener behind", () => {
    const parent = join(folder, "images");
    mkdirSync(parent);
    const listeners = process.listenerCount("exit");
    const images = new ImageFolder(parent);
    expect(readdirSync(parent)).toEqual([expect.stringMatching(/^svq-/)]);
    const [one, two] = [images.create(512), images.create(1024)];
    expect([existsSync(one.path), existsSync(two.path)]).toEqual([true, true]);
    expect(one.path).not.toBe(two.path);
    expect(two.bytes).toBe(1024);
    images.remove();
    images.remove();
    expect(readdirSync(parent)).toEqual([]);
    expect(process.listenerCount("exit")).toBe(listeners);
  });

  test("goes when the process does, however it ends", () => {
    const parent = mkdtempSync(join(folder, "exit-"));
    const images = new ImageFolder(parent);
    images.create(512);
    process.listeners("exit").at(-1)!(0);
    expect(readdirSync(parent)).toEqual([]);
  });

  test("is refused where there is no folder", () => {
    expect(() => new ImageFolder(join(folder, "gone"))).toThrow(UsageError);
    expect(() => new ImageFolder(join(folder, "gone"))).toThrow(/image folder .*gone: ENOENT/);
  });
});
