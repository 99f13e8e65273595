import { describe, expect, test } from "vitest";
import { BASELINE, configOf, configsOf, DEFAULT_PATHS, pathName } from "../../src/lab/paths.js";
import { parsePaths } from "../../src/lab/settings.js";
import { checkedConfig, DEFAULT_CONFIG } from "../../src/machine/config.js";

describe("DEFAULT_PATHS", () => {
  test("are the five rows of the contract, the baseline first, each a config that holds", () => {
    const names = ["passthrough/threads", "notify/threads", "svq/threads", "svq/fused", "used-only/threads"];
    expect(DEFAULT_PATHS.map(pathName)).toEqual(names);
    expect(pathName(BASELINE)).toBe(names[0]);
    for (const choice of DEFAULT_PATHS) expect(() => checkedConfig(configOf(choice, {}))).not.toThrow();
  });
});

describe("configOf()", () => {
  test("lets a row keep its own policy and waiting where what was asked is not for it", () => {
    const asked = { iovaPolicy: "identity-all", waiting: "polled", queueSize: 16 } as const;
    const [passthrough, notify, svq, usedOnly] = parsePaths("passthrough,notify,svq,used-only").map((row) =>
      configOf(row, asked),
    );
    expect(passthrough).toMatchObject({ iovaPolicy: "gpa", waiting: "polled", queueSize: 16 });
    expect(notify).toMatchObject({ iovaPolicy: "gpa", waiting: "auto" });
    expect(svq).toMatchObject({ iovaPolicy: "identity-all", waiting: "polled" });
    expect(usedOnly).toMatchObject({ iovaPolicy: "fixed", waiting: "polled" });
  });
});

describe("configsOf()", () => {
  test("refuses what none of the rows goes with, and nothing else", () => {
    const rows = (text: string) => parsePaths(text);
    expect(() => configsOf(rows("notify"), { waiting: "polled" })).toThrow("does not go with waiting polled");
    expect(() => configsOf(rows("passthrough,notify"), { iovaPolicy: "tree" })).toThrow("iova_policy tree");
    expect(() => configsOf(rows("used-only"), { iovaPolicy: "gpa" })).toThrow("iova_policy gpa");
    expect(configsOf(rows("notify,svq"), { waiting: "polled" }).map(({ waiting }) => waiting)).toEqual([
      "auto",
      "polled",
    ]);
    expect(configsOf(rows("notify"), { waiting: "auto" })).toEqual([configOf(rows("notify")[0]!, {})]);
  });

  test("asked for nothing, takes what holds where nothing else is asked for", () => {
    expect(configsOf(parsePaths("svq"), {})).toEqual([DEFAULT_CONFIG]);
  });
});
