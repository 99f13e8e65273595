/**
 * A trace: one run of a program in a rig, in a file that says so itself.
 *
 *     0  u8[8]  "svqtrace"
 *     8  u16    version: 1
 *    10  u16    0
 *    12  u32    bytes of the whole, checksum included
 *    16  u32    p: bytes of the program
 *    20  u32    e: bytes of the end
 *    24  u32    n: number of events
 *    28  u32    0
 *    32  p      the program: JSON, its fields in the order in which rig/program-json.ts reads them
 *        e      the end: JSON { violation, broken, action, forwarded, returned, quarantined }
 *        32 n   events, in the order in which they happened
 *        32     SHA-256 of all bytes before it
 *
 *    one event:
 *     0  u8     kind (EVENT)
 *     1  u8     space (SPACE), of an access
 *     2  u8     1 when an oracle refused the access, which then had no effect
 *     3  u8     0
 *     4  u32    action: index into the program; the number of actions once it is over
 *     8  u32    offset in the space; 0xffffffff for one that does not fit
 *    12  u32    bytes
 *    16  u32    value read or stored; of a copy its CRC-32
 *    20  u16    index words as they are after it: avail.idx of the guest's ring
 *    22  u16    used.idx of the guest's ring
 *    24  u16    avail.idx of the shadow ring
 *    26  u16    used.idx of the shadow ring
 *    28  u16    the next entry that the device takes
 *    30  u16    the next entry that the device fills
 *
 * Numbers are little-endian, texts UTF-8.
 */
import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { PEER_FAULTS } from "../../ring/peer-fault.js";
import { ORACLES } from "../oracles/violation.js";
import type { Program } from "../rig/program.js";
import { ProgramError, programFromJson, programToJson } from "../rig/program-json.js";
import { SPACE } from "../rig/world.js";
import { EVENT, type Finding, type Indices, oneLine, type Trace, type TraceEnd, type TraceEvent } from "./trace.js";

/** What is wrong with a trace, in one sentence on one line, whatever the trace may hold. */
export class TraceError extends Error {
  override readonly name = "TraceError";

  constructor(message: string, options?: ErrorOptions) {
    super(oneLine(message), options);
  }
}

/** The most that a trace may have; what is longer is no trace that somebody reads. */
export const TRACE_BYTES_MAX = 2 ** 26;

const MAGIC = new TextEncoder().encode("svqtrace");
const VERSION = 1;
const HEADER_BYTES = 32;
const EVENT_BYTES = 32;
const CHECKSUM_BYTES = 32;
const INDICES_OFFSET = 20;
const U32_MAX = 0xffffffff;

/** Writes a trace; the same bytes for the same trace. Throws TraceError for one that could not be read back. */
export function writeTrace(trace: Trace): Uint8Array {
  const program = new TextEncoder().encode(programText(trace.program));
  const end = new TextEncoder().encode(endToJson(trace.end));
  const eventsAt = HEADER_BYTES + program.length + end.length;
  const checksumAt = eventsAt + trace.events.length * EVENT_BYTES;
  const length = checksumAt + CHECKSUM_BYTES;
  if (length > TRACE_BYTES_MAX) throw new TraceError(`${length} bytes are too many for a trace (${TRACE_BYTES_MAX})`);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  view.setUint16(8, VERSION, true);
  for (const [i, value] of [length, program.length, end.length, trace.events.length].entries()) {
    view.setUint32(12 + i * 4, value, true);
  }
  bytes.set(program, HEADER_BYTES);
  bytes.set(end, HEADER_BYTES + program.length);
  bytes.set(eventsToBytes(trace.events), eventsAt);
  bytes.set(sha256(bytes.subarray(0, checksumAt)), checksumAt);
  return bytes;
}

/** Reads a trace back, from bytes that anybody may have made; throws TraceError. */
export function readTrace(bytes: Uint8Array): Trace {
  const { programBytes, endBytes, events } = checkedHeader(bytes);
  const endAt = HEADER_BYTES + programBytes;
  const eventsAt = endAt + endBytes;
  const program = parsed("program", bytes.subarray(HEADER_BYTES, endAt), programFromJson);
  const end = parsed("end", bytes.subarray(endAt, eventsAt), endFrom);
  if (end.action > program.actions.length) throw outOfRange("action of the end", end.action);
  const view = new DataView(bytes.buffer, bytes.byteOffset + eventsAt, events * EVENT_BYTES);
  return { program, end, events: Array.from({ length: events }, (_, i) => eventAt(view, i, program)) };
}

/** The bytes of events, as they stand in a trace. */
export function eventsToBytes(events: readonly TraceEvent[]): Uint8Array {
  const bytes = new Uint8Array(events.length * EVENT_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [i, event] of events.entries()) {
    const at = i * EVENT_BYTES;
    bytes.set([event.kind, event.space, event.refused ? 1 : 0], at);
    view.setUint32(at + 4, event.action, true);
    view.setUint32(at + 8, event.offset, true);
    view.setUint32(at + 12, event.bytes, true);
    view.setUint32(at + 16, event.value, true);
    for (const [j, index] of event.indices.entries()) view.setUint16(at + INDICES_OFFSET + j * 2, index, true);
  }
  return bytes;
}

