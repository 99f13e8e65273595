import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROWS } from "../../bench/rows.js";
import { packageRoot } from "../../src/workers/worker-url.js";

function bench(...args: string[]) {
  const main = join(packageRoot(), "dist", "bench", "main.js");
  return spawnSync(process.execPath, [main, ...args], { encoding: "utf8", timeout: 120_000 });
}

test("--json writes one document with a ratio for the row asked for", () => {
  const { status, stdout, stderr } = bench("--quick", "--rows", "dirty_on_vs_off", "--json");
  expect(stderr).toBe("");
  expect(status).toBe(0);
  const report = JSON.parse(stdout);
  expect(report).toMatchObject({ schema: "shadowvq.microbench/1", skipped: [] });
  expect(Object.keys(report.ratios)).toEqual(["dirty_on_vs_off"]);
  const row = report.ratios.dirty_on_vs_off;
  expect(row.pairs).toBeGreaterThanOrEqual(7);
  expect(row.interval[0]).toBeLessThanOrEqual(row.value);
  expect(row.interval[1]).toBeGreaterThanOrEqual(row.value);
  expect(row.a_ns > 0 && row.b_ns > 0 && typeof row.noisy === "boolean").toBe(true);
  expect(report.twin).toHaveProperty("output_sha256_equal");
  expect(report.noise).toHaveProperty("pingpong_ns");
});

test("without a compiler the rows against C are skipped, with the reason", () => {
  const { status, stdout } = bench("--quick", "--rows", "relay_1d_1map_vs_c", "--json", "--cc", "no-such-compiler");
  expect(status).toBe(0);
  const report = JSON.parse(stdout);
  expect(report.ratios).toEqual({});
  expect(report.skipped).toEqual([{ name: "relay_1d_1map_vs_c", why: expect.stringContaining("no C compiler") }]);
  expect(report.twin).toEqual({ compiler: null, flags: null, output_sha256_equal: null });
});

test.each([
  [["--rows", "no_such_row"], 'no row "no_such_row"'],
  [["--baseline", "never-saved"], "never-saved"],
  [["--baseline", "../up"], 'baseline "../up"'],
  [["--no-such-option"], "unknown option"],
])("what cannot be understood ends with 2: %s", (args, message) => {
  const { status, stderr } = bench(...args);
  expect(status).toBe(2);
  expect(stderr).toContain(message);
});

test("--help shows examples and --list the goals", () => {
  expect(bench("--help").stdout).toContain("Examples:");
  expect(bench("--list").stdout).toMatch(/relay_1d_1map_vs_c +relay +chain +3 +2.2/);
});

test.each([...new Set(ROWS.map(({ family }) => family))])("--quick takes three rows of each family: %s", (family) => {
  expect(ROWS.filter((row) => row.quick && row.family === family)).toHaveLength(3);
});
