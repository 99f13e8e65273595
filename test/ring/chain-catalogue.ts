import {
  VRING_DESC,
  VRING_DESC_F_INDIRECT,
  VRING_DESC_F_NEXT,
  VRING_DESC_F_WRITE,
} from "../../src/layout/virtio-ring.js";
import { RealMemory } from "../../src/memory/real-memory.js";
import type { SharedMemory } from "../../src/memory/shared-memory.js";
import type { Chain } from "../../src/ring/chain.js";
import { type FaultReason, PeerFault } from "../../src/ring/peer-fault.js";
import type { VringAreas } from "../../src/ring/vring-areas.js";

export const NEXT = VRING_DESC_F_NEXT;
export const WRITE = VRING_DESC_F_WRITE;
export const INDIRECT = VRING_DESC_F_INDIRECT;

/** A descriptor as a hand writes it; what is left out is 0. */
export interface HandDescriptor {
  readonly address?: bigint;
  readonly bytes?: number;
  readonly flags?: number;
  readonly next?: number;
}

/** One chain to load, and what is to come of it. */
export interface ChainCase {
  readonly name: string;
  readonly num: number;
  /** The descriptor table from its beginning. */
  readonly ring: readonly HandDescriptor[];
  readonly head?: number;
  /** Whether INDIRECT_DESC was negotiated; it was unless said. */
  readonly indirect?: boolean;
  /** Indirect tables by address. */
  readonly tables?: Readonly<Record<number, readonly HandDescriptor[]>>;
  /** The number of elements, or the fault. */
  readonly due: number | FaultReason;
}

/** Cases that belong together, and the fact that they show. */
export interface ChainFact {
  readonly fact: string;
  readonly cases: readonly ChainCase[];
}

/** Writes descriptors from `at` on. */
export function writeDescriptors(memory: SharedMemory, at: number, descriptors: readonly HandDescriptor[]): void {
  for (const [i, { address = 0n, bytes = 0, flags = 0, next = 0 }] of descriptors.entries()) {
    const place = at + i * VRING_DESC.size;
    memory.write32(place, Number(BigInt.asIntN(32, address)));
    memory.write32(place + 4, Number(BigInt.asIntN(32, address >> 32n)));
    memory.write32(place + VRING_DESC.offsets.len, bytes);
    memory.write16(place + VRING_DESC.offsets.flags, flags);
    memory.write16(place + VRING_DESC.offsets.next, next);
  }
}

/** A descriptor table of `num`, poisoned behind what is given. */
export function tableOf(num: number, descriptors: readonly HandDescriptor[]): RealMemory {
  const buffer = new ArrayBuffer(num * VRING_DESC.size);
  new Uint8Array(buffer).fill(0xa5);
  const memory = new RealMemory(buffer);
  writeDescriptors(memory, 0, descriptors);
  return memory;
}

/** A ring of which nothing but the descriptor table is ever looked at. */
export function justTable(num: number, descMemory: SharedMemory): VringAreas {
  return { num, descMemory, desc: 0, availMemory: descMemory, avail: 0, usedMemory: descMemory, used: 0 };
}

/** Descriptors in a row: all but the last go on with the next; `first` is the index of the first of them. */
export function inARow(descriptors: readonly HandDescriptor[], first = 0): HandDescriptor[] {
  return descriptors.map((descriptor, i) => {
    if (i === descriptors.length - 1) return descriptor;
    return { ...descriptor, flags: (descriptor.flags ?? 0) | NEXT, next: first + i + 1 };
  });
}

/** `count` plain readable descriptors. */
export function plain(count: number): HandDescriptor[] {
  return Array.from({ length: count }, (_, i) => ({ address: BigInt(i * 4096), bytes: 100 + i }));
}

/** A descriptor that points at a table of `entries` entries at 0x1000. */
export function pointer(entries: number, flags = 0): HandDescriptor {
  return { address: 0x1000n, bytes: entries * VRING_DESC.size, flags: INDIRECT | flags };
}

