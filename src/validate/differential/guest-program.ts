import { VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE } from "../../layout/virtio-ring.js";
import { PAGE_BYTES } from "../../memory/address.js";
import { BUFFERS_GPA, RIG_END, RIG_REGIONS, type RigSetup } from "../rig/world.js";
import { Random } from "./random.js";

/** What stands in a descriptor for the address of the request's own indirect table, which the guest chooses. */
export const OWN_TABLE = -1n;
/** Buffers of requests that may be in flight together: request i has cell i modulo their number. */
export const CELLS = 8;

/** Where empty buffers stand: a program's last request may make a few bytes of one, and nobody else has them. */
const EMPTIES_BYTES = 128;

/** A descriptor of a request: `next` counts among the request's own, and is written as it is beyond them. */
export interface RequestDescriptor {
  readonly address: bigint;
  readonly length: number;
  readonly flags: number;
  readonly next: number;
}

/** One request as its guest lays it out, right or wrong. */
export interface Request {
  readonly direct: readonly RequestDescriptor[];
  /** The bytes of its indirect table. */
  readonly table: readonly RequestDescriptor[];
  /** Exposed instead of its first descriptor. */
  readonly head?: number;
  /** Exposed once more, right behind. */
  readonly twice?: boolean;
  /** How far avail.idx goes beyond it; the guest offers nothing after. */
  readonly jump?: number;
}

/** Whose turn it is, and how much it does with it. */
type Turn =
  /** Takes back what is used, offers up to `offers` requests, publishes; sleeps if it `arms` and nothing is used. */
  | { readonly by: "guest"; readonly offers: number; readonly arms: boolean }
  /** A step, then arms where that moved nothing. */
  | { readonly by: "relay" }
  /** Takes what is available, returns those of what it has that `picks` names, each modulo how many it has. */
  | { readonly by: "device"; readonly picks: readonly number[] };

/** A guest program and a device program, and how their turns mix; whatever carries them between the two follows. */
export interface GuestProgram {
  readonly setup: RigSetup;
  readonly requests: readonly Request[];
  readonly turns: readonly Turn[];
  /** Seeds what the device answers, which else depends on what it read alone. */
  readonly answers: number;
  /** Whether the device tells wrong lengths now and then. */
  readonly lies: boolean;
  /** Whether the device returns everything in the order in which it came. */
  readonly inOrder: boolean;
}

/** Makes the program of a seed and an index: mostly right, in odd shapes, with some wrong requests in every third. */
export function guestProgram(seed: number, index: number): GuestProgram {
  const random = new Random(seed, index);
  const setup = randomSetup(random);
  const wrong = random.once(3);
  const inOrder = random.once(3);
  const requests: Request[] = [];
  for (let i = 0, count = 2 + random.below(14), last = false; i < count && !last; i++) {
    const broken = wrong && random.once(6);
    requests.push(broken ? wrongRequest(random, setup, i) : request(random, setup, i));
    // What may break a queue comes last: with two such requests it would be up to the turns which one is noticed.
    last = broken && random.once(3);
    if (last) requests[i] = breaking(random, setup, i);
  }
  const turns = Array.from({ length: 4 + random.below(40) }, () => turn(random, inOrder));
  return { setup, requests, turns, answers: random.below(2 ** 28), lies: random.once(4), inOrder };
}

function randomSetup(random: Random): RigSetup {
  const num = random.pick([1, 2, 4, 8, 8, 16]);
  return {
    num,
    shadowNum: random.once(4) ? random.pick([1, 2, 4, 8, 16]) : random.pick([num, 16]),
    eventIdx: random.once(2),
    indirect: random.once(2),
    log: random.once(3),
    map: random.once(2) ? "flat" : "split",
    start: random.once(3) ? 65_536 - 1 - random.below(12) : random.below(65_536),
  };
}

function turn(random: Random, inOrder: boolean): Turn {
  const kind = random.below(6);
  if (kind < 2) return { by: "guest", offers: random.below(5), arms: random.once(3) };
  if (kind < 4) return { by: "relay" };
  return { by: "device", picks: Array.from({ length: random.below(5) }, () => (inOrder ? 0 : random.below(16))) };
}

/** Where the buffers of a cell begin and end: some lie across mappings, on a read-only page, or run into the hole. */
function cellOf(index: number): { start: number; end: number } {
  const high = RIG_REGIONS[1].gpa;
  const pages = [
    [BUFFERS_GPA + EMPTIES_BYTES, 1 - EMPTIES_BYTES / PAGE_BYTES],
    [BUFFERS_GPA + PAGE_BYTES, 0.5],
    [BUFFERS_GPA + 1.5 * PAGE_BYTES, 1],
    [BUFFERS_GPA + 2.5 * PAGE_BYTES, 1],
    [BUFFERS_GPA + 3.5 * PAGE_BYTES, 2],
    [high, 1],
    [high + PAGE_BYTES, 1.5],
    [high + 2.5 * PAGE_BYTES, 2],
  ] as const;
  const [start, count] = pages[index % CELLS]!;
  return { start, end: start + count * PAGE_BYTES };
}

