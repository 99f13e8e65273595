import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type DoctorCheck, missingForBench, nodeCheck } from "../../src/lab/doctor.js";
import { packageRoot } from "../../src/workers/worker-url.js";

test.each([
  ["20.18.9", false],
  ["20.19.0", true],
  ["21.9.0", false],
  ["22.12.0", false],
  ["22.13.0", true],
  ["23.9.0", false],
  ["24.0.0", true],
  ["31.0.0-nightly", true],
])("nodeCheck() of %s says %s", (version, ok) => {
  const check = nodeCheck(version);
  expect(check.ok).toBe(ok);
  expect("install" in check).toBe(!ok);
});

test("nodeCheck() says what engines in package.json says", () => {
  const { engines } = JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8"));
  expect(engines).toEqual({ node: "^20.19.0 || ^22.13.0 || >=24.0.0" });
});

test("missingForBench() names what is required and not there, or not known", () => {
  const check = (name: string, ok: boolean | null, required: boolean): DoctorCheck => ({
    name,
    ok,
    required,
    found: "",
    needed_for: "",
  });
  const checks = [check("a", true, true), check("b", false, true), check("c", null, true), check("d", false, false)];
  expect(missingForBench(checks)).toEqual(["b", "c"]);
});
