import {
  VRING_DESC,
  VRING_DESC_F_INDIRECT,
  VRING_DESC_F_NEXT,
  VRING_DESC_F_WRITE,
} from "../../src/layout/virtio-ring.js";
import { joinHalves } from "../../src/memory/address.js";
import { RealMemory } from "../../src/memory/real-memory.js";
import { u16 } from "../../src/memory/shared-memory.js";
import { DeviceRing } from "../../src/ring/device-ring.js";
import { DriverRing, type Segment, writeDescriptor } from "../../src/ring/driver-ring.js";
import { driverAccounts } from "../helpers/accounting.js";
import { CanaryRing } from "../helpers/canary-ring.js";

/** The two classes under test, or faulty copies of them. */
export interface Halves {
  readonly DriverRing: typeof DriverRing;
  readonly DeviceRing: typeof DeviceRing;
}

export const SOUND: Halves = { DriverRing, DeviceRing };

/** How a pair of halves is set up. */
export interface PairOptions {
  readonly num: number;
  /** Where both indices stand at the beginning. */
  readonly startIdx: number;
  readonly eventIdx: boolean;
}

/** What can be done to a pair. */
export const OPERATIONS = [
  "add",
  "addIndirect",
  "publishAvail",
  "takeAvail",
  "addUsed",
  "publishUsed",
  "takeUsed",
  "armDriver",
  "armDevice",
  "disarmDriver",
  "disarmDevice",
  "scribble",
] as const;
export type OperationName = (typeof OPERATIONS)[number];
/** One thing to do, and a number that decides how. */
export type Operation = readonly [name: OperationName, choice: number];

/** A chain as the reference remembers it. */
interface NaiveChain {
  readonly head: number;
  /** Descriptors of the ring that it occupies. */
  readonly indexes: readonly number[];
  readonly segments: readonly Segment[];
}

interface NaiveReturn {
  readonly chain: NaiveChain;
  readonly len: number;
}

const SEGMENTS_MAX = 5;
/** Now and then a chain takes all the descriptors there are, if they are not too many to be quick. */
const FULL_CHAIN_MAX = 256;
/** Steps from one look at the books to the next. */
const BOOKS_STEPS = 8;

/**
 * Both halves of a virtqueue and a reference beside them: queues of chains, and counters that never wrap.
 *
 * Each operation is done to both; a sentence comes back where they differ, or where a half stored what is not its own.
 */
