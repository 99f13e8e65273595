/** svq doctor: the table, the document, and when it fails. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { DoctorCheck } from "../../src/lab/doctor.js";
import { expectNothingLeft, refused, svq, svqJson } from "../helpers/svq.js";

interface DoctorDocument {
  readonly schema: string;
  readonly node: string;
  readonly cores: number;
  readonly checks: readonly DoctorCheck[];
  readonly verdict: string;
}

const NAMES = [
  ...["node", "build", "temporary files", "cores", "pinning", "C compiler", "koffi", "QEMU", "qemu-storage-daemon"],
  ...["virtiofsd", "busybox", "guest kernel", "KVM", "browser"],
];

test("the document has every check, and how to get what is missing", async () => {
  const { schema, node, cores, checks, verdict } = await svqJson<DoctorDocument>(["doctor"], 0);
  expect({ schema, node, verdict }).toEqual({
    schema: "shadowvq.doctor/1",
    node: process.versions.node,
    verdict: "ok",
  });
  expect(cores).toBeGreaterThan(0);
  expect(checks.map(({ name }) => name)).toEqual(NAMES);
  for (const check of checks) {
    expect(check.found, check.name).not.toBe("");
    expect(check.needed_for, check.name).not.toBe("");
    expect("install" in check, check.name).toBe(check.ok !== true);
  }
});

test("KVM is never proven without a boot", async () => {
  const { checks } = await svqJson<DoctorDocument>(["doctor"], 0);
  expect(checks.find(({ name }) => name === "KVM")!.ok).not.toBe(true);
});

test("the table has a line for every check, and the verdict last", async () => {
  const run = await svq(["doctor"]);
  expect({ code: run.code, stderr: run.stderr }).toEqual({ code: 0, stderr: "" });
  for (const name of NAMES) expect(run.stdout).toMatch(new RegExp(`^(ok|no|\\?) +${name}\\b`, "m"));
  expect(run.stdout.trimEnd().split("\n").at(-1)).toBe("verdict: ok, the main job (svq bench) can run");
  expectNothingLeft(run);
});

test("what the main job needs makes it fail when it is missing, what others need does not", async () => {
  const folder = mkdtempSync(join(tmpdir(), "test-doctor-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const noPrograms = join(folder, "empty");
  mkdirSync(noPrograms);
  const bare = await svqJson<DoctorDocument>(["doctor"], 0, { env: { PATH: noPrograms, SVQ_PEERS_CACHE: noPrograms } });
  const absent = bare.checks.filter(({ ok }) => ok === false).map(({ name }) => name);
  expect(absent).toEqual(expect.arrayContaining(["pinning", "C compiler", "QEMU", "guest kernel"]));
  const gone = { env: { TMPDIR: join(folder, "gone") } };
  const broken = await svqJson<DoctorDocument>(["doctor"], 1, gone);
  expect(broken.verdict).toBe("failed");
  expect(broken.checks.filter(({ ok, required }) => required && !ok).map(({ name }) => name)).toEqual([
    "temporary files",
  ]);
  const told = await svq(["doctor"], gone);
  expect(told).toMatchObject({ code: 1, stdout: expect.stringMatching(/lacks temporary files\n$/) });
});

test("operands and files that cannot be written are refused", async () => {
  await refused(["doctor", "me"], 2, /too many arguments/);
  await refused(["doctor", "--json", "/dev/null/x"], 2, /cannot write \/dev\/null\/x/);
});