function request(random: Random, setup: RigSetup, index: number): Request {
  const { num, indirect } = setup;
  const count = 1 + random.below(random.once(4) ? num : Math.min(num, 4));
  const readable = random.below(count + 1);
  const elements = Array.from({ length: count }, (_, i) => element(random, index, i >= readable));
  const before = indirect && random.once(2) ? random.below(Math.min(2, count)) : count;
  if (before === count) return { direct: linked(elements), table: [] };
  const table = linked(elements.slice(before));
  const pointer = {
    address: OWN_TABLE,
    length: table.length * 16,
    // WRITE on a pointer means nothing (2.7.5.3.2).
    flags: VRING_DESC_F_INDIRECT | (random.once(4) ? VRING_DESC_F_WRITE : 0),
    next: 0,
  };
  const direct = linked([...elements.slice(0, before), pointer]);
  return { direct, table };
}

/** A buffer in the request's cell; empty ones stand where every byte is reachable. */
function element(random: Random, index: number, writable: boolean): RequestDescriptor {
  const flags = writable ? VRING_DESC_F_WRITE : 0;
  if (random.once(9))
    return { address: BigInt(BUFFERS_GPA + random.below(EMPTIES_BYTES / 2)), length: 0, flags, next: 0 };
  const { start, end } = cellOf(index);
  const longest = random.once(12) ? end - start : random.pick([8, 40, 200]);
  const length = 1 + random.below(longest);
  const border = Math.ceil((start + 1) / PAGE_BYTES) * PAGE_BYTES;
  const across = random.once(3) && border < end;
  const wanted = across ? border - random.below(length + 1) : start + random.below(end - start);
  const address = Math.max(start, Math.min(wanted, end - length));
  return { address: BigInt(address), length, flags, next: 0 };
}

function linked(elements: readonly RequestDescriptor[]): RequestDescriptor[] {
  return elements.map((each, i) =>
    i + 1 < elements.length ? { ...each, flags: each.flags | VRING_DESC_F_NEXT, next: i + 1 } : each,
  );
}

const BAD_ADDRESSES = [
  BigInt(RIG_END),
  BigInt(RIG_REGIONS[0].bytes),
  2n ** 43n - 16n,
  2n ** 43n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 64n - 1n,
];

/** A request that costs only itself: an address that leads nowhere, or nothing but empty buffers. */
function wrongRequest(random: Random, setup: RigSetup, index: number): Request {
  const { direct, table } = request(random, setup, index);
  if (random.once(3)) {
    return { direct: linked(direct.map(({ flags }) => ({ ...EMPTY, flags: flags & VRING_DESC_F_WRITE }))), table: [] };
  }
  const change = { address: random.pick(BAD_ADDRESSES) };
  return { direct: changed(direct, random.below(direct.length), change), table };
}

/** Breaks a rule for which a queue is given up; now and then what comes out is right all the same. */
function breaking(random: Random, setup: RigSetup, index: number): Request {
  const { num } = setup;
  const right = request(random, setup, index);
  const { direct, table } = right;
  const at = random.below(direct.length);
  const { flags } = direct[at]!;
  switch (random.below(8)) {
    case 0:
      return { ...right, head: random.pick([num, num + 1, 65_535]) };
    case 1:
      return {
        direct: changed(direct, at, { flags: flags | VRING_DESC_F_NEXT, next: random.pick([num, 65_535]) }),
        table,
      };
    case 2:
      return { direct: changed(direct, at, { flags: flags | VRING_DESC_F_NEXT, next: random.below(at + 1) }), table };
    case 3:
      return { direct: changed(direct, at, { flags: flags ^ VRING_DESC_F_WRITE }), table };
    case 4:
      return {
        direct: changed(direct, at, { flags: flags | VRING_DESC_F_INDIRECT, length: random.pick([0, 8, 17]) }),
        table,
      };
    case 5:
    case 6:
      return wrongTable(random, setup, right);
    default:
      // One buffer falls into three pieces at most: a chain that never fits would be returned, and may come twice.
      if (num > 2 && setup.shadowNum > 2 && random.once(2))
        return { direct: changed([element(random, index, true)], 0, {}), table: [], twice: true };
      return { ...right, jump: num + 1 + random.below(60_000) };
  }
}

/** With one descriptor changed; not empty any more, since an empty buffer is never looked up by a device. */
function changed(
  chain: readonly RequestDescriptor[],
  at: number,
  change: Partial<RequestDescriptor>,
): RequestDescriptor[] {
  return chain.map((each, i) => (i === at ? { ...each, length: Math.max(each.length, 1), ...change } : each));
}

const EMPTY: RequestDescriptor = { address: BigInt(BUFFERS_GPA), length: 0, flags: 0, next: 0 };

/** An indirect table of the wrong length, with a link out of it, or with another inside. */
function wrongTable(random: Random, setup: RigSetup, right: Request): Request {
  const table = right.table.length > 0 ? right.table : linked(right.direct);
  const last = table.length - 1;
  const pointer = { address: OWN_TABLE, length: table.length * 16, flags: VRING_DESC_F_INDIRECT, next: 0 };
  const end = (change: Partial<RequestDescriptor>) => changed(table, last, change);
  switch (random.below(4)) {
    case 0:
      return { direct: [{ ...pointer, length: random.pick([0, 8, 17, 16 * (setup.num + 1), 0xffff_fff0]) }], table };
    case 1:
      return { direct: [pointer], table: end({ flags: table[last]!.flags | VRING_DESC_F_NEXT, next: table.length }) };
    case 2:
      return { direct: [pointer], table: end({ flags: VRING_DESC_F_INDIRECT }) };
    default:
      return { direct: [{ ...pointer, address: random.pick(BAD_ADDRESSES) }], table };
  }
}
