import { isQueueSize } from "../layout/virtio-ring.js";
import { ConfigError } from "../memory/config-error.js";
import type { IovaPolicy } from "../relay/address-plan.js";
import type { DataPathName } from "../relay/data-path.js";
import type { MarkPolicy } from "../relay/guest-marks.js";

/** Which thread runs the relay: its own, the device's, or one thread for everybody in virtual time. */
export const PLACEMENTS = ["threads", "fused", "inline"] as const;
/** One of PLACEMENTS. */
export type Placement = (typeof PLACEMENTS)[number];

/** How a thread waits: never sleeping, sleeping at once, or spinning for a while first. */
export const WAITINGS = ["polled", "notified", "adaptive"] as const;
/** One of WAITINGS. */
export type Waiting = (typeof WAITINGS)[number];

/** The devices there are. */
export const DEVICES = ["blk", "net", "null"] as const;
/** One of DEVICES. */
export type DeviceName = (typeof DEVICES)[number];

/** One emulated machine, as plain data: the same config gives the same machine in every placement. */
export interface MachineConfig {
  readonly path: DataPathName;
  readonly placement: Placement;
  /** "auto" chooses by the cores there are. */
  readonly waiting: Waiting | "auto";
  readonly iovaPolicy: IovaPolicy;
  /** What the device can address, both ends included. */
  readonly apertureFirst: number;
  readonly apertureLast: number;
  /** Guest RAM in all; a quarter of it lies above the hole. */
  readonly ramBytes: number;
  readonly hole: boolean;
  /** IOVA mappings per region of guest RAM. */
  readonly mappings: number;
  readonly queues: number;
  readonly queueSize: number;
  /** Size of the shadow ring; 0: the guest's. */
  readonly shadowQueueSize: number;
  readonly eventIdx: boolean;
  readonly indirect: boolean;
  readonly device: DeviceName;
  readonly order: "in-order" | "out-of-order";
  readonly delaySteps: number;
  readonly deviceBatch: number;
  /** Requests in flight in each queue, and how many are submitted together. */
  readonly depth: number;
  readonly batch: number;
  readonly requestBytes: number;
  /** Data segments of a request. */
  readonly segments: number;
  /** Requests of one pass of the null device. */
  readonly nullRequests: number;
  readonly dirtyLog: boolean;
  readonly markPolicy: MarkPolicy;
  /** Busy nanoseconds added to each of the driver's kicks, to stand for a VM exit. */
  readonly exitNs: number;
  readonly seed: number;
}

const MIB = 2 ** 20;

/** What holds where nothing else is asked for. */
export const DEFAULT_CONFIG: MachineConfig = {
  path: "svq",
  placement: "threads",
  waiting: "auto",
  iovaPolicy: "tree",
  apertureFirst: 0,
  apertureLast: 2 ** 47 - 1,
  ramBytes: 64 * MIB,
  hole: true,
  mappings: 1,
  queues: 1,
  queueSize: 256,
  shadowQueueSize: 0,
  eventIdx: true,
  indirect: false,
  device: "blk",
  order: "in-order",
  delaySteps: 0,
  deviceBatch: 1,
  depth: 64,
  batch: 16,
  requestBytes: 4096,
  segments: 1,
  nullRequests: 65_536,
  dirtyLog: true,
  markPolicy: "all-writable",
  exitNs: 0,
  seed: 1,
};

/** What each data path may be combined with; the first IOVA policy is the one it takes by itself. */
export const COMBINATIONS: Readonly<
  Record<
    DataPathName,
    { placements: readonly Placement[]; waitings: readonly Waiting[]; policies: readonly IovaPolicy[] }
  >
> = {
  passthrough: { placements: ["threads", "inline"], waitings: WAITINGS, policies: ["gpa"] },
  notify: { placements: ["threads", "inline"], waitings: ["notified", "adaptive"], policies: ["gpa"] },
  svq: { placements: PLACEMENTS, waitings: WAITINGS, policies: ["tree", "gpa", "fixed", "identity-all"] },
  "used-only": { placements: PLACEMENTS, waitings: WAITINGS, policies: ["fixed"] },
};

/** Checks a whole config; throws ConfigError naming the field and what it may be. Returns it. */
export function checkedConfig(config: MachineConfig): MachineConfig {
  checkCombination(config);
  if (!isQueueSize(config.queueSize))
    throw new ConfigError(`queue_size ${config.queueSize} is not a power of two from 1 to 32768`);
  if (config.shadowQueueSize !== 0 && !isQueueSize(config.shadowQueueSize)) {
    throw new ConfigError(`shadow_queue_size ${config.shadowQueueSize} is not 0 or a power of two from 1 to 32768`);
  }
  inRange(config, "queues", 1, 64);
  inRange(config, "depth", 1, 32_768);
  inRange(config, "batch", 1, config.depth);
  inRange(config, "segments", 1, 1024);
  inRange(config, "requestBytes", 1, MIB);
  inRange(config, "ramBytes", 16 * MIB, 4096 * MIB);
  inRange(config, "mappings", 1, 2 ** 20);
  inRange(config, "deviceBatch", 1, 32_768);
  inRange(config, "delaySteps", 0, 1_000_000);
  inRange(config, "nullRequests", 1, 2 ** 31);
  inRange(config, "exitNs", 0, 1_000_000);
  inRange(config, "apertureFirst", 0, Number.MAX_SAFE_INTEGER);
  inRange(config, "apertureLast", config.apertureFirst + 4095, 2 ** 52 - 1);
  if (config.ramBytes % (MIB * 4) !== 0) throw new ConfigError(`ram ${config.ramBytes} is not a multiple of 4 MiB`);
  if (config.device === "blk" && config.requestBytes % 512 !== 0) {
    throw new ConfigError(`request_size ${config.requestBytes} is not a multiple of 512, the sector of a blk device`);
  }
  checkChain(config);
  return config;
}

/** Descriptors of the longest chain that a device's requests make. */
export function chainLength(config: Pick<MachineConfig, "device" | "segments">): number {
  if (config.device === "blk") return config.segments + 2;
  return config.device === "net" ? 2 * config.segments : config.segments;
}

function checkCombination({ path, placement, waiting, iovaPolicy }: MachineConfig): void {
  const allowed = COMBINATIONS[path];
  const refuse = (what: string, value: string, of: readonly string[]) => {
    if (!of.includes(value))
      throw new ConfigError(`path ${path} does not go with ${what} ${value} (only: ${of.join(", ")})`);
  };
  refuse("placement", placement, allowed.placements);
  if (waiting !== "auto") refuse("waiting", waiting, allowed.waitings);
  refuse("iova_policy", iovaPolicy, allowed.policies);
}

function checkChain(config: MachineConfig): void {
  const needed = chainLength(config);
  if (needed > config.queueSize) {
    throw new ConfigError(
      `a ${config.device} request has ${needed} descriptors: queue_size ${config.queueSize} cannot hold one`,
    );
  }
}

function inRange(config: MachineConfig, field: keyof MachineConfig, low: number, high: number): void {
  const value = config[field] as number;
  if (!(Number.isSafeInteger(value) && value >= low && value <= high)) {
    throw new ConfigError(`${snakeCase(field)} ${value} is not an integer from ${low} to ${high}`);
  }
}

/** The name by which users know a field. */
function snakeCase(field: string): string {
  return field
    .replace(/Bytes$/, field === "ramBytes" ? "" : "Size")
    .replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
