import { DATAPATHS } from "./control-messages.js";

/** An argument of a command: an optional one unless said otherwise. */
export interface CommandArgument {
  readonly name: string;
  readonly required?: true;
  /** The words it may be; any text or whole number unless given. */
  readonly values?: readonly string[];
}

/** A command of the control socket. */
export interface ControlCommand {
  readonly name: string;
  readonly help: string;
  readonly args: readonly CommandArgument[];
  /** Who answers: the main process, or the data process of a device. */
  readonly from: "main" | "device";
  /** Milliseconds after which a device is taken not to answer. */
  readonly limitMs: number;
}

const ANSWER_MS = 5000;
/** A switch waits for the device to give its requests back. */
const SWITCH_MS = 30_000;

const DEVICE: CommandArgument = { name: "device" };

/** What clients of the control socket may ask, in the order of query-commands. */
export const COMMANDS: ReadonlyMap<string, ControlCommand> = new Map(
  [
    ofMain("qmp_capabilities", "ends the negotiation, the first command of a session", [{ name: "enable" }]),
    ofMain("query-commands", "the commands and their arguments"),
    ofMain("query-devices", "the devices and their processes"),
    ofMain("quit", "stops every device and ends the daemon"),
    ofDevice("query-status", "what the device does"),
    ofDevice("query-vq-status", "indices and states of the queues"),
    ofDevice("query-iova-tree", "which guest memory the back end reaches, and where"),
    ofDevice("query-features", "what the back end has, what is offered, what is masked and why"),
    ofDevice("query-stats", "counters since the process started"),
    ofDevice("set-datapath", "switches the queues while they run", SWITCH_MS, [
      { name: "datapath", required: true, values: DATAPATHS },
    ]),
  ].map((command) => [command.name, command]),
);

function ofMain(name: string, help: string, args: readonly CommandArgument[] = []): ControlCommand {
  return { name, help, args, from: "main", limitMs: ANSWER_MS };
}

function ofDevice(
  name: string,
  help: string,
  limitMs = ANSWER_MS,
  args: readonly CommandArgument[] = [],
): ControlCommand {
  return { name, help, args: [...args, DEVICE], from: "device", limitMs };
}
