import { constants } from "node:os";
import { expect, test } from "vitest";
import { ERRNO, type ErrnoName, errno, errnoName } from "../../src/layout/errno.js";

test("every number is that of this system, where it has the name", () => {
  const known = constants.errno as Record<string, number>;
  const here = Object.entries(ERRNO).filter(([name]) => known[name] !== undefined);
  expect(here.length).toBeGreaterThan(15);
  for (const [name, number] of here) expect(number, name).toBe(known[name]);
});

test("a failure is a negative int32, and its name comes back", () => {
  for (const name of Object.keys(ERRNO) as ErrnoName[]) {
    expect(errno(name)).toBeLessThan(0);
    expect(errno(name) | 0).toBe(errno(name));
    expect(errnoName(errno(name))).toBe(name);
  }
  expect(errnoName(0)).toBeUndefined();
  expect(errnoName(4096)).toBeUndefined();
  expect(errnoName(-3)).toBe("errno 3");
});
