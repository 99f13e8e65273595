import { COMBINATIONS, checkedConfig, DEFAULT_CONFIG, type MachineConfig, type Placement } from "../machine/config.js";
import type { DataPathName } from "../relay/data-path.js";

/** One row of a bench: a data path in a placement. */
export interface PathChoice {
  readonly path: DataPathName;
  readonly placement: Placement;
}

/** The rows of a bench where none are chosen; the first is what the others are compared with. */
export const DEFAULT_PATHS: readonly PathChoice[] = [
  { path: "passthrough", placement: "threads" },
  { path: "notify", placement: "threads" },
  { path: "svq", placement: "threads" },
  { path: "svq", placement: "fused" },
  { path: "used-only", placement: "threads" },
];

/** What the others are compared with. */
export const BASELINE: PathChoice = DEFAULT_PATHS[0]!;

/** The name of a row: path/placement. */
export function pathName({ path, placement }: PathChoice): string {
  return `${path}/${placement}`;
}

/** The config of one row: what was asked for, with what that path takes by itself where the user said nothing. */
export function configOf(choice: PathChoice, asked: Partial<MachineConfig>): MachineConfig {
  const { policies, waitings } = COMBINATIONS[choice.path];
  const iovaPolicy =
    asked.iovaPolicy !== undefined && policies.includes(asked.iovaPolicy) ? asked.iovaPolicy : policies[0]!;
  const waiting = asked.waiting === undefined || asked.waiting === "auto" ? "auto" : asked.waiting;
  const allowed = waiting === "auto" || waitings.includes(waiting) ? waiting : "auto";
  return { ...DEFAULT_CONFIG, ...asked, ...choice, iovaPolicy, waiting: allowed };
}

/** The configs of all rows; what none of them goes with is refused, not passed over. Throws ConfigError. */
export function configsOf(choices: readonly PathChoice[], asked: Partial<MachineConfig>): MachineConfig[] {
  const configs = choices.map((choice) => configOf(choice, asked));
  for (const field of ["waiting", "iovaPolicy"] as const) {
    const value = asked[field];
    if (value === undefined || configs.some((config) => config[field] === value)) continue;
    checkedConfig({ ...configs[0]!, [field]: value });
  }
  return configs;
}
