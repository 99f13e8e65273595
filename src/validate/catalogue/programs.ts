import { VRING_DESC, VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE } from "../../layout/virtio-ring.js";
import { PAGE_BYTES } from "../../memory/address.js";
import type { Action, Element, RawDescriptor } from "../rig/program.js";
import { BUFFERS_GPA, type RigSetup, SPACE, TABLES_GPA } from "../rig/world.js";

/** The rig of a case, unless it says otherwise. */
export const SETUP: RigSetup = {
  num: 8,
  shadowNum: 16,
  eventIdx: true,
  indirect: true,
  log: true,
  map: "flat",
  start: 0,
};

/** Where free-running indices are tried: at 0, and around both borders that a 16-bit number has. */
export const STARTS = [0, 1, 0x7fff, 0xfff8, 0xffff] as const;
/** Both ways of asking to be told. */
export const EVENTS = [true, false] as const;
/** Sizes of ring that a rig can have. */
export const NUMS = [1, 2, 4, 8, 16] as const;
/** Where the elements of a chain can stand. */
export const FORMS = ["direct", "indirect", "mixed"] as const;
/** One of FORMS. */
export type Form = (typeof FORMS)[number];

/** A descriptor of a chain; it goes on with the one behind it, unless `next` says otherwise. */
export interface Link {
  readonly address: bigint;
  readonly length: number;
  /** Flags beside NEXT. */
  readonly flags?: number;
  /** Index in its own table. */
  readonly next?: number;
}

/** A chain as it stands in guest memory. */
export interface Laid {
  readonly descriptors: readonly RawDescriptor[];
  readonly table: readonly RawDescriptor[];
}

/** A buffer that the device may read, the nth of several. */
export function readable(nth = 0, length = 64): Link {
  return { address: BigInt(BUFFERS_GPA + nth * 256), length };
}

/** A buffer that the device may write, the nth of several. */
export function writable(nth = 0, length = 64): Link {
  return { ...readable(nth, length), flags: VRING_DESC_F_WRITE };
}

/** `count` links: the first half readable, the rest writable. */
export function halves(count: number, length = 64): Link[] {
  return Array.from({ length: count }, (_, i) => (i < count / 2 ? readable(i, length) : writable(i, length)));
}

/** The links with one of them replaced, as far as it says. */
export function withLink(links: readonly Link[], at: number, link: Partial<Link>): Link[] {
  return links.map((each, i) => (i === at ? { ...each, ...link } : each));
}

/** A pointer at an indirect table of `entries` entries. */
export function pointer(entries: number, flags = 0, address = BigInt(TABLES_GPA)): Link {
  return { address, length: entries * VRING_DESC.size, flags: VRING_DESC_F_INDIRECT | flags };
}

/** Links as descriptors of a table, the first of them at index `at` of `num`. */
export function linked(links: readonly Link[], at = 0, num = 0x1_0000): RawDescriptor[] {
  return links.map(({ address, length, flags = 0, next }, i) => {
    const goesOn = next !== undefined || i < links.length - 1;
    const to = next ?? (i < links.length - 1 ? (at + i + 1) % num : 0);
    return { address, length, flags: flags | (goesOn ? VRING_DESC_F_NEXT : 0), next: to };
  });
}

/** A chain in one of the forms, from table slot `slot` on; in "mixed" all but the first stand in a table. */
export function laid(form: Form, links: readonly Link[], slot = 0, num = SETUP.num): Laid {
  if (form === "direct") return { descriptors: linked(links, slot, num), table: [] };
  const direct = form === "mixed" && links.length > 1 ? 1 : 0;
  const table = links.slice(direct);
  const descriptors = linked([...links.slice(0, direct), pointer(table.length)], slot, num);
  return { descriptors, table: linked(table) };
}

/** The guest lays a chain out and offers it. */
export function offered(chain: Laid, slot = 0): Action {
  return { op: "offer-raw", slot, descriptors: chain.descriptors, table: chain.table };
}