/** Loads the chain of a case; what came of it, and how many 32-bit words of the ring's table were read. */
export function verdictOf(Walker: typeof Chain, test: ChainCase): { verdict: number | FaultReason; reads: number } {
  const memory = tableOf(test.num, test.ring);
  let reads = 0;
  const counting = {
    byteLength: memory.byteLength,
    read32(offset: number) {
      reads += 1;
      return memory.read32(offset);
    },
  };
  const ring = justTable(test.num, counting as SharedMemory);
  const chain = new Walker(test.num, test.indirect ?? true);
  try {
    chain.load(ring, test.head ?? 0, (address, target) => {
      const table = test.tables?.[address];
      if (table === undefined) return "unmapped";
      const room = Math.ceil(Math.max(target.length, table.length * VRING_DESC.size) / 4) * 4;
      const bytes = new Uint8Array(room).fill(0xa5);
      writeDescriptors(new RealMemory(bytes.buffer), 0, table);
      target.set(bytes.subarray(0, target.length));
      return "ok";
    });
    return { verdict: chain.count, reads };
  } catch (error) {
    if (!(error instanceof PeerFault)) throw error;
    return { verdict: error.reason, reads };
  }
}

const SIZES = [1, 2, 4, 16];
const upTo = (count: number, from = 0) => Array.from({ length: count - from }, (_, i) => from + i);

const nextOutOfRange: ChainCase[] = SIZES.flatMap((num) =>
  upTo(num).flatMap((position) => {
    const chain = (next: number) =>
      [...inARow(plain(position)), { flags: NEXT, next }].map((d, i) => ({
        ...d,
        ...(i < position ? { flags: NEXT, next: i + 1 } : {}),
      }));
    const bad = [num, num + 1, 0x7fff, 0xffff].map((next) => ({
      name: `${num} entries, next ${next} in descriptor ${position}`,
      num,
      ring: chain(next),
      due: "next-out-of-range" as const,
    }));
    if (position === num - 1) return bad;
    const ring = [...chain(num - 1), ...plain(num - 1 - position)];
    return [
      ...bad,
      { name: `${num} entries, next ${num - 1} in descriptor ${position}`, num, ring, due: position + 2 },
    ];
  }),
);

const nextOutOfTable: ChainCase[] = [1, 2, 3, 7].flatMap((entries) => {
  const table = (next: number) => [{ flags: NEXT, next }, ...plain(entries - 1)];
  const test = (next: number, due: ChainCase["due"]) => ({
    name: `next ${next} in a table of ${entries}`,
    num: 16,
    ring: [pointer(entries), ...plain(15)],
    tables: { 4096: table(next) },
    due,
  });
  return [test(entries, "next-out-of-range"), test(15, "next-out-of-range"), test(0xffff, "next-out-of-range")].concat(
    entries > 1 ? [test(entries - 1, 2)] : [],
  );
});

/** A way of `offset` descriptors into a loop of `length`, in a table of 8; without the loop when `closed` is false. */
function loopOf(offset: number, length: number, closed: boolean): HandDescriptor[] {
  const count = offset + length;
  return plain(count).map((descriptor, i) => {
    const last = i === count - 1;
    return { ...descriptor, flags: last && !closed ? 0 : NEXT, next: last ? offset : i + 1 };
  });
}

const loops: ChainCase[] = upTo(9, 1).flatMap((length) =>
  upTo(9 - length).flatMap((offset) =>
    [true, false].flatMap((closed) => {
      const descriptors = loopOf(offset, length, closed);
      const due = closed ? ("chain-too-long" as const) : offset + length;
      const name = `${closed ? "a loop of" : "no loop of"} ${length} behind ${offset}`;
      const tables = { 4096: descriptors };
      return [
        { name: `${name}, direct`, num: 8, ring: descriptors, due },
        { name: `${name}, in a table`, num: 8, ring: [pointer(offset + length)], tables, due },
      ];
    }),
  ),
);

const loopHeads: ChainCase[] = upTo(8).map((head) => ({
  name: `a loop of 8 from head ${head}`,
  num: 8,
  ring: loopOf(0, 8, true),
  head,
  due: "chain-too-long" as const,
}));

