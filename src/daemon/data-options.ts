import { ConfigError } from "../memory/config-error.js";

/** Which data path a device is on: always one, or the shadow virtqueue only while the front end logs. */
export const DATAPATHS = ["svq", "passthrough", "auto"] as const;
/** "svq": shadow virtqueues; "passthrough": the relay out of the way; "auto": svq while dirty pages are logged. */
export type Datapath = (typeof DATAPATHS)[number];

/** Faults that can be switched on to see that a test notices: marks that are not made. */
export const RELAY_FAULTS = ["drop-marks"] as const;

/** All that a data process is told when it starts; plain data, given as JSON. */
export interface DataOptions {
  /** Where the front end connects. */
  readonly listen: string;
  /** Where the back end listens. */
  readonly connect: string;
  readonly datapath: Datapath;
  /** Names of features of the back end to hide, separated by commas. */
  readonly maskBackendFeatures: string;
  /** How guest memory gets its I/O virtual addresses: allocated, or its own. */
  readonly iovaPolicy: "tree" | "gpa";
  /** Entries of a shadow ring, at least; a ring of the guest's that is larger gets its own size. */
  readonly shadowQueueSize: number;
  /** How long the back end may take to answer a message, in milliseconds. */
  readonly backendTimeoutMs: number;
  readonly fault: (typeof RELAY_FAULTS)[number] | undefined;
}

/** What a data process does unless it is told otherwise. */
export const DATA_DEFAULTS = {
  datapath: "svq",
  maskBackendFeatures: "",
  iovaPolicy: "tree",
  shadowQueueSize: 1024,
  backendTimeoutMs: 10_000,
  fault: undefined,
} as const satisfies Omit<DataOptions, "listen" | "connect">;

/** Reads the options of a data process from JSON; throws ConfigError. */
export function parseDataOptions(json: string | undefined): DataOptions {
  const given = objectFrom(json);
  const options = { ...DATA_DEFAULTS, ...given } as DataOptions;
  for (const name of ["listen", "connect"] as const) {
    if (typeof options[name] !== "string" || options[name] === "") throw new ConfigError(`a device has a ${name} path`);
  }
  if (!DATAPATHS.includes(options.datapath)) throw new ConfigError(`there is no data path "${options.datapath}"`);
  return options;
}

function objectFrom(json: string | undefined): object {
  try {
    const value: unknown = JSON.parse(json ?? "");
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // Named below, as anything else that is no object.
  }
  throw new ConfigError("a data process is started by svq relay, with its options as JSON");
}
