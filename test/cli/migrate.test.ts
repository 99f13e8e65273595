import type { ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TRACKER_ROWS } from "../../src/lab/migrate/rows.js";
import { svq } from "../helpers/svq.js";

const SMALL = ["--quick", "--ram", "16M"] as const;
const ROW_FIELDS = [
  "name",
  "expect",
  "legal",
  "misses",
  "memory_equal",
  "guest_verified",
  "image_sha256",
  "over_report_ratio",
  "footprint_bytes",
  "mark_rmw_per_word",
  "mark_ns_per_page",
  "harvest_ns_per_mpage",
  "marshalled_bytes",
  "rounds",
  "total_bytes",
  "downtime_ns",
  "converged",
];

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "svq-migrate-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("svq migrate --compare --quick --json", () => {
  test("has a row for every tracker, with all fields, and each does what it is expected to", async () => {
    const { code, stdout } = await svq(["migrate", "--compare", ...SMALL, "--json"]);
    const document = JSON.parse(stdout);
    expect([code, document.verdict, document.unmet]).toEqual([0, "ok", []]);
    expect(document).toMatchObject({ schema: "shadowvq.migrate/1", seed: 1, config: { ramBytes: 16 * 2 ** 20 } });
    expect(document.trackers.map(({ name }: { name: string }) => name)).toEqual([...TRACKER_ROWS.keys()]);
    for (const row of document.trackers) {
      expect(Object.keys(row), row.name).toEqual(expect.arrayContaining(ROW_FIELDS));
      if (row.expect === "sound") expect(row).toMatchObject({ misses: 0, memory_equal: true, guest_verified: true });
      if (row.expect === "sound") expect(row.image_sha256.source).toBe(row.image_sha256.destination);
      if (row.expect === "unsound") expect(row.misses, row.name).toBeGreaterThan(0);
      if (row.expect === "blocked") expect([row.legal, typeof row.blocker]).toEqual([false, "string"]);
    }
  });
});

describe("svq migrate", () => {
  test("draws what is left over time, and says how it went in a table", async () => {
    const file = join(folder, "remaining.svg");
    const { code, stdout } = await svq(["migrate", ...SMALL, "--tracker", "all-dirty", "--svg", file]);
    expect(code).toBe(0);
    expect(stdout).toContain("ok, never converged");
    expect(readFileSync(file, "utf8")).toMatch(/^<svg [\s\S]*MiB left to send[\s\S]*<\/svg>\n$/);
  });

  test("interrupted it ends with 130, what there is, and no verdict about what was cancelled", async () => {
    const meanwhile = async (child: ChildProcess) => {
      await sleep(3000);
      child.kill("SIGINT");
    };
    const args = ["migrate", "--real-time", "--bandwidth", "1M", "--tracker", "vhost-log", "--json"];
    const { code, stdout } = await svq(args, { meanwhile });
    expect(code).toBe(130);
    expect(JSON.parse(stdout)).toMatchObject({ verdict: "aborted", trackers: [], unmet: [] });
  });

  test("gives the same document for the same seed, but for times", async () => {
    const run = async (seed: string) => {
      const { stdout } = await svq(["migrate", ...SMALL, "--tracker", "vhost-log", "--seed", seed, "--json"]);
      const { image_sha256, total_bytes, downtime_ns } = JSON.parse(stdout).trackers[0];
      return { image_sha256, total_bytes, downtime_ns };
    };
    const [once, again, other] = [await run("5"), await run("5"), await run("6")];
    expect(again).toEqual(once);
    expect(other.image_sha256).not.toEqual(once.image_sha256);
  });

  test.each([
    [["--tracker", "none-such"], "no tracker none-such"],
    [["--ram", "5M"], "ram 5242880"],
    [["--workload", "nothing"], "nothing"],
    [["--compare", "--tracker", "vhost-log"], "leave out --tracker"],
    [["--ram", "8G"], "sparse RAM has none"],
    [["--rounds", "0"], "no whole number from 1"],
    [["--svg", "/nowhere/at/all.svg"], "cannot write"],
    [["--tracker", "vhost-log,device+viommu"], "device+viommu"],
  ])("refuses %j in one line", async (asked, says) => {
    const { code, stdout, stderr } = await svq(["migrate", "--quick", ...asked]);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr.trim().split("\n")).toHaveLength(1);
    expect(stderr).toContain(says);
  });
});