const orders: ChainCase[] = upTo(7, 1).flatMap((count) =>
  upTo(2 ** count).flatMap((pattern) => {
    const flags = upTo(count).map((i) => ((pattern >> i) & 1) * WRITE);
    const sorted = flags.every((flag, i) => i === 0 || flag >= flags[i - 1]!);
    const due = sorted ? count : ("readable-after-writable" as const);
    const name = flags.map((flag) => (flag === 0 ? "R" : "W")).join("");
    const row = (part: readonly number[], first = 0) =>
      inARow(
        part.map((flag) => ({ bytes: 1, flags: flag })),
        first,
      );
    const split = count >> 1;
    const direct = row(flags.slice(0, split)).map((d, i) => ({ ...d, flags: d.flags! | NEXT, next: i + 1 }));
    const tables = { 4096: row(flags.slice(split)) };
    return [
      { name: `${name}, direct`, num: 8, ring: row(flags), due },
      {
        name: `${name}, from element ${split} on in a table`,
        num: 8,
        ring: [...direct, pointer(count - split)],
        tables,
        due,
      },
    ];
  }),
);

const withoutFeature: ChainCase[] = [0, 1, 3].flatMap((before) => {
  const ring = [...plain(before).map((d, i) => ({ ...d, flags: NEXT, next: i + 1 })), pointer(1)];
  const tables = { 4096: plain(1) };
  return [
    {
      name: `INDIRECT behind ${before}, not negotiated`,
      num: 4,
      ring,
      tables,
      indirect: false,
      due: "indirect-not-negotiated" as const,
    },
    { name: `INDIRECT behind ${before}, negotiated`, num: 4, ring, tables, due: before + 1 },
  ];
});

const nested: ChainCase[] = upTo(4).flatMap((position) => {
  const table = (flags: number) =>
    inARow(plain(4).map((_, i) => ({ address: 0x9000n, bytes: 16, flags: i === position ? flags : 0 })));
  const test = (what: string, flags: number, due: ChainCase["due"]) => ({
    name: `${what} at ${position} of a table`,
    num: 8,
    ring: [pointer(4)],
    tables: { 4096: table(flags), 36864: plain(1) },
    due,
  });
  return [test("INDIRECT", INDIRECT, "indirect-nested"), test("nothing", 0, 4)];
});

const withNext: ChainCase[] = upTo(4).flatMap((before) => {
  const direct = plain(before).map((d, i) => ({ ...d, flags: NEXT, next: i + 1 }));
  const test = (what: string, last: HandDescriptor, due: ChainCase["due"]) => ({
    name: `${what} behind ${before}`,
    num: 8,
    ring: [...direct, last, ...plain(1)],
    tables: { 4096: plain(2).map((d, i) => (i === 0 ? { ...d, flags: NEXT, next: 1 } : d)) },
    due,
  });
  return [
    test("INDIRECT and NEXT", { ...pointer(2, NEXT), next: before + 1 }, "indirect-with-next"),
    test("INDIRECT with a next that is not valid", { ...pointer(2), next: 0xffff }, before + 2),
  ];
});

const tableLengths: ChainCase[] = [
  ...upTo(34).map((bytes) => ({ bytes, num: 2 })),
  ...[1023 * 16, 1024 * 16, 1024 * 16 + 1, 1025 * 16, 65_535 * 16, 2 ** 31, 2 ** 32 - 16, 2 ** 32 - 1].map((bytes) => ({
    bytes,
    num: 1024,
  })),
].map(({ bytes, num }) => {
  const whole = bytes > 0 && bytes % 16 === 0;
  const due = whole ? (bytes > num * 16 ? "chain-too-long" : 1) : "indirect-length";
  return {
    name: `a table of ${bytes} bytes in a ring of ${num}`,
    num,
    ring: [{ address: 0x1000n, bytes, flags: INDIRECT }],
    tables: { 4096: plain(1) },
    due,
  } as const;
});

const directThenTable: ChainCase[] = [1, 2, 8].flatMap((num) =>
  upTo(num).flatMap((before) => {
    const direct = plain(before).map((d, i) => ({ ...d, flags: NEXT, next: i + 1 }));
    const test = (entries: number, due: ChainCase["due"]) => ({
      name: `${before} direct and a table of ${entries} in a ring of ${num}`,
      num,
      ring: [...direct, pointer(entries)],
      tables: { 4096: inARow(plain(entries)) },
      due,
    });
    return [test(num - before, num), test(num - before + 1, "chain-too-long")];
  }),
);

