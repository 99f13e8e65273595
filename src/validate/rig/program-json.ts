import type { Action, Element, Poke, Program, RawDescriptor } from "./program.js";
import { RIG_MAPPINGS, RING_NUM_MAX, type RigSetup, SPACE } from "./world.js";

/** A value that is no program; the message names the field. */
export class ProgramError extends Error {
  override readonly name = "ProgramError";

  constructor(path: string, complaint: string) {
    super(`${path} ${complaint}`);
  }
}

/** Actions of the longest program that is read. */
const PROGRAM_ACTIONS_MAX = 10_000;
const LIST_MAX = 1024;
const U16 = 0xffff;
const U32 = 0xffff_ffff;
const U64 = 2n ** 64n - 1n;

/** A program as JSON.stringify can print it: addresses of raw descriptors, any u64, are hexadecimal strings. */
export function programToJson(program: Program): unknown {
  return JSON.parse(
    JSON.stringify(program, (_, value: unknown) => (typeof value === "bigint" ? `0x${value.toString(16)}` : value)),
  );
}

/** Reads what programToJson() gave, or somebody wrote by hand; throws ProgramError that names the first bad field. */
export function programFromJson(value: unknown): Program {
  const { setup, actions } = fields(value, "program", ["setup", "actions"]);
  return {
    setup: setupFrom(setup, "setup"),
    actions: list(actions, "actions", actionFrom, PROGRAM_ACTIONS_MAX),
  };
}

type Fields = Readonly<Record<string, unknown>>;
type Read<T> = (value: unknown, path: string) => T;

function setupFrom(value: unknown, path: string): RigSetup {
  const names = ["num", "shadowNum", "eventIdx", "indirect", "log", "map", "start"];
  const { num, shadowNum, eventIdx, indirect, log, map, start } = fields(value, path, names);
  const name = oneOf(map, `${path}.map`, Object.keys(RIG_MAPPINGS) as RigSetup["map"][]);
  const logs = flag(log, `${path}.log`);
  if (logs && name === "wide") throw new ProgramError(`${path}.log`, "is true, and the map is wider than the log");
  return {
    num: ringSize(num, `${path}.num`),
    shadowNum: ringSize(shadowNum, `${path}.shadowNum`),
    eventIdx: flag(eventIdx, `${path}.eventIdx`),
    indirect: flag(indirect, `${path}.indirect`),
    log: logs,
    map: name,
    start: integer(start, `${path}.start`, 0, U16),
  };
}

/** By op: reads the fields that come with it. */
const ACTIONS: { readonly [Op in Action["op"]]: Read<Extract<Action, { op: Op }>> } = {
  offer: (value, path) => {
    const { elements, form } = fields(value, path, ["op", "elements", "form"]);
    return {
      op: "offer",
      elements: list(elements, `${path}.elements`, elementFrom),
      form: oneOf(form, `${path}.form`, ["direct", "indirect", "mixed"]),
    };
  },
  "offer-raw": (value, path) => {
    const { slot, descriptors, table } = fields(value, path, ["op", "slot", "descriptors"], ["table"]);
    return {
      op: "offer-raw",
      slot: integer(slot, `${path}.slot`, 0, U16),
      descriptors: list(descriptors, `${path}.descriptors`, descriptorFrom),
      ...(table === undefined ? {} : { table: list(table, `${path}.table`, descriptorFrom) }),
    };
  },
  "offer-head": (value, path) => {
    const { head } = fields(value, path, ["op", "head"]);
    return { op: "offer-head", head: integer(head, `${path}.head`, 0, U16) };
  },
  publish: (value, path) => ({ op: "publish", ...jumpFrom(value, path) }),
  "publish-used": (value, path) => ({ op: "publish-used", ...jumpFrom(value, path) }),
  relay: (value, path) => bare(value, path, "relay"),
  take: (value, path) => bare(value, path, "take"),
  reap: (value, path) => bare(value, path, "reap"),
  harvest: (value, path) => bare(value, path, "harvest"),
  use: (value, path) => {
    const { nth, bytes, claim } = fields(value, path, ["op", "nth", "bytes"], ["claim"]);
    return {
      op: "use",
      nth: integer(nth, `${path}.nth`, 0, U16),
      bytes: integer(bytes, `${path}.bytes`, 0, U32),
      ...(claim === undefined ? {} : { claim: integer(claim, `${path}.claim`, 0, U32) }),
    };
  },
  "use-raw": (value, path) => {
    const { id, length } = fields(value, path, ["op", "id", "length"]);
    return {
      op: "use-raw",
      id: integer(id, `${path}.id`, 0, U32),
      length: integer(length, `${path}.length`, 0, U32),
    };
  },
  poke: (value, path) => {
    const { by, poke } = fields(value, path, ["op", "by", "poke"]);
    return { op: "poke", by: sideFrom(by, `${path}.by`), poke: pokeFrom(poke, `${path}.poke`) };
  },
  ambush: (value, path) => {
    const { by, access, poke } = fields(value, path, ["op", "by", "access", "poke"]);
    return {
      op: "ambush",
      by: sideFrom(by, `${path}.by`),
      access: integer(access, `${path}.access`, 0, U32),
      poke: pokeFrom(poke, `${path}.poke`),
    };
  },
  "ambush-harvest": (value, path) => {
    const { access } = fields(value, path, ["op", "access"]);
    return { op: "ambush-harvest", access: integer(access, `${path}.access`, 0, U32) };
  },
};

