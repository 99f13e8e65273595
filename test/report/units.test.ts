import { describe, expect, it } from "vitest";
import { UsageError } from "../../src/report/exit-codes.js";
import { formatBytes, formatNs, formatRatio, parseDurationNs, parseSizeBytes } from "../../src/report/units.js";

describe("formatNs()", () => {
  it.each([
    [0, "0 ns"],
    [7, "7 ns"],
    [32.14, "32.1 ns"],
    [123.6, "124 ns"],
    [999.4, "999 ns"],
    [999.96, "1 µs"],
    [1_900, "1.9 µs"],
    [999_960, "1 ms"],
    [12_345_678, "12.3 ms"],
    [68_700_000_000, "68.7 s"],
    [7.2e12, "7200 s"],
    [-1_900, "-1.9 µs"],
    [null, "–"],
    [Number.NaN, "–"],
  ])("writes %s as %s", (ns, text) => expect(formatNs(ns)).toBe(text));
});

describe("formatBytes()", () => {
  it.each([
    [0, "0 B"],
    [1_023, "1023 B"],
    [4_096, "4 KiB"],
    [1_536, "1.5 KiB"],
    [2 ** 20 - 1, "1 MiB"],
    [2 ** 33, "8 GiB"],
    [2 ** 43, "8 TiB"],
    [null, "–"],
  ])("writes %s as %s", (bytes, text) => expect(formatBytes(bytes)).toBe(text));
});

describe("formatRatio()", () => {
  it("has two decimals", () => {
    expect([1.25, 10, null, Number.NaN].map(formatRatio)).toEqual(["1.25×", "10.00×", "–", "–"]);
  });
});

describe("parseSizeBytes()", () => {
  it.each([
    ["0", 0],
    ["4096", 4096],
    ["64k", 65_536],
    ["64K", 65_536],
    ["2M", 2 ** 21],
    ["1g", 2 ** 30],
    [" 8k ", 8_192],
  ])("reads %s", (text, bytes) => expect(parseSizeBytes(text)).toBe(bytes));

  it.each(["", "k", "-1", "1.5k", "1kb", "0x10", "1e3", "64 k", "NaN"])("refuses %j and names it", (text) => {
    expect(() => parseSizeBytes(text)).toThrow(UsageError);
    expect(() => parseSizeBytes(text)).toThrow(JSON.stringify(text));
  });

  it("refuses what a number cannot hold exactly", () => {
    expect(parseSizeBytes("8388607G")).toBe(8_388_607 * 2 ** 30);
    expect(() => parseSizeBytes("8388608G")).toThrow("too large");
  });
});

describe("parseDurationNs()", () => {
  it.each([
    ["0s", 0],
    ["250ns", 250],
    ["250us", 250_000],
    ["250µs", 250_000],
    ["250\u03bcs", 250_000],
    ["1.1s", 1_100_000_000],
    ["5 s", 5_000_000_000],
    ["2m", 120_000_000_000],
  ])("reads %s", (text, ns) => expect(parseDurationNs(text)).toBe(ns));

  it.each(["", "5", "s", "-1s", "1h", "1S", "1.s", "1e3s", "5s5", "constructor"])("refuses %j and names it", (text) => {
    expect(() => parseDurationNs(text)).toThrow(UsageError);
    expect(() => parseDurationNs(text)).toThrow(JSON.stringify(text));
  });

  it("refuses what a number cannot hold exactly", () => {
    expect(() => parseDurationNs("999999999s")).toThrow("too long");
  });
});
