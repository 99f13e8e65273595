import { describe, expect, test } from "vitest";
import { configOf } from "../../src/lab/paths.js";
import { planThreads, type ThreadPlan, threadCount } from "../../src/lab/wait-policy.js";
import { COMBINATIONS, type MachineConfig } from "../../src/machine/config.js";
import { DATA_PATHS } from "../../src/relay/data-path.js";

const CORES = [[3], [3, 5], [0, 1, 2], [0, 1, 2, 3]];
/** Every row there is, with every waiting it goes with. */
const CONFIGS: readonly MachineConfig[] = DATA_PATHS.flatMap((path) =>
  COMBINATIONS[path].placements.flatMap((placement) =>
    (["auto", ...COMBINATIONS[path].waitings] as const).map((waiting) => configOf({ path, placement }, { waiting })),
  ),
);

/** The threads that exist, by the role whose policy and CPU they take; passthrough has a relay too, idle. */
function threadsOf({ placement }: MachineConfig): ("driver" | "relay" | "device")[] {
  if (placement === "inline") return ["driver"];
  return placement === "fused" ? ["driver", "device"] : ["driver", "relay", "device"];
}

/** Threads that spin while there is something to do for them. */
function spinners(config: MachineConfig, plan: ThreadPlan): string[] {
  return threadsOf(config).filter((role) => plan[role].waiting !== "notified");
}

describe.each(CORES.map((cpus) => ({ cpus, count: cpus.length })))("planThreads() on $count cores", ({ cpus }) => {
  test("never has more spinners than cores", () => {
    for (const config of CONFIGS) {
      const plan = planThreads(config, cpus);
      const name = `${config.path}/${config.placement} ${config.waiting}`;
      expect(spinners(config, plan).length, name).toBeLessThanOrEqual(cpus.length);
    }
  });

  test("puts threads on cores there are: on one each, or those that wait on one together", () => {
    for (const config of CONFIGS) {
      const plan = planThreads(config, cpus);
      const busy = threadsOf(config).filter((role) => role !== "relay" || config.path !== "passthrough");
      const used = busy.map((role) => plan.cpus[role]!);
      expect(cpus).toEqual(expect.arrayContaining(used));
      expect(plan.threads).toBe(busy.length);
      const apart = new Set(used).size;
      if (busy.length <= cpus.length) expect(apart).toBe(busy.length);
      else if (spinners(config, plan).length === 0) expect(apart).toBe(1);
      // Who spins has a core to itself where there is a second one.
      else expect(used.filter((cpu) => cpu === plan.cpus.relay)).toHaveLength(cpus.length === 1 ? busy.length : 1);
    }
  });

  test("does as it is asked where it can, and says so where it cannot", () => {
    for (const config of CONFIGS) {
      const plan = planThreads(config, cpus);
      const enough = threadCount(config) <= cpus.length;
      const asked = config.waiting;
      const expected = enough ? (asked === "auto" ? "adaptive" : asked) : "notified";
      expect([plan.driver.waiting, plan.device.waiting]).toEqual([expected, expected]);
      const relaySpins = !enough && asked === "auto" && cpus.length > 1;
      if (relaySpins) expect(plan.relay.waiting).toBe("adaptive");
      const short = !enough && (asked === "polled" || asked === "adaptive");
      expect(plan.why === undefined, JSON.stringify(plan)).toBe(!short);
      if (short) expect(plan.why).toContain(`${threadCount(config)} ${asked === "polled" ? "pollers" : "spinners"} on`);
    }
  });

  test("with fewer cores than pollers the relay polls, if it has a thread and something to relay", () => {
    for (const config of CONFIGS.filter(({ waiting }) => waiting === "polled")) {
      const plan = planThreads(config, cpus);
      if (threadCount(config) <= cpus.length) continue;
      const alone = config.placement === "threads" && config.path !== "passthrough";
      expect(spinners(config, plan)).toEqual(alone ? ["relay"] : []);
      expect(plan.why).toContain(alone ? "the relay polls, the others wait" : "none polls");
    }
  });

  test("has no timeout below a second, so that none is part of a speed", () => {
    for (const config of CONFIGS) {
      const { driver, relay, device } = planThreads(config, cpus);
      expect(Math.min(driver.timeoutMs, relay.timeoutMs, device.timeoutMs)).toBeGreaterThanOrEqual(1000);
    }
  });
});
