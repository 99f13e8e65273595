/** The lines between the main process and a data process: one JSON object each, shaped as in QMP. */

/** Bytes of the longest line that a data process may send; a longer one ends it. */
export const DEVICE_LINE_BYTES_MAX = 4 * 2 ** 20;
/** UTF-16 units of the longest event or log record that a data process may send: they go to the log. */
const TOLD_LENGTH_MAX = 16_384;
/** Levels to which a line of a data process may nest: it is written again for clients, which takes stack. */
const NESTING_MAX = 32;
/** Bytes of the longest line that a client of the control socket may send; a longer one is an error reply. */
export const CLIENT_LINE_BYTES_MAX = 2 ** 20;

/** Exit code of a data process that cannot use what it was given; the last line on its stderr says what. */
export const UNUSABLE_EXIT_CODE = 2;

/** The data paths a device can be told to take; "auto" is the shadow virtqueue only while the front end logs. */
export const DATAPATHS = ["svq", "passthrough", "auto"] as const;

/** What a data process is started with: JSON in its first argument, or the `workerData` of its worker. */
export interface DataProcessOptions {
  /** Place among the --listen options, from 0. */
  readonly index: number;
  /** Path of the socket that the front end connects to; at most 107 bytes. */
  readonly listen: string;
  /** Path of the back end's socket; at most 107 bytes. */
  readonly connect: string;
  readonly datapath: (typeof DATAPATHS)[number];
  /** How guest memory gets its I/O virtual addresses: allocated from a tree, or its own. */
  readonly iovaPolicy?: "tree" | "gpa";
  /** Entries of a shadow ring; a ring of the guest's that is larger gets its own size. */
  readonly shadowQueueSize?: number;
  /** How long the back end may take to answer a message, in milliseconds. */
  readonly backendTimeoutMs?: number;
  /** A fault to carry along, so that a test can see that it is noticed. */
  readonly fault?: "drop-marks" | undefined;
  /** Names that parseFeatureMask() takes, with commas between, of what is to be taken from the back end's offer. */
  readonly maskBackendFeatures: string;
  /** Milliseconds that `stop` may take. */
  readonly graceMs: number;
}

/** The `workerData` of a data process that is a worker of the main process. */
export interface DataWorkerData {
  readonly options: DataProcessOptions;
  /** The worker's end of the control line, which is 3 in a process of its own. */
  readonly controlFd: number;
}

/** Error classes of QMP. */
export type ErrorClass = "GenericError" | "CommandNotFound" | "DeviceNotActive";

const ERROR_CLASSES: readonly ErrorClass[] = ["GenericError", "CommandNotFound", "DeviceNotActive"];

/** A command that failed: what stands in an error reply. */
export class ControlError extends Error {
  override readonly name = "ControlError";
  readonly errorClass: ErrorClass;

  constructor(errorClass: ErrorClass, desc: string) {
    super(desc);
    this.errorClass = errorClass;
  }
}

/** Seconds and microseconds since 1970. */
export interface Timestamp {
  readonly seconds: number;
  readonly microseconds: number;
}

/** Something that happened, told to every session. */
export interface ControlEvent {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly timestamp: Timestamp;
}

/** The levels at which a data process logs. */
type DeviceLogLevel = (typeof LOG_LEVELS)[number];

const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal"] as const;

/** A line of the log, on its way to the one log of the daemon. */
export interface DeviceLogLine {
  readonly level: DeviceLogLevel;
  readonly msg: string;
  /** Connection, queue and the like: plain values only. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A line from a data process, understood. */
export type DeviceLine =
  | { readonly kind: "return"; readonly id: number; readonly value: object }
  | { readonly kind: "error"; readonly id: number; readonly error: ControlError }
  | { readonly kind: "event"; readonly event: ControlEvent }
  | { readonly kind: "log"; readonly log: DeviceLogLine }
  | { readonly kind: "bad"; readonly why: string };

/** Reads a line of a data process; never throws: a line that makes no sense is kind "bad". */
export function parseDeviceLine(line: string): DeviceLine {
  let message: unknown;
  try {
    message = JSON.parse(line);
  } catch {
    return bad("a line that is no JSON");
  }
  if (!isRecord(message)) return bad("a line that is no object");
  if (!nestsWithin(message, NESTING_MAX)) return bad(`a line that nests deeper than ${NESTING_MAX}`);
  const told = Object.hasOwn(message, "event") || Object.hasOwn(message, "log");
  if (told && line.length > TOLD_LENGTH_MAX) return bad(`an event or a record of over ${TOLD_LENGTH_MAX} characters`);
  if (Object.hasOwn(message, "event")) return readEvent(message);
  if (Object.hasOwn(message, "log")) return readLog(message["log"]);
  return readReply(message);
}

function nestsWithin(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  return levels > 0 && Object.values(value).every((inner) => nestsWithin(inner, levels - 1));
}

/** What of a data process' words goes into a line of the log: plain values, under none of the log's own names. */
export function logFields(from: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const own = ["level", "time", "msg", "device", "event"];
  const kept = Object.entries(from).filter(([name, value]) => typeof value !== "object" && !own.includes(name));
  return Object.fromEntries(kept);
}

/** The moment an event of the main process happened. */
export function timestampOf(ms: number): Timestamp {
  return { seconds: Math.floor(ms / 1000), microseconds: Math.floor((ms % 1000) * 1000) };
}

/** Whether a parsed value is an object with members. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function readReply({ id, return: value, error }: Record<string, unknown>): DeviceLine {
  if (!Number.isSafeInteger(id)) return bad("a reply without the number of its request");
  if (isRecord(value) || Array.isArray(value)) return { kind: "return", id: id as number, value };
  if (!isRecord(error) || typeof error["desc"] !== "string") return bad("a reply with neither return nor error");
  const errorClass = ERROR_CLASSES.find((name) => name === error["class"]) ?? "GenericError";
  return { kind: "error", id: id as number, error: new ControlError(errorClass, error["desc"]) };
}

function readEvent({ event, data = {}, timestamp }: Record<string, unknown>): DeviceLine {
  if (typeof event !== "string" || !/^[A-Z][A-Z0-9_]{0,63}$/.test(event)) return bad("an event without a name");
  if (!isRecord(data)) return bad(`event ${event} whose data is no object`);
  const given = isRecord(timestamp) ? timestamp : {};
  const { seconds, microseconds } = given;
  const timed = Number.isSafeInteger(seconds) && Number.isSafeInteger(microseconds);
  const at = timed ? { seconds: seconds as number, microseconds: microseconds as number } : timestampOf(Date.now());
  return { kind: "event", event: { event, data, timestamp: at } };
}

function readLog(log: unknown): DeviceLine {
  if (!isRecord(log)) return bad("a log line that is no object");
  const { level, msg, ...rest } = log;
  const known = LOG_LEVELS.find((name) => name === level);
  if (known === undefined || typeof msg !== "string") return bad("a log line without level or msg");
  return { kind: "log", log: { level: known, msg, fields: logFields(rest) } };
}

function bad(why: string): DeviceLine {
  return { kind: "bad", why };
}
