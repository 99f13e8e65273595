import { describe, expect, it } from "vitest";
import type { Action, Program } from "../../src/validate/rig/program.js";
import { SPACE } from "../../src/validate/rig/world.js";
import { placeName } from "../../src/validate/trace/places.js";
import { recordRun } from "../../src/validate/trace/record.js";
import { timelineJson, timelineText } from "../../src/validate/trace/timeline.js";
import { EVENT } from "../../src/validate/trace/trace.js";
import { seededProgram } from "./seeded-program.js";
import { faultyRelay, ONE_CHAIN, STRAY_STORE, WRONG_LENGTH } from "./traces.js";

describe("timelineJson()", () => {
  it("says who did what, with the indices of all three sides after it", () => {
    const steps = timelineJson(recordRun(ONE_CHAIN));
    expect(steps.map(({ step }) => step)).toEqual(steps.map((_, i) => i));
    const at = (text: string) => steps.find(({ access }) => access === text);
    expect(steps[0]).toEqual({
      step: 0,
      role: "guest",
      access: "offers a chain (direct): r 64 at 0x3000, w 512 at 0x4000",
      guest: [0xffff, 0xffff, 0xffff],
      shadow: [0, 0, 0],
      device: [0, 0],
    });
    expect(steps[1]).toMatchObject({
      role: "guest",
      access: "publishes avail.idx of guest",
      guest: [0, 0xffff, 0xffff],
    });
    expect(at("observes avail.idx of guest = 0")).toMatchObject({ role: "relay", guest: [0, 0, 0xffff] });
    expect(at("publishes avail.idx of shadow = 1")).toMatchObject({ role: "relay", shadow: [1, 0, 0] });
    expect(at("takes what is available")).toMatchObject({ role: "device", shadow: [1, 0, 0], device: [1, 0] });
    expect(at("publishes used.idx of shadow")).toMatchObject({ role: "device", shadow: [1, 1, 0], device: [1, 1] });
    expect(at("reads used.ring[0].id of shadow = 0")).toMatchObject({ role: "relay", shadow: [1, 1, 1] });
    expect(at("publishes used.idx of guest = 0")).toMatchObject({ role: "relay", guest: [0, 0, 0] });
    expect(at("marks page 4 in log word 0")).toMatchObject({ role: "relay" });
  });

  it("follows a ring of one entry, and everybody to the end of a run by the rules", () => {
    const chain = ONE_CHAIN.actions.map(
      (action): Action => (action.op === "offer" ? { ...action, elements: action.elements.slice(1) } : action),
    );
    const program = {
      setup: { ...ONE_CHAIN.setup, num: 1, shadowNum: 1 },
      actions: [...chain, ...chain, chain[0]!],
    } satisfies Program;
    const trace = recordRun(program);
    expect(trace.end.violation).toBeUndefined();
    const last = timelineJson(trace).at(-1)!;
    expect(last).toMatchObject({ guest: [2, 2, 2], shadow: [3, 3, 3], device: [3, 3] });
  });

  it("has a line for an ambush where it is laid and where it springs", () => {
    const poke = { space: SPACE.low, offset: 0x1000 + 8, width: 4, value: 65 } as const;
    const ambush: Action = { op: "ambush", by: "guest", access: 7, poke };
    const actions = ONE_CHAIN.actions.flatMap((action): Action[] =>
      action.op === "relay" ? [ambush, action] : [action],
    );
    const steps = timelineJson(recordRun({ ...ONE_CHAIN, actions }));
    const laid = steps.findIndex(({ access }) => access.startsWith("lies in wait for access 7"));
    expect(steps[laid + 8]).toMatchObject({
      role: "guest",
      access: "springs its ambush: stores 0x41 (4 bytes) over desc[0].len of guest",
    });
  });

  it("has words for any run, and for events that no run has", () => {
    for (let seed = 1; seed <= 200; seed++) {
      const trace = recordRun(seededProgram(seed));
      for (const { access } of timelineJson(trace)) expect(access).not.toMatch(/undefined|NaN|\[object/);
      const odd = trace.events.map((event, i) => ({
        ...event,
        offset: 0xffffffff - i,
        bytes: 0xffffffff,
        kind: i % 13,
      }));
      for (const { access } of timelineJson({ ...trace, events: odd })) expect(access).not.toMatch(/undefined|NaN/);
    }
    const trace = recordRun(ONE_CHAIN);
    const event = { ...trace.events[0]!, kind: EVENT.guest, action: ONE_CHAIN.actions.length };
    expect(timelineJson({ ...trace, events: [event] })[0]?.access).toBe("goes on, by the rules");
  });
});

describe("timelineText()", () => {
  const failing = (text: string) => text.split("\n").filter((line) => line.startsWith(">"));

  it.each([
    ["O2", WRONG_LENGTH, "relay", "publishes avail.idx of shadow = 1"],
    ["O6", STRAY_STORE, "relay", "writes desc[0].addr of guest, 4 bytes (refused)"],
  ] as const)("marks the access at which %s was found, in a window", async (oracle, patch, role, access) => {
    const trace = recordRun(ONE_CHAIN, await faultyRelay(patch[0], patch[1]));
    const text = timelineText(trace);
    const last = trace.events.length - 1;
    expect(failing(text)).toEqual([expect.stringMatching(new RegExp(`^> +${last}  ${role} `))]);
    expect(failing(text)[0]).toContain(access);
    const lines = text.split("\n");
    expect(lines[0]).toBe(`(${last - 20} steps before)`);
    expect(lines.at(-1)).toMatch(new RegExp(`^FAILED ${oracle} .*\\(step ${last}\\)$`));
    expect(lines).toHaveLength(1 + 2 + 21 + 1);
  });

  it("shows all of a run that did not fail, and any window of any", async () => {
    const trace = recordRun(ONE_CHAIN);
    const lines = timelineText(trace).split("\n");
    expect(lines).toHaveLength(2 + trace.events.length + 1);
    expect(lines.at(-1)).toBe("8 actions, 53 steps; 1 chains forwarded, 1 returned, 0 refused; nothing found");
    const window = timelineText(trace, { around: 10, window: 2 }).split("\n");
    expect(window[0]).toBe("(8 steps before)");
    expect(window.slice(3, 8).map((line) => line.trim().split(" ")[0])).toEqual(["8", "9", "10", "11", "12"]);
    expect(window.at(-2)).toBe("(40 steps after)");
    expect(timelineText(trace, { around: 1e9, window: 0 })).toContain("(52 steps before)");
  });

  it("says why a queue was given up", () => {
    const actions = [{ op: "offer-head", head: 9 }, { op: "publish" }, { op: "relay" }] as const;
    expect(timelineText(recordRun({ ...ONE_CHAIN, actions }))).toMatch(/the queue was given up: head-out-of-range$/);
  });
});

describe("placeName()", () => {
  const { setup } = ONE_CHAIN;
  // Four descriptors of 16 bytes; avail at 64; used at 76, aligned to 4.
  it.each([
    [SPACE.low, 0x1000 + 16, "desc[1].addr of guest"],
    [SPACE.low, 0x1000 + 20, "desc[1].addr (high half) of guest"],
    [SPACE.low, 0x1000 + 63, "desc[3] + 15 of guest"],
    [SPACE.low, 0x1000 + 64, "avail.flags of guest"],
    [SPACE.low, 0x1000 + 65, "avail + 1 of guest"],
    [SPACE.low, 0x1000 + 66, "avail.idx of guest"],
    [SPACE.low, 0x1000 + 74, "avail.ring[3] of guest"],
    [SPACE.low, 0x1000 + 76, "avail.used_event of guest"],
    [SPACE.low, 0x1000 + 80, "used.flags of guest"],
    [SPACE.low, 0x1000 + 82, "used.idx of guest"],
    [SPACE.low, 0x1000 + 84 + 8 + 4, "used.ring[1].len of guest"],
    [SPACE.low, 0x1000 + 84 + 8 + 2, "used.ring[1] + 2 of guest"],
    [SPACE.low, 0x1000 + 84 + 32, "used.avail_event of guest"],
    [SPACE.low, 0x1000 + 84 + 33, "used + 37 of guest"],
    [SPACE.low, 0x1000 + 84 + 34, "guest RAM at 0x1076"],
    [SPACE.low, 0x2010, "the indirect table at 0x2010"],
    [SPACE.low, 0, "guest RAM at 0x0"],
    [SPACE.high, 16, "guest RAM at 0x100010"],
    [SPACE.shadow, 64, "desc[0].addr of shadow"],
    [SPACE.shadow, 63, "byte 63 beside the shadow ring"],
    [SPACE.log, 4, "log word 1"],
  ])("space %i, offset %i: %s", (space, offset, name) => {
    expect(placeName(setup, space, offset)).toBe(name);
  });
});
