/** The probe that decides how guests are run, and what svq doctor says of KVM. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { probeBoot } from "../../src/lab/kvm-probe.js";
import { needed, neededKernel, skipReason } from "./helpers/peers.js";

const WHY = skipReason("qemu", "kernel");

test("probeBoot() sees a guest reach its first program", (ctx) => {
  if (WHY !== undefined) return ctx.skip(WHY);
  expect(probeBoot("tcg", needed("qemu"), neededKernel(), 60_000)).toMatchObject({ reached: true, why: "" });
});

test("probeBoot() sees that a guest does not, and says why: too late, no kernel", (ctx) => {
  if (WHY !== undefined) return ctx.skip(WHY);
  const kernel = neededKernel();
  expect(probeBoot("tcg", needed("qemu"), kernel, 200)).toMatchObject({
    reached: false,
    why: "no userspace within 0.2 s",
  });
  const absent = probeBoot("tcg", needed("qemu"), { ...kernel, image: join(kernel.modules, "none") }, 60_000);
  expect(absent).toMatchObject({ reached: false, why: expect.stringContaining("could not open kernel file") });
});
