import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { VRING_DESC } from "../../src/layout/virtio-ring.js";
import { ForwardingMemory } from "../../src/memory/forwarding-memory.js";
import { RealMemory } from "../../src/memory/real-memory.js";
import type { SharedMemory } from "../../src/memory/shared-memory.js";
import { Chain, type TableReader } from "../../src/ring/chain.js";
import { type Patch, patchedCopy } from "../helpers/patched-copy.js";
import {
  CHAIN_FACTS,
  type HandDescriptor,
  inARow,
  justTable,
  NEXT,
  plain,
  pointer,
  tableOf,
  verdictOf,
  WRITE,
  writeDescriptors,
  wrongVerdicts,
} from "./chain-catalogue.js";

describe("Chain.load()", () => {
  for (const { fact, cases } of Object.values(CHAIN_FACTS)) {
    it(`${fact}: ${cases.length} cases`, () => expect(wrongVerdicts(Chain, cases)).toEqual([]));
  }

  it("reads at most num + 1 descriptors, however the chain winds (S3)", () => {
    for (const { cases } of Object.values(CHAIN_FACTS)) {
      for (const test of cases) expect(verdictOf(Chain, test).reads, test.name).toBeLessThanOrEqual(4 * (test.num + 1));
    }
  });
});

const CHAIN = "ring/chain.ts";
const RULES = "ring/chain-rules.ts";
const POINTER_WRITES = "memory = this.#tableMemory; flagsSeen |= flags & WRITE;";

type FactName = keyof typeof CHAIN_FACTS;

/** A rule taken away, and the facts that are then no longer facts. */
const FAULTS: readonly (readonly [what: string, patch: Patch, noticedBy: readonly FactName[]])[] = [
  [
    "the bound of next is one too high",
    [CHAIN, "if (index >= limit)", "if (index > limit)"],
    ["nextOutOfRange", "nextOutOfTable"],
  ],
  ["next in a table is held against the ring", [CHAIN, "limit = length / DESC_SIZE;", ""], ["nextOutOfTable"]],
  ["elements may have any order", [RULES, "? READABLE_AFTER_WRITABLE : 0", "? 0 : 0"], ["orders"]],
  ["the order starts anew in a table", [CHAIN, "table = 0;", "table = 0; flagsSeen = 0;"], ["orders"]],
  ["a table may be nested", [RULES, "if (nested) return INDIRECT_NESTED;", ""], ["nested"]],
  ["INDIRECT needs no feature", [RULES, "if (!negotiated) return INDIRECT_NOT_NEGOTIATED;", ""], ["withoutFeature"]],
  ["INDIRECT may have NEXT", [RULES, "if ((flags & NEXT) !== 0) return INDIRECT_WITH_NEXT;", ""], ["withNext"]],
  ["a table may be ragged", [RULES, "bytes === 0 || bytes % DESC_SIZE !== 0", "bytes === 0"], ["tableLengths"]],
  ["a table may be empty", [RULES, "bytes === 0 || ", ""], ["tableLengths"]],
  ["a table is held against the ring alone", [RULES, "before + bytes", "bytes"], ["unusedEntries"]],
  ["WRITE on a pointer counts", [CHAIN, "memory = this.#tableMemory;", POINTER_WRITES], ["pointerWrite"]],
  [
    "INDIRECT is heeded in the head only",
    [CHAIN, "if ((flags & INDIRECT) !== 0) {", "if (index === head && (flags & 4) !== 0) {"],
    ["directThenTable", "nested", "orders", "pointerWrite", "unusedEntries", "withNext", "withoutFeature"],
  ],
];

describe("these cases notice that", () => {
  for (const [what, patch, noticedBy] of FAULTS) {
    it(what, async () => {
      const { Chain: Faulty } = await patchedCopy<{ Chain: typeof Chain }>(CHAIN, patch);
      const noticed = Object.entries(CHAIN_FACTS).filter(([, { cases }]) => wrongVerdicts(Faulty, cases).length > 0);
      expect(noticed.map(([name]) => name).sort()).toEqual(noticedBy);
    });
  }
});