/** A chain of one buffer from table slot `slot` on. */
export function single(slot: number): Action {
  return offered({ descriptors: linked([writable(slot)]), table: [] }, slot);
}

/** A chain by the rules. */
export function offer(elements: readonly Element[], form: Form = "direct"): Action {
  return { op: "offer", elements, form };
}

/** Elements by the rules: `count` of them, the first `reads` of them readable. */
export function elements(count: number, reads = 0, bytes = 64): Element[] {
  return Array.from({ length: count }, (_, i) => ({ gpa: BUFFERS_GPA + i * 256, bytes, writable: i >= reads }));
}

/** The guest shows what it offered. */
export const PUBLISH: Action = { op: "publish" };
/** The relay takes a turn. */
export const RELAY: Action = { op: "relay" };
/** The device takes what is available. */
export const TAKE: Action = { op: "take" };
/** The device shows what it returned. */
export const PUBLISH_USED: Action = { op: "publish-used" };
/** The guest takes back what was used. */
export const REAP: Action = { op: "reap" };

/** The device returns the chain that it has had longest. */
export const USE: Action = { op: "use", nth: 0, bytes: 64 };

/** The values of a list, each once. */
export function distinct<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}

/** `count` times the same. */
export function times(count: number, ...actions: readonly Action[]): Action[] {
  return Array.from({ length: count }, () => actions).flat();
}

/** Everybody does what there is to do: enough for a full ring that the shadow ring holds. */
export const ROUND: readonly Action[] = [RELAY, TAKE, ...times(16, USE), PUBLISH_USED, RELAY, RELAY, REAP];

/** Two rounds, so that what waited for room or for its turn has gone through. */
export const ROUNDS: readonly Action[] = times(2, ...ROUND);

/** A guest's stores that put descriptors where `offer-raw` puts none. */
export function pokedTable(gpa: number, descriptors: readonly RawDescriptor[]): Action[] {
  return descriptors.flatMap(({ address, length, flags, next }, i) => {
    const words = [Number(address & 0xffff_ffffn), Number(address >> 32n), length, flags + next * 0x1_0000];
    return words.map((value, word) => guestPoke(gpa + i * VRING_DESC.size + word * 4, value, 4));
  });
}

/** A store by the guest, at a guest address. */
export function guestPoke(gpa: number, value: number, width: 1 | 2 | 4): Action {
  const high = gpa >= 2 ** 20;
  const poke = { space: high ? SPACE.high : SPACE.low, offset: high ? gpa - 2 ** 20 : gpa, width, value };
  return { op: "poke", by: "guest", poke };
}

/** A store by the device, into the shadow ring. */
export function devicePoke(offset: number, value: number, width: 1 | 2 | 4): Action {
  return { op: "poke", by: "device", poke: { space: SPACE.shadow, offset, width, value } };
}

/** The same with a device that writes all that it may. */
export const FULL_ROUNDS = ROUNDS.map(
  (action): Action => (action.op === "use" ? { ...action, bytes: 2 ** 20 } : action),
);

/** A chain of one buffer by the rules. */
export const ONE: Action = offer(elements(1));

/** `count` such chains in flight, taken by the device. */
export function inFlight(count: number): Action[] {
  return [...times(count, ONE), PUBLISH, RELAY, TAKE];
}

/** The device shows what it returned, and the relay and the guest look. */
export const TOLD: readonly Action[] = [PUBLISH_USED, RELAY, RELAY, REAP, ...ROUND];

/** Where the guest's indices start, and by which means notifications are asked for. */
export const WHERE = EVENTS.flatMap((eventIdx) => [STARTS[0], STARTS[4]].map((start) => ({ eventIdx, start })));

/** A store that changes nothing, by which a program counts as one that breaks the rules: then nobody finishes it. */
export const BROKEN_RULE: Action = devicePoke(0, 0, 1);

/** Where a hole begins: the first address above the low region. */
export const HOLE_GPA = 8 * PAGE_BYTES;
