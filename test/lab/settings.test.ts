import { describe, expect, test } from "vitest";
import { DEFAULT_PATHS } from "../../src/lab/paths.js";
import { parsePaths, parseRounds, SETTINGS, settingOf, settingsOf } from "../../src/lab/settings.js";
import { checkedConfig, DEFAULT_CONFIG } from "../../src/machine/config.js";
import { UsageError } from "../../src/report/exit-codes.js";

describe("SETTINGS", () => {
  test("has one for each field of a machine but path and placement, which name the row", () => {
    const fields = SETTINGS.map(({ field }) => field);
    expect([...fields, "path", "placement"].toSorted()).toEqual(Object.keys(DEFAULT_CONFIG).toSorted());
    expect(new Set(SETTINGS.map(({ key }) => key)).size).toBe(SETTINGS.length);
    for (const { key, help } of SETTINGS) {
      expect(key).toMatch(/^[a-z]+(_[a-z]+)*$/);
      expect(help).toMatch(/./);
    }
  });

  test.each(SETTINGS.map((setting) => [setting.key, setting] as const))(
    "%s reads what it has by itself, and refuses rubbish by name",
    (key, { field, parse }) => {
      expect(parse(String(DEFAULT_CONFIG[field]))).toBe(DEFAULT_CONFIG[field]);
      for (const rubbish of ["", "rubbish", "-1", "1.5", "NaN", "1e3", "on off", "\n"]) {
        expect(() => parse(rubbish), rubbish).toThrow(UsageError);
        expect(() => parse(rubbish), rubbish).toThrow(key);
      }
    },
  );

  test("sizes take suffixes and hexadecimal, switches take the usual words", () => {
    expect(settingOf("ram")!.parse("256M")).toBe(2 ** 28);
    expect(settingOf("aperture_first")!.parse("0x200000000000")).toBe(2 ** 45);
    for (const yes of ["on", "true", "yes", "1"]) expect(settingOf("hole")!.parse(yes)).toBe(true);
    for (const no of ["off", "false", "no", "0"]) expect(settingOf("hole")!.parse(no)).toBe(false);
  });
});

describe("settingOf()", () => {
  test("takes dashes for underscores, and knows nothing else", () => {
    expect(settingOf("queue-size")).toBe(settingOf("queue_size"));
    expect(settingOf("queue_size")).toMatchObject({ field: "queueSize" });
    for (const name of ["queueSize", "QUEUE_SIZE", "path", ""]) expect(settingOf(name)).toBeUndefined();
  });
});

describe("settingsOf()", () => {
  test("shows a config under names that read back as the same config", () => {
    const shown = settingsOf({ ...DEFAULT_CONFIG, queueSize: 16, eventIdx: false, iovaPolicy: "gpa" });
    expect(shown).toMatchObject({ queue_size: 16, event_idx: false, iova_policy: "gpa", ram: 2 ** 26 });
    const read = Object.entries(shown).map(([key, value]) => [
      settingOf(key)!.field,
      settingOf(key)!.parse(String(value)),
    ]);
    const again = { ...DEFAULT_CONFIG, ...Object.fromEntries(read) };
    expect(again).toEqual({ ...DEFAULT_CONFIG, queueSize: 16, eventIdx: false, iovaPolicy: "gpa" });
    expect(checkedConfig(again)).toBe(again);
  });
});

describe("parsePaths()", () => {
  test("reads rows; a path alone is in threads", () => {
    expect(parsePaths("svq, svq/fused,passthrough/inline")).toEqual([
      { path: "svq", placement: "threads" },
      { path: "svq", placement: "fused" },
      { path: "passthrough", placement: "inline" },
    ]);
    expect(parsePaths("default")).toEqual(DEFAULT_PATHS);
  });

  test.each(["", "svq,", "svq/", "svq/fused/x", "SVQ", "svq/Fused", "used_only", "default,svq"])(
    "refuses %j",
    (text) => {
      expect(() => parsePaths(text)).toThrow(UsageError);
    },
  );
});

describe("parseRounds()", () => {
  test("reads five or more, as an interval needs", () => {
    expect([parseRounds("5"), parseRounds("1000")]).toEqual([5, 1000]);
    for (const text of ["4", "1001", "", "5.0", "-5", "five", "5 "])
      expect(() => parseRounds(text)).toThrow(UsageError);
  });
});