/** Loads the chain from descriptor 0 of a ring of 16; tables come from `readTable`. */
function loaded(
  descriptors: readonly HandDescriptor[],
  readTable: TableReader = () => "unmapped",
  { Walker = Chain, wrap = (memory: SharedMemory) => memory } = {},
): Chain {
  const num = 16;
  const chain = new Walker(num, true);
  const memory = wrap(tableOf(num, descriptors));
  expect(chain.load(justTable(num, memory), 0, readTable)).toBe(true);
  return chain;
}

function elementsOf({ count, addresses, lengths }: Chain): number[][] {
  return Array.from({ length: count }, (_, i) => [addresses[i]!, lengths[i]!]);
}

describe("a loaded chain", () => {
  it("has addresses up to 2^53 - 1, and NaN from there on (BI-16)", () => {
    const addresses = [0n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 52n, 2n ** 53n - 1n];
    const beyond = [2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n, 2n ** 64n - 4096n];
    const chain = loaded(inARow([...addresses, ...beyond].map((address) => ({ address, bytes: 1 }))));
    expect(elementsOf(chain).map(([address]) => address)).toEqual([...addresses.map(Number), ...beyond.map(() => NaN)]);
  });

  it("looks for a table at 2^53 or above nowhere", () => {
    const asked: number[] = [];
    const chain = new Chain(2, true);
    const ring = justTable(2, tableOf(2, [{ ...pointer(1), address: 2n ** 53n }]));
    const load = () =>
      chain.load(ring, 0, (address) => {
        asked.push(address);
        return "unmapped";
      });
    expect(load).toThrow("address-unmapped");
    expect(asked).toEqual([Number.NaN]);
  });

  it("counts bytes of both directions beyond 2^32 (BI-17)", () => {
    const huge = { bytes: 2 ** 32 - 1 };
    const chain = loaded(inARow([huge, huge, huge, { ...huge, flags: WRITE }, { ...huge, flags: WRITE }]));
    expect([chain.readableBytes, chain.writableBytes]).toEqual([3 * (2 ** 32 - 1), 2 * (2 ** 32 - 1)]);
    expect([chain.readableCount, chain.count]).toEqual([3, 5]);
  });

  it("has nothing left of a longer one before it", () => {
    const chain = new Chain(4, true);
    const ring = (descriptors: HandDescriptor[]) => justTable(4, tableOf(4, descriptors));
    chain.load(ring(inARow([{ bytes: 9 }, { bytes: 9, flags: WRITE }, { bytes: 9, flags: WRITE }])), 0, () => "miss");
    chain.load(ring([{}, { bytes: 7 }]), 1, () => "miss");
    expect(chain).toMatchObject({ head: 1, count: 1, readableCount: 1, readableBytes: 7, writableBytes: 0 });
  });

  it("waits for a table that is not at hand, and is whole when asked again", () => {
    const chain = new Chain(4, true);
    const ring = justTable(4, tableOf(4, [{ bytes: 5, flags: NEXT, next: 1 }, pointer(2)]));
    const answers = ["miss", "miss", "ok"] as const;
    let asked = 0;
    const readTable: TableReader = (address, target) => {
      expect([address, target.length]).toEqual([0x1000, 32]);
      writeDescriptors(new RealMemory(target.buffer as ArrayBuffer), 0, inARow(plain(2)));
      return answers[asked++]!;
    };
    expect([1, 2, 3].map(() => chain.load(ring, 0, readTable))).toEqual([false, false, true]);
    expect(elementsOf(chain)).toEqual([
      [0, 5],
      [0, 100],
      [4096, 101],
    ]);
  });

  it("lets a table lie at any address, aligned or not (BI-33)", () => {
    for (let offset = 0; offset < 16; offset++) {
      const chain = loaded([{ ...pointer(1), address: BigInt(0x1000 + offset) }], (address, target) => {
        expect(address).toBe(0x1000 + offset);
        writeDescriptors(new RealMemory(target.buffer as ArrayBuffer), 0, [{ address: 77n, bytes: 1 }]);
        return "ok";
      });
      expect(elementsOf(chain)).toEqual([[77, 1]]);
    }
  });
});

/** Memory that changes a word as soon as it was read, and counts how often each was. */
class ChangingMemory extends ForwardingMemory {
  readonly reads = new Map<number, number>();

  override read32(offset: number): number {
    return this.#once(offset, super.read32(offset), 4);
  }