const unusedEntries: ChainCase[] = [1, 2, 8].map((entries) => ({
  name: `7 direct and a table of ${entries} of which one is used, in a ring of 8`,
  num: 8,
  ring: [...plain(7).map((d, i) => ({ ...d, flags: NEXT, next: i + 1 })), pointer(entries)],
  tables: { 4096: plain(1) },
  due: entries === 1 ? 8 : ("chain-too-long" as const),
}));

const directLengths: ChainCase[] = [1, 2, 16, 256].flatMap((num) => [
  { name: `${num} elements in a ring of ${num}`, num, ring: inARow(plain(num)), due: num },
  {
    name: `${num} elements and one that comes again`,
    num,
    ring: inARow(plain(num)).map((d, i) => (i === num - 1 ? { ...d, flags: NEXT, next: 0 } : d)),
    due: "chain-too-long" as const,
  },
]);

const pointerWrite: ChainCase[] = [0, WRITE].flatMap((flags) => [
  {
    name: `a table of readable elements, pointer with flags ${flags}`,
    num: 4,
    ring: [pointer(2, flags)],
    tables: { 4096: inARow(plain(2)) },
    due: 2,
  },
  {
    name: `a table of R, W behind R, pointer with flags ${flags}`,
    num: 4,
    ring: [{ flags: NEXT, next: 1 }, pointer(2, flags)],
    tables: { 4096: inARow([{ bytes: 1 }, { bytes: 1, flags: WRITE }]) },
    due: 3,
  },
]);

const zeroLengths: ChainCase[] = upTo(4).flatMap((position) =>
  [0, WRITE].map((flags) => ({
    name: `${flags === 0 ? "a readable" : "a writable"} element of no bytes at ${position}`,
    num: 4,
    ring: inARow(upTo(4).map((i) => ({ bytes: i === position ? 0 : 10, flags }))),
    due: 4,
  })),
);

/** Every rule of a chain: cases that break it, and the nearest that do not. */
export const CHAIN_FACTS = {
  nextOutOfRange: { fact: "refuses a next beyond the table, at each position (BI-14)", cases: nextOutOfRange },
  nextOutOfTable: {
    fact: "refuses a next beyond an indirect table, though the ring is larger (BI-14)",
    cases: nextOutOfTable,
  },
  loops: { fact: "ends loops of every length, entered at every offset, direct and in a table (BI-12)", cases: loops },
  loopHeads: { fact: "ends a loop from whichever head it is entered (BI-12)", cases: loopHeads },
  orders: {
    fact: "takes readable elements before writable ones only, in all 2^n orders (SPLIT-03, BI-19)",
    cases: orders,
  },
  withoutFeature: { fact: "refuses INDIRECT without the feature (INDIR-01, BI-30)", cases: withoutFeature },
  nested: { fact: "refuses INDIRECT in a table, at each position (INDIR-02, BI-28)", cases: nested },
  withNext: { fact: "refuses INDIRECT with NEXT, and heeds no next without it (INDIR-04, BI-29)", cases: withNext },
  tableLengths: {
    fact: "refuses tables that are empty, ragged or longer than the ring (BI-26, BI-27)",
    cases: tableLengths,
  },
  directThenTable: {
    fact: "takes k direct elements and a table, num in all and no more (INDIR-03, INDIR-07, BI-32)",
    cases: directThenTable,
  },
  unusedEntries: {
    fact: "counts all entries of a table, used or not (decided: reliability 1.12, 3)",
    cases: unusedEntries,
  },
  directLengths: { fact: "takes chains of num elements, and no longer ones (IMPL-04, BI-20)", cases: directLengths },
  pointerWrite: { fact: "ignores WRITE on the descriptor that points at a table (INDIR-06)", cases: pointerWrite },
  zeroLengths: { fact: "takes elements of no bytes at each position (BI-13)", cases: zeroLengths },
} as const satisfies Record<string, ChainFact>;

/** Cases in which a walker decides otherwise than is due. */
export function wrongVerdicts(Walker: typeof Chain, cases: readonly ChainCase[]): string[] {
  return cases.flatMap((test) => {
    const { verdict } = verdictOf(Walker, test);
    return verdict === test.due ? [] : [`${test.name}: ${verdict}, not ${test.due}`];
  });
}
