import { VRING_DESC, VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE } from "../../layout/virtio-ring.js";
import type { Action, Element, Poke, Program, RawDescriptor } from "../rig/program.js";
import { ACCESS } from "../rig/watched-memory.js";
import { type RigSetup, SPACE } from "../rig/world.js";
import { placeName, ringPlaces } from "./places.js";
import { EVENT, type TraceEvent } from "./trace.js";

/** Who does something in a run. */
export type TraceRole = "guest" | "relay" | "device" | "migration";

/** Elements of a chain that are written out. */
const SHOWN_MAX = 4;

/** Who did it, and what, in words. */
export function describeEvent(program: Program, event: TraceEvent): { role: TraceRole; access: string } {
  const action = program.actions[event.action];
  switch (event.kind) {
    case EVENT.guest:
      return { role: "guest", access: done(program.setup, action) };
    case EVENT.device:
      return { role: "device", access: done(program.setup, action) };
    case EVENT.migration:
      return { role: "migration", access: done(program.setup, action) };
    case EVENT.turn:
      return { role: "relay", access: "takes a turn" };
    case EVENT.spring:
      if (action?.op === "ambush-harvest") return { role: "migration", access: done(program.setup, { op: "harvest" }) };
      return action?.op === "ambush"
        ? { role: action.by, access: `springs its ambush: ${pokeText(program.setup, action.poke)}` }
        : { role: "guest", access: "springs an ambush" };
    default: {
      const refused = event.refused ? " (refused)" : "";
      return { role: "relay", access: `${accessText(program.setup, event)}${refused}` };
    }
  }
}

/** An access of the relay, in words. */
export function accessText(setup: RigSetup, event: TraceEvent): string {
  const { kind, space, offset, bytes, value } = event;
  const place = placeName(setup, space, offset);
  const equals = event.refused ? `, ${bytes} bytes` : ` = ${valueText(setup, event)}`;
  switch (kind) {
    case ACCESS.read:
      return `reads ${place}${equals}`;
    case ACCESS.observe:
      return `observes ${place}${equals}`;
    case ACCESS.write:
      return `writes ${place}${equals}`;
    case ACCESS.publish:
      return `publishes ${place}${equals}`;
    case ACCESS.copyOut:
      return `copies ${bytes} bytes from ${place} (CRC-32 ${hex(value)})`;
    case ACCESS.copyIn:
      return `copies ${bytes} bytes to ${place} (CRC-32 ${hex(value)})`;
    case ACCESS.setBits:
      return `marks ${pagesText(offset, value)} in ${place}`;
    case ACCESS.takeBits:
      return `takes ${pagesText(offset, value)} from ${place}`;
    default:
      return "fences";
  }
}

/** The pages whose bits are set in a word of the log. */
function pagesText(offset: number, bits: number): string {
  const pages = Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => ((bits >>> bit) & 1) !== 0);
  return pages.length === 0 ? "nothing" : `page ${pages.map((bit) => offset * 8 + bit).join(", ")}`;
}

/** Flags by name, addresses and bits in hexadecimal, all else as a number. */
function valueText(setup: RigSetup, { space, offset, bytes, value }: TraceEvent): string {
  if (space === SPACE.log) return hex(value);
  if (space === SPACE.high) return String(value);
  const [ring, num] =
    space === SPACE.low ? [ringPlaces(setup).guest, setup.num] : [ringPlaces(setup).shadow, setup.shadowNum];
  const within = offset - ring.desc;
  if (within < 0 || within >= num * VRING_DESC.size) return String(value);
  const field = within % VRING_DESC.size;
  if (field < VRING_DESC.offsets.len) return hex(value);
  if (field !== VRING_DESC.offsets.flags) return String(value);
  return bytes === 4 ? `${flagNames(value & 0xffff)}, .next = ${value >>> 16}` : flagNames(value);
}

function done(setup: RigSetup, action: Action | undefined): string {
  switch (action?.op) {
    case "offer":
      return `offers a chain (${action.form}): ${listText(action.elements.map(elementText))}`;
    case "offer-raw": {
      const table = action.table === undefined ? "" : `; table: ${listText(action.table.map(descriptorText))}`;
      return `offers desc[${action.slot}] as it is: ${listText(action.descriptors.map(descriptorText))}${table}`;
    }
    case "offer-head":
      return `offers head ${action.head}`;
    case "publish":
      return `publishes avail.idx of guest${jumpText(action.jump)}`;
    case "take":
      return "takes what is available";
    case "use": {
      const claim = action.claim === undefined ? "" : `, claims ${action.claim}`;
      return `uses chain ${action.nth} of those it has: writes up to ${action.bytes} bytes${claim}`;
    }
    case "use-raw":
      return `returns id ${action.id} with length ${action.length}`;
    case "publish-used":
      return `publishes used.idx of shadow${jumpText(action.jump)}`;
    case "reap":
      return "takes back what is used";
    case "harvest":
      return "takes the log and copies what is marked";
    case "poke":
      return pokeText(setup, action.poke);
    case "ambush":
      return `lies in wait for access ${action.access} from here: ${pokeText(setup, action.poke)}`;
    case "ambush-harvest":
      return `will take the log at access ${action.access} from here`;
    default:
      return "goes on, by the rules";
  }
}

function pokeText(setup: RigSetup, { space, offset, width, value }: Poke): string {
  return `stores ${hex(value)} (${width} bytes) over ${placeName(setup, space, offset)}`;
}

function jumpText(jump = 0): string {
  return jump === 0 ? "" : `, and ${jump} further`;
}

function listText(parts: readonly string[]): string {
  const more = parts.length > SHOWN_MAX ? `, ${parts.length - SHOWN_MAX} more` : "";
  return `${parts.slice(0, SHOWN_MAX).join(", ")}${more}`;
}

function elementText({ gpa, bytes, writable }: Element): string {
  return `${writable ? "w" : "r"} ${bytes} at ${hex(gpa)}`;
}

function descriptorText({ address, length, flags, next }: RawDescriptor): string {
  return `${length} at ${hex(address)} ${flagNames(flags)} → ${next}`;
}

function flagNames(flags: number): string {
  const names = [
    [VRING_DESC_F_NEXT, "NEXT"],
    [VRING_DESC_F_WRITE, "WRITE"],
    [VRING_DESC_F_INDIRECT, "INDIRECT"],
  ] as const;
  const known = names.filter(([bit]) => (flags & bit) !== 0);
  const rest = known.reduce((left, [bit]) => left & ~bit, flags);
  const parts = [...known.map(([, name]) => name), ...(rest !== 0 || known.length === 0 ? [hex(rest)] : [])];
  return parts.join("|");
}

function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}
