import { expect, test } from "vitest";
import { MASKABLE_FEATURES, maskableFeature } from "../../src/daemon/maskable-features.js";

test("features are found by name, those of a device type by bit", () => {
  expect(maskableFeature("log_all")).toEqual({ name: "log_all", bit: 26, of: "features" });
  expect(maskableFeature("log_shmfd")).toEqual({ name: "log_shmfd", bit: 1, of: "protocol" });
  expect(maskableFeature("device_state")).toEqual({ name: "device_state", bit: 19, of: "protocol" });
  expect(maskableFeature("bit_12")).toEqual({ name: "bit_12", bit: 12, of: "features" });
  for (const name of ["", "LOG_ALL", "bit_64", "bit_", "bit_1x", "toString"]) {
    expect(maskableFeature(name), name).toBeUndefined();
  }
});

test("no name is given twice", () => {
  expect(new Set(MASKABLE_FEATURES.map(({ name }) => name)).size).toBe(MASKABLE_FEATURES.length);
});