  override read16(offset: number): number {
    return this.#once(offset, super.read16(offset), 2);
  }

  #once(offset: number, value: number, bytes: 2 | 4): number {
    for (let at = offset; at < offset + bytes; at++) this.reads.set(at, (this.reads.get(at) ?? 0) + 1);
    if (bytes === 4) super.write32(offset, value ^ 0xffff_ffff);
    else super.write16(offset, value ^ 0xffff);
    return value;
  }
}

/** A legal chain: `direct` elements, then a table of the others when there are any. */
const legalChains = fc
  .record({ direct: fc.nat(6), inTable: fc.nat(6), readable: fc.nat(12), table: fc.boolean() })
  .map(({ direct, inTable, readable, table }) => {
    const count = Math.max(1, direct + inTable);
    const all = plain(count).map((d, i) => ({ ...d, flags: i < readable ? 0 : WRITE }));
    const split = table && inTable > 0 ? direct : count;
    const rest = all.slice(split);
    const first = all.slice(0, split);
    if (rest.length === 0) return { all, ring: inARow(first), rest: [] };
    const going = first.map((d, i) => ({ ...d, flags: d.flags | NEXT, next: i + 1 }));
    return { all, ring: [...going, pointer(rest.length)], rest: inARow(rest) };
  });

/** Says how a chain that changes under the reader differs from what it was; undefined when it does not. */
function changedUnderReader(
  Walker: typeof Chain,
  { all, ring, rest }: ReturnType<typeof sampleChain>,
): string | undefined {
  let fetched = 0;
  let memory: ChangingMemory | undefined;
  const readTable: TableReader = (_, target) => {
    fetched += 1;
    writeDescriptors(new RealMemory(target.buffer as ArrayBuffer), 0, rest);
    return "ok";
  };
  const wrap = (inner: SharedMemory) => (memory = new ChangingMemory(inner));
  let chain: Chain;
  try {
    chain = loaded(ring, readTable, { Walker, wrap });
  } catch (error) {
    return (error as Error).message;
  }
  const due = all.map(({ address, bytes }) => [Number(address), bytes]);
  if (JSON.stringify(elementsOf(chain)) !== JSON.stringify(due)) return "other elements";
  if ([...memory!.reads.values()].some((reads) => reads > 1)) return "a word was read twice";
  if (memory!.reads.size !== ring.length * VRING_DESC.size) return `${memory!.reads.size} bytes were read`;
  return fetched === (rest.length > 0 ? 1 : 0) ? undefined : `the table was fetched ${fetched} times`;
}

const sampleChain = () => fc.sample(legalChains, 1)[0]!;

describe("a chain that its peer changes while it is read", () => {
  it("is what it was: each word is read once, and a table fetched once (S1, CLEAN-01, BI-58)", () => {
    fc.assert(
      fc.property(legalChains, (chain) => {
        expect(changedUnderReader(Chain, chain)).toBeUndefined();
      }),
    );
  });

  it.each([
    ["flags", "const flags = last & 0xffff;", "const flags = memory.read16(at + DESC_FLAGS);"],
    ["next", "index = last >>> 16;", "index = memory.read16(at + VRING_DESC.offsets.next);"],
    ["length", "this.#append(address, length, flags);", "this.#append(address, memory.read32(at + 8) >>> 0, flags);"],
  ])("is something else to a walker that reads %s twice", async (_, passage, instead) => {
    const { Chain: Faulty } = await patchedCopy<{ Chain: typeof Chain }>(CHAIN, [CHAIN, passage, instead]);
    const two = fc.sample(legalChains, { numRuns: 50, seed: 1 }).map((chain) => changedUnderReader(Faulty, chain));
    expect(two.filter((problem) => problem !== undefined).length).toBeGreaterThan(0);
  });

  it("reads no more descriptors of a loop than an element too many (S3)", async () => {
    const patch: Patch = [CHAIN, "this.count === ring.num", "this.count > ring.num"];
    const { Chain: Faulty } = await patchedCopy<{ Chain: typeof Chain }>(CHAIN, patch);
    const [loop] = CHAIN_FACTS.loops.cases;
    expect([Chain, Faulty].map((Walker) => verdictOf(Walker, loop!).reads)).toEqual([4 * 9, 4 * 10]);
  });
});