export class TwoHalves {
  /** Chains that went all the way round. */
  completed = 0;
  readonly ring: CanaryRing;
  readonly driver: DriverRing;
  readonly device: DeviceRing;
  readonly #options: PairOptions;
  readonly #tables = new Map<number, Uint8Array>();
  readonly #operations: Record<OperationName, (choice: number) => void> = {
    add: (choice) => this.#add(choice),
    addIndirect: (choice) => this.#addIndirect(choice),
    publishAvail: () => this.#publishAvail(),
    takeAvail: (choice) => this.#takeAvail(choice),
    addUsed: (choice) => this.#addUsed(choice),
    publishUsed: () => this.#publishUsed(),
    takeUsed: () => this.#takeUsed(),
    armDriver: () => this.#armDriver(),
    armDevice: () => this.#armDevice(),
    disarmDriver: () => this.#disarmDriver(),
    disarmDevice: () => this.#disarmDevice(),
    scribble: (choice) => this.#scribble(choice),
  };
  #miss = false;
  #requests = 0;
  // The reference.
  #free: number;
  readonly #inUse = new Set<number>();
  #offered: NaiveChain[] = [];
  readonly #available: NaiveChain[] = [];
  readonly #held: NaiveChain[] = [];
  #returned: NaiveReturn[] = [];
  readonly #used: NaiveReturn[] = [];
  /** Entries published and taken since the beginning, and the entry at which each side wants to be told. */
  readonly #avail = { published: 0, taken: 0, tellAt: 0, wanted: true };
  readonly #usedCount = { published: 0, taken: 0, tellAt: 0, wanted: true };

  constructor({ DriverRing, DeviceRing }: Halves, options: PairOptions) {
    const { num, startIdx, eventIdx } = options;
    this.#options = options;
    this.#free = num;
    this.ring = new CanaryRing(num, eventIdx, startIdx);
    this.driver = new DriverRing(this.ring.driverSide, { eventIdx });
    const indexes = { availIdx: startIdx, publishedAvailIdx: startIdx, lastUsedIdx: startIdx, usedIdx: startIdx };
    Object.assign(this.driver.state, indexes);
    const start = { lastAvailIdx: startIdx, usedIdx: startIdx };
    const features = { eventIdx, indirect: true };
    this.device = new DeviceRing(this.ring.deviceSide, features, (at, into) => this.#readTable(at, into), start);
    // A fresh event word names entry 0, wherever the indices stand.
    this.#avail.tellAt = u16(-startIdx);
    this.#usedCount.tellAt = u16(-startIdx);
  }

  /** Does one thing; says what is wrong after it. */
  operate([name, choice]: Operation): string | undefined {
    try {
      this.#operations[name](choice);
      same(this.driver.state.freeCount, this.#free, "free descriptors");
      same(this.device.inFlight, this.#held.length, "chains the device has");
      same(this.device.unpublished, this.#returned.length, "used entries not published");
      return undefined;
    } catch (error) {
      return `${name}: ${(error as Error).message}`;
    }
  }

  /** What is wrong with the bytes, and with the driver's books (shadow-virtqueue invariants 1 to 3). */
  problems(books = true): string[] {
    const accounts = books ? driverAccounts([this.driver.parts()]) : [];
    return [...this.ring.strayStores(), ...this.ring.brokenCanaries(), ...accounts.flatMap(({ problems }) => problems)];
  }

  #armDriver(): void {
    same(this.driver.arm(), this.#used.length === 0, "nothing is used");
    Object.assign(this.#usedCount, { tellAt: this.#usedCount.taken, wanted: true });
  }

  #armDevice(): void {
    same(this.device.arm(), this.#available.length === 0, "nothing is available");
    Object.assign(this.#avail, { tellAt: this.#avail.taken, wanted: true });
  }

  #disarmDriver(): void {
    this.driver.disarm();
    this.#usedCount.wanted = false;
  }

  #disarmDevice(): void {
    this.device.disarm();
    this.#avail.wanted = false;
  }

  #add(choice: number): void {
    const all = choice % 7 === 0 && this.#free <= FULL_CHAIN_MAX;
    const count = all ? this.#free : 1 + (choice % SEGMENTS_MAX);
    if (count === 0 || count > this.#free) return;
    const segments = this.#segments(count, choice);
    const head = this.driver.addChain(segments);
    const indexes = [head];
    for (const [i, segment] of segments.entries()) {
      const more = i + 1 < count;
      const flags = (more ? VRING_DESC_F_NEXT : 0) | (segment.deviceWritable ? VRING_DESC_F_WRITE : 0);
      const seen = this.#descriptor(indexes.at(-1)!);
      same(seen.address, segment.address, "an address written");
      same(seen.bytes, segment.bytes, "a length written");
      same(seen.flags, flags, "flags written");
      if (more) indexes.push(seen.next);
    }
    this.#note({ head, indexes, segments });
  }

  #addIndirect(choice: number): void {
    if (this.#free === 0) return;
    const count = 1 + (choice % Math.min(this.#options.num, SEGMENTS_MAX));
    const segments = this.#segments(count, choice);
    const table = new Uint8Array(count * VRING_DESC.size);
    const memory = new RealMemory(table.buffer);
    for (const [i, segment] of segments.entries()) {
      writeDescriptor(memory, i * VRING_DESC.size, segment, i + 1 < count, i + 1);
    }
    const address = 2 ** 45 + this.#requests * 2 ** 16 + 1;
    this.#tables.set(address, table);
    const head = this.driver.addIndirect(address, count);
    const pointer = this.#descriptor(head);
    same(pointer.address, address, "the address of a table");
    same(pointer.bytes, table.length, "the length of a table");
    same(pointer.flags, VRING_DESC_F_INDIRECT, "the flags of a descriptor that points at a table");
    this.#note({ head, indexes: [head], segments });
  }

  #note(chain: NaiveChain): void {
    for (const index of chain.indexes) {
      same(this.#inUse.has(index), false, "a descriptor in use is given out");
      this.#inUse.add(index);
    }
    this.#free -= chain.indexes.length;
    this.#offered.push(chain);
  }

  #publishAvail(): void {
    const wanted = this.#tells(this.#avail, this.#offered.length);
    same(this.driver.publishAvail(), wanted, "a kick is wanted");
    this.#available.push(...this.#offered);
    this.#offered = [];
  }

  #takeAvail(choice: number): void {
    const chain = this.#available[0];
    const indirect = chain !== undefined && this.#descriptor(chain.head).flags === VRING_DESC_F_INDIRECT;
    this.#miss = indirect && choice % 4 === 0;
    same(this.device.takeAvail(), chain !== undefined && !this.#miss, "there is a chain to take");
    if (chain === undefined || this.#miss) return;
    const taken = this.device.chain;
    const writable = chain.segments.filter(({ deviceWritable }) => deviceWritable);
    same(taken.head, chain.head, "the head");
    same(taken.count, chain.segments.length, "elements");
    for (const [i, { address, bytes }] of chain.segments.entries()) {
      same(taken.addresses[i], address, "an address");
      same(taken.lengths[i], bytes, "a length");
    }
    same(taken.readableCount, chain.segments.length - writable.length, "readable elements");
    same(taken.writableBytes, sumOf(writable), "writable bytes");
    same(taken.readableBytes, sumOf(chain.segments) - sumOf(writable), "readable bytes");
    this.#held.push(this.#available.shift()!);
    this.#avail.taken += 1;
  }

  /** Returns any chain that the device has: the order is its own. */
  #addUsed(choice: number): void {
    const chain = this.#held.splice(choice % Math.max(1, this.#held.length), 1)[0];
    if (chain === undefined) return;
    this.device.addUsed(chain.head, choice >>> 0);
    this.#returned.push({ chain, len: choice >>> 0 });
  }

  #publishUsed(): void {
    const wanted = this.#tells(this.#usedCount, this.#returned.length);
    same(this.device.publishUsed(), wanted, "a call is wanted");
    this.#used.push(...this.#returned);
    this.#returned = [];
  }

  #takeUsed(): void {
    const entry = this.#used.shift();
    same(this.driver.takeUsed(), entry !== undefined, "there is a used entry to take");
    if (entry === undefined) return;
    const { chain, len } = entry;
    same(this.driver.used.id, chain.head, "the head that comes back");
    same(this.driver.used.len, len, "the length that comes back");
    for (const index of chain.indexes) this.#inUse.delete(index);
    this.#free += chain.indexes.length;
    this.#usedCount.taken += 1;
    this.completed += 1;
  }

  /** Whether publishing `count` entries tells the other side, asked entry by entry; and publishes them. */
  #tells(side: { published: number; tellAt: number; wanted: boolean }, count: number): boolean {
    let crossed = false;
    for (let entry = side.published; entry < side.published + count; entry++) {
      if (entry % 65_536 === side.tellAt % 65_536) crossed = true;
    }
    side.published += count;
    return count > 0 && (this.#options.eventIdx ? crossed : side.wanted);
  }

  /** A device that writes all over the descriptors of chains it has read already, and over free ones. */
  #scribble(choice: number): void {
    const unread = new Set([...this.#offered, ...this.#available].flatMap(({ indexes }) => indexes));
    const index = choice % this.#options.num;
    if (unread.has(index)) return;
    const at = this.ring.areas.desc + index * VRING_DESC.size;
    for (let word = 0; word < VRING_DESC.size; word += 4) this.ring.memory.write32(at + word, choice * (word + 1));
  }

  #segments(count: number, choice: number): Segment[] {
    const request = this.#requests++;
    const readable = choice % (count + 1);
    return Array.from({ length: count }, (_, i) => ({
      address: request % 3 === 0 ? 2 ** 53 - 1 - i : request * 4096 + i * 2 ** 33,
      bytes: request % 5 === 0 ? 2 ** 32 - 1 - i : 1 + ((request + i) % 5000),
      deviceWritable: i >= readable,
    }));
  }

  #descriptor(index: number): { address: number; bytes: number; flags: number; next: number } {
    const at = this.ring.areas.desc + index * VRING_DESC.size;
    const { memory } = this.ring;
    return {
      address: joinHalves(memory.read32(at), memory.read32(at + 4)),
      bytes: memory.read32(at + 8) >>> 0,
      flags: memory.read16(at + 12),
      next: memory.read16(at + 14),
    };
  }

  #readTable(address: number, target: Uint8Array): "ok" | "miss" | "unmapped" {
    if (this.#miss) return "miss";
    const table = this.#tables.get(address);
    if (table?.length !== target.length) return "unmapped";
    target.set(table);
    return "ok";
  }
}

function same<Value extends number | boolean>(seen: Value | undefined, due: Value, what: string): void {
  if (!Object.is(seen, due)) throw new Error(`${what}: ${seen}, not ${due}`);
}

function sumOf(segments: readonly Segment[]): number {
  return segments.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Does operations to a fresh pair; says what first went wrong. */
export function firstProblem(
  halves: Halves,
  options: PairOptions,
  operations: Iterable<Operation>,
): string | undefined {
  const pair = new TwoHalves(halves, options);
  let step = 0;
  for (const operation of operations) {
    const problem = pair.operate(operation) ?? pair.problems(step % BOOKS_STEPS === 0)[0];
    if (problem !== undefined) return `step ${step}, ${problem}`;
    step += 1;
  }
  return pair.problems()[0];
}