/** Lengths are looked at here, before anything is read or allocated by them. */
function checkedHeader(bytes: Uint8Array): { programBytes: number; endBytes: number; events: number } {
  const begins = MAGIC.every((byte, i) => i >= bytes.length || bytes[i] === byte);
  if (bytes.length === 0 || !begins) throw new TraceError("not a trace: it does not begin with svqtrace");
  if (bytes.length < HEADER_BYTES) throw new TraceError(`truncated: ${bytes.length} bytes are no header`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = view.getUint16(8, true);
  if (version !== VERSION) throw new TraceError(`a trace of version ${version}; this reads version ${VERSION}`);
  const [length, programBytes, endBytes, events] = [12, 16, 20, 24].map((at) => view.getUint32(at, true)) as [
    number,
    number,
    number,
    number,
  ];
  if (length > bytes.length) throw new TraceError(`truncated: ${bytes.length} of ${length} bytes`);
  if (length < bytes.length) throw new TraceError(`edited: ${bytes.length} bytes where it says ${length}`);
  if (length > TRACE_BYTES_MAX) throw outOfRange("length", length);
  const checksumAt = length - CHECKSUM_BYTES;
  if (checksumAt < HEADER_BYTES) throw outOfRange("length", length);
  if (sha256(bytes.subarray(0, checksumAt)).some((byte, i) => byte !== bytes[checksumAt + i])) {
    throw new TraceError("edited: the checksum is not that of its bytes");
  }
  if (view.getUint16(10, true) !== 0 || view.getUint32(28, true) !== 0) throw outOfRange("reserved bytes", "not 0");
  if (HEADER_BYTES + programBytes + endBytes + events * EVENT_BYTES !== checksumAt) {
    throw outOfRange("lengths of the parts", `${programBytes}, ${endBytes} and ${events} events in ${length} bytes`);
  }
  return { programBytes, endBytes, events };
}

function eventAt(view: DataView, index: number, { actions }: Program): TraceEvent {
  const at = index * EVENT_BYTES;
  const [kind, space, refused, zero] = [0, 1, 2, 3].map((i) => view.getUint8(at + i)) as [
    number,
    number,
    number,
    number,
  ];
  const [action, offset, bytes, value] = [4, 8, 12, 16].map((i) => view.getUint32(at + i, true)) as [
    number,
    number,
    number,
    number,
  ];
  if (kind > EVENT.spring) throw outOfRange(`kind of event ${index}`, kind);
  if (space > SPACE.log) throw outOfRange(`space of event ${index}`, space);
  if (refused > 1 || zero !== 0) throw outOfRange(`flags of event ${index}`, refused | (zero << 8));
  if (action > actions.length) throw outOfRange(`action of event ${index}`, action);
  if (kind === EVENT.spring && !actions[action]?.op.startsWith("ambush")) {
    throw outOfRange(`action of event ${index}`, action);
  }
  const indices = [0, 1, 2, 3, 4, 5].map((i) => view.getUint16(at + INDICES_OFFSET + i * 2, true));
  return { kind, space, offset, bytes, value, action, refused: refused === 1, indices: indices as unknown as Indices };
}

/** Reading it back first gives the fields one order, whoever made the program. */
function programText(program: Program): string {
  try {
    return JSON.stringify(programToJson(programFromJson(programToJson(program))));
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error;
    throw new TraceError(`out of range: the program: ${error.message}`, { cause: error });
  }
}

function endToJson({ violation, broken, action, forwarded, returned, quarantined }: TraceEnd): string {
  const found = violation && {
    oracle: violation.oracle,
    invariant: violation.invariant,
    message: violation.message,
  };
  return JSON.stringify({ violation: found ?? null, broken: broken ?? null, action, forwarded, returned, quarantined });
}

function endFrom(value: unknown): TraceEnd {
  const end = fieldsOf("end", value);
  const { violation, broken } = end;
  return {
    violation: violation === null ? undefined : findingFrom(fieldsOf("violation", violation)),
    broken: broken === null ? undefined : named("broken", broken, PEER_FAULTS),
    action: count(end, "action"),
    forwarded: count(end, "forwarded"),
    returned: count(end, "returned"),
    quarantined: count(end, "quarantined"),
  };
}

function findingFrom(violation: Record<string, unknown>): Finding {
  const { oracle, message } = violation;
  if (typeof message !== "string" || message !== oneLine(message)) {
    throw new TraceError("out of range: message of the end");
  }
  return { oracle: named("oracle", oracle, ORACLES), invariant: count(violation, "invariant"), message };
}

function named<T extends object>(what: string, value: unknown, names: T): keyof T {
  if (typeof value === "string" && Object.hasOwn(names, value)) return value as keyof T;
  throw outOfRange(`${what} of the end`, value);
}

function fieldsOf(what: string, value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw outOfRange(what, value);
  return value as Record<string, unknown>;
}

function count(fields: Record<string, unknown>, name: string): number {
  const value = fields[name];
  if (!Number.isInteger(value) || (value as number) < 0 || (value as number) > U32_MAX) {
    throw outOfRange(`${name} of the end`, value);
  }
  return value as number;
}

function parsed<T>(what: string, bytes: Uint8Array, from: (value: unknown) => T): T {
  try {
    return from(JSON.parse(textOf(bytes)));
  } catch (error) {
    if (!(error instanceof ProgramError || error instanceof SyntaxError)) throw error;
    throw new TraceError(`out of range: the ${what}: ${error.message}`, { cause: error });
  }
}

function textOf(bytes: Uint8Array): string {
  if (!isUtf8(bytes)) throw new TraceError("out of range: a text that is not UTF-8");
  return new TextDecoder().decode(bytes);
}

function outOfRange(what: string, value: unknown): TraceError {
  // Not as JSON: whoever made the trace may have nested it deeper than there is stack.
  const shown = typeof value === "number" || typeof value === "string" ? String(value).slice(0, 80) : typeof value;
  return new TraceError(`out of range: ${what}: ${shown}`);
}

function sha256(bytes: Uint8Array): Uint8Array {
  return createHash("sha256").update(bytes).digest();
}
