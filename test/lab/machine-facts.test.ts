import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { gitState, machineFacts } from "../../src/lab/machine-facts.js";

const hasGit = spawnSync("git", ["--version"]).status === 0;
let root = "";

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "svq-facts-"));
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(root, { recursive: true });
});

function git(...args: string[]): void {
  execFileSync("git", ["-C", root, "-c", "user.name=t", "-c", "user.email=t@example.org", ...args], {
    stdio: "ignore",
  });
}

describe("machineFacts()", () => {
  it("describes this process", () => {
    const facts = machineFacts();
    expect(facts).toMatchObject({ node: process.versions.node, v8: process.versions.v8 });
    expect(facts.cores).toBeGreaterThanOrEqual(1);
    expect(facts.cpu).not.toBe("");
    expect(facts.cpu_tick_ns === null || facts.cpu_tick_ns > 0).toBe(true);
  });

  it("says null for what no tool can tell", () => {
    vi.stubEnv("PATH", "/nonexistent");
    expect(machineFacts()).toMatchObject({ git: null, cpu_tick_ns: null });
  });
});

describe.runIf(hasGit)("gitState()", () => {
  it("is null without a repository, without a commit, and inside somebody else's repository", () => {
    expect(gitState(root)).toBeNull();
    git("init");
    expect(gitState(root)).toBeNull();
    git("commit", "--allow-empty", "-m", "first");
    mkdirSync(join(root, "inner"));
    expect(gitState(join(root, "inner"))).toBeNull();
    expect(gitState(root)).not.toBeNull();
  });

  it("asks the repository it was given, also where the environment names another", () => {
    git("init");
    git("commit", "--allow-empty", "-m", "first");
    vi.stubEnv("GIT_DIR", join(root, "elsewhere"));
    expect(spawnSync("git", ["-C", root, "rev-parse", "HEAD"]).status).not.toBe(0);
    expect(gitState(root)).toMatchObject({ dirty: false });
  });

  it("tells a clean tree from a changed one", () => {
    git("init");
    git("commit", "--allow-empty", "-m", "first");
    expect(gitState(root)).toEqual({ commit: expect.stringMatching(/^[0-9a-f]{4,}$/), dirty: false });
    writeFileSync(join(root, "new"), "");
    expect(gitState(root)?.dirty).toBe(true);
  });
});
