import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { packageRoot, workerUrl } from "../../src/workers/worker-url.js";

const BUILT = "dist/src/workers/echo.worker.js";
const RECORD = "dist/.tsbuildinfo";
let root = "";

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "svq-url-"));
});

afterEach(() => rmSync(root, { recursive: true }));

/** Writes a file that was last changed at `second` of the epoch. */
function put(file: string, second: number): void {
  mkdirSync(dirname(join(root, file)), { recursive: true });
  writeFileSync(join(root, file), "");
  utimesSync(join(root, file), second, second);
}

describe("workerUrl()", () => {
  it("names the built file", () => {
    put("src/workers/echo.worker.ts", 100);
    put(BUILT, 101);
    expect(fileURLToPath(workerUrl("echo", root))).toBe(join(root, BUILT));
  });

  it("refuses a worker that is not built", () => {
    put("src/workers/echo.worker.ts", 100);
    expect(() => workerUrl("echo", root)).toThrow(/echo is not built.*npm run build/);
  });

  it("refuses a build that is older than any source, however deep", () => {
    put("src/workers/echo.worker.ts", 100);
    put(BUILT, 101);
    put("src/device/echo/deep.ts", 102);
    expect(() => workerUrl("echo", root)).toThrow(/older than .*deep\.ts/);
  });

  it("takes an unchanged worker when the build ran after the sources", () => {
    put("src/device/echo/deep.ts", 102);
    put(BUILT, 101);
    put(RECORD, 103);
    expect(() => workerUrl("echo", root)).not.toThrow();
    put("src/device/echo/deep.ts", 104);
    expect(() => workerUrl("echo", root)).toThrow("older than");
  });

  it("looks at sources only: a README may be newer", () => {
    put("src/workers/echo.worker.ts", 100);
    put(BUILT, 101);
    put("src/README.md", 102);
    expect(() => workerUrl("echo", root)).not.toThrow();
  });

  it("asks for no sources in an installed package", () => {
    put(BUILT, 101);
    expect(() => workerUrl("echo", root)).not.toThrow();
  });
});

describe("packageRoot()", () => {
  it("is where package.json is", () => {
    expect(packageRoot()).toBe(dirname(dirname(import.meta.dirname)));
  });
});
