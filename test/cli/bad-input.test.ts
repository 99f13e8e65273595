import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { runSvq } from "../helpers/run-svq.js";

const folder = mkdtempSync(join(tmpdir(), "svq-input-"));
const file = (name: string, text: string) => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
afterAll(() => rmSync(folder, { recursive: true }));

describe("what a user can get wrong ends in one line on stderr, exit code 2, and nothing left behind", () => {
  test.each([
    [["--queue-size", "0"], "queue_size 0"],
    [["--queue-size", "3"], "queue_size 3"],
    [["--queue-size", "65536"], "queue_size 65536"],
    [["--queue-size", "2"], "3 descriptors"],
    [["--paths", "warp"], 'unknown path "warp"'],
    [["--paths", "svq/cloud"], 'unknown placement "cloud"'],
    [["--paths", "passthrough/fused"], "does not go with placement fused"],
    [["--input", "/nonexistent/input"], "/nonexistent/input"],
    [["--input", folder], "not a regular file"],
    [["--input", file("empty", "")], "the file is empty"],
    [["--ram", "16M", "--queue-size", "32768", "--depth", "4000"], "too small"],
    [["--aperture-first", "0", "--aperture-last", "0xffff"], "no room"],
    [["--config", file("key.yaml", "depth: 4\nqueue_sise: 16\n")], 'key.yaml:2:1: unknown key "queue_sise"'],
    [["--config", file("value.yaml", "depth: deep\n")], "value.yaml:1:1"],
    [["--config", "/nonexistent.yaml"], "/nonexistent.yaml"],
    [["--sweep", "queue_sise=1,2"], "queue_sise"],
    [["--fault", "drop-mark", "--paths", "passthrough", "--fault-path", "passthrough"], "marks no pages"],
    [["--window", "1ms"], "10ms"],
  ])("%j", async (args, says) => {
    const run = await runSvq(["bench", "--quick", ...args]);
    expect(run.stderr).toContain(says);
    expect([run.code, run.stdout, run.left, run.stderr.trim().split("\n").length]).toEqual([2, "", [], 1]);
  });
});

describe("what breaks a run", () => {
  test("a full disk under the image: exit code 4, one line, partial JSON that says aborted", async () => {
    const run = await runSvq(["bench", "--quick", "--image", "/dev/full", "--json", "--log-level", "silent"]);
    expect(run.stderr.trim().split("\n")).toEqual([expect.stringContaining("ENOSPC")]);
    expect([run.code, run.left, (JSON.parse(run.stdout) as { verdict: string }).verdict]).toEqual([4, [], "aborted"]);
  });

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("%s ends it with %i, partial JSON and no image left", async (signal, code) => {
    const run = await runSvq(["bench", "--quick", "--json"], { kill: { signal, afterMs: 6000 } });
    expect([run.code, run.left, (JSON.parse(run.stdout) as { verdict: string }).verdict]).toEqual([
      code,
      [],
      "aborted",
    ]);
  });
});
