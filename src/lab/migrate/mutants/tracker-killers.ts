import type { Kill } from "../../../validate/mutants/killers.js";
import { TRACKER_ROWS } from "../rows.js";
import { type RunOptions, runMigration, unmet } from "../run.js";
import { QUICK } from "../workloads.js";
import { TRACKER_CHECKS } from "./tracker-checks.js";

/** Small enough for a tenth of a second, with every block and the hole. */
const SMALL: RunOptions = {
  ...QUICK,
  ramBytes: 16 * 2 ** 20,
  parameters: { ...QUICK.parameters, maxBandwidthBytes: 32 * 2 ** 20, downtimeLimitNs: 62.5e6, roundsMax: 4 },
};

/** Holds trackers against their rules and rows up to the first that fails; rows and rules in `first` go first. */
export async function trackerKill(seed: number, first: readonly string[]): Promise<Kill> {
  const named = (name: string) => first.includes(name);
  const rules = Object.keys(TRACKER_CHECKS);
  const rows = [...TRACKER_ROWS.keys()];
  const checks = [
    ...rules.filter(named).map(ruleCheck),
    ...rows.filter(named).map((name) => rowCheck(name, seed)),
    ...rules.filter((name) => !named(name)).map(ruleCheck),
    ...rows.filter((name) => !named(name)).map((name) => rowCheck(name, seed)),
  ];
  let executions = 0;
  for (const check of checks) {
    executions += 1;
    const killed_by = await tried(check);
    if (killed_by !== null) return { killed_by, executions };
  }
  return { killed_by: null, executions };
}

interface Check {
  readonly name: string;
  /** Whether all is as it has to be. */
  readonly holds: () => boolean | Promise<boolean>;
}

function ruleCheck(name: string): Check {
  return { name: `tracker rule: ${name}`, holds: TRACKER_CHECKS[name]! };
}

/** Whatever a row is expected to show: no page lost, or some, or a refusal. */
function rowCheck(name: string, seed: number): Check {
  return {
    name: `migrate ${name}`,
    holds: async () => unmet((await runMigration([TRACKER_ROWS.get(name)!], { ...SMALL, seed })).row) === undefined,
  };
}

/** Whatever is thrown where nothing may be was noticed as well. */
async function tried({ name, holds }: Check): Promise<string | null> {
  try {
    return (await holds()) ? null : name;
  } catch (error) {
    return `${name}, threw ${String(error)}`;
  }
}
