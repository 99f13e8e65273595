import { ConfigError } from "../../memory/config-error.js";
import { DATAPATHS, type DataProcessOptions } from "../control-messages.js";

/** What a data process goes by: what it was started with, and defaults for what nobody asked for. */
export type DataOptions = Required<Omit<DataProcessOptions, "fault">> & Pick<DataProcessOptions, "fault">;

const DEFAULTS = {
  iovaPolicy: "tree",
  // An indirect table of a block device has up to 130 entries, and all of them stand in the relay's ring.
  shadowQueueSize: 1024,
  backendTimeoutMs: 10_000,
} as const;

/** Reads the options of a data process from JSON; throws ConfigError. */
export function parseDataOptions(json: string | undefined): DataOptions {
  const options = { ...DEFAULTS, ...given(json) };
  for (const name of ["listen", "connect"] as const) {
    if (typeof options[name] !== "string" || options[name] === "") throw new ConfigError(`a device has a ${name} path`);
  }
  if (!DATAPATHS.includes(options.datapath)) throw new ConfigError(`there is no data path "${options.datapath}"`);
  return options;
}

function given(json: string | undefined): DataProcessOptions {
  try {
    const value: unknown = JSON.parse(json ?? "");
    if (typeof value === "object" && value !== null) return value as DataProcessOptions;
  } catch {
    // Named below, as anything else that is no object.
  }
  throw new ConfigError("a data process is started by svq relay, with its options as JSON");
}
