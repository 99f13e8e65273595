import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { NATIVE_LAYOUT_DIR, probeLayout } from "../../native-layout/probe.js";

let scratch: string;

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "shadowvq-probe-test-"));
  vi.stubEnv("TMPDIR", scratch);
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(scratch, { recursive: true });
});

test("without a compiler probeLayout() says so, and leaves no temporary folder", () => {
  const probe = probeLayout("no-such-compiler");
  expect(probe).toEqual({ why: expect.stringMatching(/^no-such-compiler could not compile layout\.c: .*ENOENT$/) });
  expect(readdirSync(scratch)).toEqual([]);
});

test("when the compiler refuses, probeLayout() says so in one line, and leaves no temporary folder", () => {
  const probe = probeLayout("false");
  expect(probe).toEqual({ why: "false could not compile layout.c: ended with 1" });
  expect(readdirSync(scratch)).toEqual([]);
});

test("probeLayout() leaves no temporary folder when it succeeds either", (ctx) => {
  const probe = probeLayout();
  if ("why" in probe) return ctx.skip(probe.why);
  expect(probe.table.rings).toHaveLength(16);
  expect(readdirSync(scratch)).toEqual([]);
});

test("npm run layout without a compiler prints one line on stderr and ends with 2", (ctx) => {
  const built = join(NATIVE_LAYOUT_DIR, "..", "dist", "native-layout", "regenerate.js");
  if (!existsSync(built)) return ctx.skip("not built: run npm run build");
  const env = { ...process.env, CC: "no-such-compiler" };
  const { status, stdout, stderr } = spawnSync(process.execPath, [built], { env, encoding: "utf8" });
  expect(status).toBe(2);
  expect(stdout).toBe("");
  expect(stderr).toMatch(/^no table written: no-such-compiler could not compile [^\n]*\n$/);
});
