import { closeSync, openSync } from "node:fs";
import { expect, it } from "vitest";
import { createMemfd } from "../../src/sys/memfd.js";
import { leavesNoDescriptor } from "./descriptors.js";

it("leavesNoDescriptor() sees one that is left, whoever opened it", () => {
  let left: { close(): void } | undefined;
  const leak = () => {
    left = createMemfd("left", 1);
  };
  expect(() => leavesNoDescriptor(leak)).toThrow(/owned/);
  left?.close();

  let foreign = -1;
  const leakForeign = () => {
    foreign = openSync("/dev/null", "r");
  };
  expect(() => leavesNoDescriptor(leakForeign)).toThrow(/open/);
  closeSync(foreign);
});
