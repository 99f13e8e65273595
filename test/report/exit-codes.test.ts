import { describe, expect, it } from "vitest";
import { EXIT, exitCodeOf, RunBroken, UsageError } from "../../src/report/exit-codes.js";

describe("EXIT", () => {
  it("has the documented numbers", () => {
    expect(Object.values(EXIT)).toEqual([0, 1, 2, 3, 4, 130, 143]);
  });
});

describe("exitCodeOf()", () => {
  it("tells the user's mistakes from a run that broke", () => {
    expect(exitCodeOf(new UsageError("no such path"))).toBe(EXIT.usage);
    expect(exitCodeOf(new RunBroken("the relay died"))).toBe(EXIT.broken);
    expect(exitCodeOf(new TypeError("unforeseen"))).toBe(EXIT.broken);
    expect(exitCodeOf(undefined)).toBe(EXIT.broken);
  });
});

describe("UsageError and RunBroken", () => {
  it("have messages of one line and keep their cause", () => {
    const cause = new Error("inner");
    for (const Kind of [UsageError, RunBroken]) {
      const error = new Kind("first\n  second\r\nthird\n", { cause });
      expect(error.message).toBe("first second third");
      expect(error.name).toBe(Kind.name);
      expect(error.cause).toBe(cause);
    }
  });
});
