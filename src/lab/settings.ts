import { DEVICES, type MachineConfig, PLACEMENTS, WAITINGS } from "../machine/config.js";
import { IOVA_POLICIES } from "../relay/address-plan.js";
import { DATA_PATHS } from "../relay/data-path.js";
import { UsageError } from "../report/exit-codes.js";
import { parseSizeBytes } from "../report/units.js";
import { DEFAULT_PATHS, type PathChoice } from "./paths.js";

/** One field of a machine's config as users write it: in options (with dashes), in config files and in sweeps. */
export interface Setting {
  /** The field's own name, in snake_case. */
  readonly key: string;
  readonly field: keyof MachineConfig;
  /** What an option's argument is called in --help; absent for switches. */
  readonly argument?: string;
  readonly help: string;
  /** Reads a value; throws UsageError. */
  readonly parse: (text: string) => string | number | boolean;
}

/** Every setting of a machine, in the order of --help. */
export const SETTINGS: readonly Setting[] = [
  choice("waiting", "waiting", ["auto", ...WAITINGS], "how threads wait; auto chooses by the cores there are"),
  choice("iova_policy", "iovaPolicy", IOVA_POLICIES, "where the device finds guest memory (svq only)"),
  size("aperture_first", "apertureFirst", "first address the device can reach"),
  size("aperture_last", "apertureLast", "last address the device can reach"),
  size("ram", "ramBytes", "guest RAM, 16M to 4G"),
  onOff("hole", "hole", "leave a hole in guest physical space"),
  count("mappings", "mappings", "IOVA mappings per region of guest RAM"),
  count("queues", "queues", "queues of the device, 1 to 64"),
  count("queue_size", "queueSize", "entries of a queue: a power of two, 1 to 32768"),
  count("shadow_queue_size", "shadowQueueSize", "entries of the shadow ring; 0: as the queue"),
  onOff("event_idx", "eventIdx", "offer VIRTIO_RING_F_EVENT_IDX"),
  onOff("indirect", "indirect", "use indirect descriptors"),
  choice("device", "device", DEVICES, "what the device is"),
  choice("order", "order", ["in-order", "out-of-order"], "order of the device's completions"),
  count("delay_steps", "delaySteps", "device steps a completion waits at least"),
  count("device_batch", "deviceBatch", "completions the device returns together"),
  count("depth", "depth", "requests in flight in each queue"),
  count("batch", "batch", "requests submitted together"),
  size("request_size", "requestBytes", "bytes of a request's data"),
  count("segments", "segments", "data segments of a request"),
  count("null_requests", "nullRequests", "requests of one pass of the null device"),
  onOff("dirty_log", "dirtyLog", "mark written pages"),
  choice(
    "mark_policy",
    "markPolicy",
    ["all-writable", "used-len", "hybrid"],
    "which bytes of a used buffer count as written",
  ),
  count("exit_ns", "exitNs", "busy delay added to each of the driver's kicks"),
  count("seed", "seed", "every random choice follows from it"),
];

/** Finds a setting by the name a user wrote, with dashes or underscores. */
export function settingOf(name: string): Setting | undefined {
  return SETTINGS.find(({ key }) => key === name.replaceAll("-", "_"));
}

/** Reads a list of rows such as "passthrough/threads,svq/fused"; a path alone is in threads. Throws UsageError. */
export function parsePaths(text: string): PathChoice[] {
  if (text === "default") return [...DEFAULT_PATHS];
  return text.split(",").map((row) => {
    const [path, placement = "threads", ...rest] = row.trim().split("/");
    const known = DATA_PATHS.find((name) => name === path);
    if (known === undefined || rest.length > 0) {
      throw new UsageError(
        `unknown path "${row}": paths are ${DATA_PATHS.join(", ")}, each with /${PLACEMENTS.join(" or /")}`,
      );
    }
    const place = PLACEMENTS.find((name) => name === placement);
    if (place === undefined)
      throw new UsageError(`unknown placement "${placement}" of path ${path}: placements are ${PLACEMENTS.join(", ")}`);
    return { path: known, placement: place };
  });
}

/** Reads how many timed windows each path gets: five at least, for an interval; throws UsageError. */
export function parseRounds(text: string): number {
  const rounds = Number(text);
  if (!/^\d+$/.test(text) || rounds < 5 || rounds > 1000)
    throw new UsageError(`rounds "${text}" is not a whole number from 5 to 1000`);
  return rounds;
}

/** A machine's config under the names of its settings. */
export function settingsOf(config: MachineConfig): Record<string, string | number | boolean> {
  return Object.fromEntries(SETTINGS.map(({ key, field }) => [key, config[field]]));
}

function count(key: string, field: keyof MachineConfig, help: string): Setting {
  const parse = (text: string) => {
    if (!/^\d+$/.test(text.trim())) throw new UsageError(`${key} "${text}" is not a whole number`);
    return Number(text);
  };
  return { key, field, argument: "<n>", help, parse };
}

function size(key: string, field: keyof MachineConfig, help: string): Setting {
  const parse = (text: string) => {
    try {
      return /^0x[0-9a-f]+$/i.test(text) ? Number(text) : parseSizeBytes(text);
    } catch (error) {
      throw new UsageError(`${key}: ${(error as Error).message}`);
    }
  };
  return { key, field, argument: "<size>", help, parse };
}

function choice(key: string, field: keyof MachineConfig, of: readonly string[], help: string): Setting {
  const parse = (text: string) => {
    if (!of.includes(text)) throw new UsageError(`${key} "${text}" is not one of ${of.join(", ")}`);
    return text;
  };
  return { key, field, argument: `<${of.join("|")}>`, help, parse };
}

function onOff(key: string, field: keyof MachineConfig, help: string): Setting {
  const parse = (text: string) => {
    if (["true", "on", "yes", "1"].includes(text)) return true;
    if (["false", "off", "no", "0"].includes(text)) return false;
    throw new UsageError(`${key} "${text}" is not on or off`);
  };
  return { key, field, argument: "<on|off>", help, parse };
}
