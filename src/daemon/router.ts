import { COMMANDS, type CommandArgument, type ControlCommand } from "./commands.js";
import { ControlError } from "./control-messages.js";

/** What query-devices says of a device, and how it is found. */
export interface DeviceFacts {
  readonly index: number;
  readonly listen: string;
  readonly connect: string;
  readonly process: "starting" | "ready" | "lost" | "stopping" | "stopped";
  readonly pid: number | null;
  /** Times that its process was started after it had crashed. */
  readonly restarts: number;
}

/** A device as the router sees it. */
export interface RoutedDevice {
  facts(): DeviceFacts;
  /** Asks its data process; rejects with ControlError. */
  request(execute: string, args: Readonly<Record<string, unknown>>, limitMs: number): Promise<object>;
}

/** Checks commands and brings each to who answers it. */
export class Router {
  readonly #devices: readonly RoutedDevice[];
  readonly #quit: () => void;

  /** `quit` is called once for every quit that came; what it starts goes on after the reply. */
  constructor(devices: readonly RoutedDevice[], quit: () => void) {
    this.#devices = devices;
    this.#quit = quit;
  }

  /** Executes a command of a client; rejects with ControlError, which names what is wrong. */
  async execute(name: string, args: Readonly<Record<string, unknown>>): Promise<object> {
    const command = COMMANDS.get(name);
    if (command === undefined || name === "qmp_capabilities") {
      throw new ControlError("CommandNotFound", `there is no command ${JSON.stringify(name.slice(0, 64))}`);
    }
    checkArguments(command, args);
    if (command.from === "main") return this.#ofMain(name);
    const { device, ...rest } = args;
    return this.#named(device).request(name, rest, command.limitMs);
  }

  #ofMain(name: string): object {
    if (name === "query-devices") return { devices: this.#devices.map((device) => device.facts()) };
    if (name === "query-commands") {
      return [...COMMANDS.values()].map(({ name, help, args }) => ({ name, help, arguments: args }));
    }
    // The reply goes first.
    setImmediate(this.#quit);
    return {};
  }

  /** The device with an index or a listen path; the only one there is when none is named. */
  #named(device: unknown): RoutedDevice {
    const known = this.#devices.map((candidate) => candidate.facts());
    const names = known.map(({ index, listen }) => `${index} (${listen})`).join(", ");
    if (device === undefined) {
      if (this.#devices.length === 1) return this.#devices[0]!;
      throw new ControlError("GenericError", `argument "device" is missing: one of ${names}`);
    }
    const at = known.findIndex(({ index, listen }) => device === index || device === listen || device === `${index}`);
    if (at < 0) throw new ControlError("GenericError", `there is no device ${shown(device)}: one of ${names}`);
    return this.#devices[at]!;
  }
}

function checkArguments({ name, args: known }: ControlCommand, given: Readonly<Record<string, unknown>>): void {
  const unknown = Object.keys(given).find((key) => !known.some((argument) => argument.name === key));
  if (unknown !== undefined) {
    throw new ControlError("GenericError", `${name} has no argument ${shown(unknown)}`);
  }
  for (const argument of known) checkArgument(name, argument, given[argument.name]);
}

function checkArgument(command: string, { name, required, values }: CommandArgument, value: unknown): void {
  if (value === undefined && required !== true) return;
  const oneOf = values === undefined ? "" : `: one of ${values.join(", ")}`;
  if (value === undefined) throw new ControlError("GenericError", `${command} needs argument "${name}"${oneOf}`);
  const fits = values === undefined ? typeof value === "string" || Number.isSafeInteger(value) : isOne(value, values);
  if (!fits) throw new ControlError("GenericError", `argument "${name}" of ${command} is ${shown(value)}${oneOf}`);
}

function isOne(value: unknown, values: readonly string[]): boolean {
  return values.some((word) => word === value);
}

/** A value that a client sent, short enough for an error. */
function shown(value: unknown): string {
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "a list" : "an object";
  return JSON.stringify(value).slice(0, 128);
}