function actionFrom(value: unknown, path: string): Action {
  const op = oneOf((isObject(value) ? value : {})["op"], `${path}.op`, Object.keys(ACTIONS) as Action["op"][]);
  return ACTIONS[op](value, path);
}

function jumpFrom(value: unknown, path: string): { jump?: number } {
  const { jump } = fields(value, path, ["op"], ["jump"]);
  return jump === undefined ? {} : { jump: integer(jump, `${path}.jump`, -U16, U16) };
}

function bare<Op extends string>(value: unknown, path: string, op: Op): { op: Op } {
  fields(value, path, ["op"]);
  return { op };
}

function elementFrom(value: unknown, path: string): Element {
  const { gpa, bytes, writable } = fields(value, path, ["gpa", "bytes", "writable"]);
  return {
    gpa: integer(gpa, `${path}.gpa`, 0, Number.MAX_SAFE_INTEGER),
    bytes: integer(bytes, `${path}.bytes`, 0, U32),
    writable: flag(writable, `${path}.writable`),
  };
}

function descriptorFrom(value: unknown, path: string): RawDescriptor {
  const { address, length, flags, next } = fields(value, path, ["address", "length", "flags", "next"]);
  return {
    address: address64(address, `${path}.address`),
    length: integer(length, `${path}.length`, 0, U32),
    flags: integer(flags, `${path}.flags`, 0, U16),
    next: integer(next, `${path}.next`, 0, U16),
  };
}

function pokeFrom(value: unknown, path: string): Poke {
  const { space, offset, width, value: stored } = fields(value, path, ["space", "offset", "width", "value"]);
  return {
    space: integer(space, `${path}.space`, 0, SPACE.log),
    offset: integer(offset, `${path}.offset`, 0, U32),
    width: oneOf(width, `${path}.width`, [1, 2, 4]),
    value: integer(stored, `${path}.value`, 0, U32),
  };
}

function sideFrom(value: unknown, path: string): "guest" | "device" {
  return oneOf(value, path, ["guest", "device"]);
}

function address64(value: unknown, path: string): bigint {
  if (typeof value === "string" && /^(0x[0-9a-f]{1,16}|[0-9]{1,20})$/i.test(value)) {
    const address = BigInt(value);
    if (address <= U64) return address;
  }
  throw new ProgramError(path, "is no address below 2^64, written as a string");
}

function ringSize(value: unknown, path: string): number {
  const num = integer(value, path, 1, RING_NUM_MAX);
  if ((num & (num - 1)) !== 0) throw new ProgramError(path, `is ${num}, which is no power of two`);
  return num;
}

function integer(value: unknown, path: string, least: number, most: number): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
  throw new ProgramError(path, `is no integer from ${least} to ${most}`);
}

function flag(value: unknown, path: string): boolean {
  if (typeof value !== "boolean") throw new ProgramError(path, "is neither true nor false");
  return value;
}

function oneOf<T extends string | number>(value: unknown, path: string, allowed: readonly T[]): T {
  const found = allowed.find((each) => each === value);
  if (found === undefined) throw new ProgramError(path, `is none of ${allowed.join(", ")}`);
  return found;
}

function list<T>(value: unknown, path: string, read: Read<T>, most = LIST_MAX): T[] {
  if (!Array.isArray(value)) throw new ProgramError(path, "is no list");
  if (value.length > most) throw new ProgramError(path, `has more than ${most} entries`);
  return value.map((each: unknown, i) => read(each, `${path}[${i}]`));
}

/** The fields of an object that has all of `names` and nothing but those and `optional` ones. */
function fields(value: unknown, path: string, names: readonly string[], optional: readonly string[] = []): Fields {
  if (!isObject(value)) throw new ProgramError(path, "is no object");
  for (const name of names) if (!(name in value)) throw new ProgramError(`${path}.${name}`, "is missing");
  for (const name of Object.keys(value)) {
    if (!names.includes(name) && !optional.includes(name)) throw new ProgramError(`${path}.${name}`, "is unknown");
  }
  return value;
}

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
