import { type SharedMemory, u16 } from "../../src/memory/shared-memory.js";
import { Random } from "../inputs/random.js";
import { type Form, harvest, type Page } from "./forms.js";

/** Pages of one round, each with a word of the log to itself. */
const PAGES = 4;
/** Rounds go from one set of pages to the other: one is prepared while the other is judged. */
const SETS = 2;
/** Two cache lines, since some CPUs fetch them in pairs. */
const APART = 128;
/** Turns of a pause: up to some 150 ns, the time a store takes to leave its buffer. */
const PAUSE_TURNS = 128;
const USED_AT = SETS * PAGES * 2 * APART;
const BARRIER_AT = USED_AT + APART;

/** Bytes that the two sides share: pages, log words, a used index and a barrier, all on lines of their own. */
export const LITMUS_BYTES = BARRIER_AT + 2 * APART;

/** The two sides of a litmus. */
export const SIDES = ["marker", "harvester"] as const;
/** One of SIDES. */
export type SideName = (typeof SIDES)[number];

const PAGE_SETS: readonly (readonly Page[])[] = Array.from({ length: SETS }, (_, set) =>
  Array.from({ length: PAGES }, (_, page) => {
    const payload = (set * PAGES + page) * 2 * APART;
    return { payload, word: payload + APART, bit: 1 << page, used: USED_AT };
  }),
);

/** Where the two sides wait for each other, spinning. */
class Barrier {
  readonly #memory: SharedMemory;
  readonly #own: number;
  readonly #other: number;
  #count = 0;

  constructor(memory: SharedMemory, side: SideName) {
    const mine = SIDES.indexOf(side);
    this.#memory = memory;
    this.#own = BARRIER_AT + mine * APART;
    this.#other = BARRIER_AT + (1 - mine) * APART;
  }

  meet(): void {
    const before = this.#count;
    this.#count = u16(before + 1);
    this.#memory.publish16(this.#own, this.#count);
    this.#memory.fence();
    // The other one may be a meeting ahead by now, but not two.
    while (this.#memory.observe16(this.#other) === before) {}
  }
}

/** The side that writes pages and marks them, in the form under test. */
export class Marker {
  readonly #memory: SharedMemory;
  readonly #form: Form;
  readonly #barrier: Barrier;
  readonly #random = new Random(1);
  /** What the pauses computed, so that nobody leaves them out. */
  sink = 0;
  #round = 0;

  constructor(memory: SharedMemory, form: Form) {
    this.#memory = memory;
    this.#form = form;
    this.#barrier = new Barrier(memory, "marker");
  }

  /** Plays rounds together with the harvester, who judges: gives 0. */
  play(rounds: number): number {
    for (let i = 0; i < rounds; i++) this.#playOne();
    return 0;
  }

  #playOne(): void {
    const pages = PAGE_SETS[this.#round % SETS]!;
    const chance = this.#random.below(2 ** 24);
    // A bit that is there already is what a test skips: three of four are.
    for (let page = 0; page < PAGES; page++) {
      const { word, bit } = pages[page]!;
      this.#memory.write32(word, ((chance >>> (2 * page)) & 3) === 0 ? 0 : bit);
    }
    this.#barrier.meet();
    this.sink ^= pause((chance >>> 8) % PAUSE_TURNS);
    const first = chance >>> 16;
    const value = Math.imul(this.#round, PAGES) + 1;
    for (let turn = 0; turn < PAGES; turn++) {
      this.#form.touch(this.#memory, pages[turnAt(first, turn)]!, value + turn);
    }
    this.#barrier.meet();
    this.#round += 1;
  }
}

/** The side that takes marks and copies pages, and judges when the round is over. */
export class Harvester {
  readonly #memory: SharedMemory;
  readonly #barrier: Barrier;
  readonly #random = new Random(2);
  readonly #copies = new Int32Array(SETS * PAGES);
  /** What the pauses computed, so that nobody leaves them out. */
  sink = 0;
  #round = 0;

  constructor(memory: SharedMemory) {
    this.#memory = memory;
    this.#barrier = new Barrier(memory, "harvester");
  }

  /** Plays rounds together with the marker; gives in how many of them a page was lost. */
  play(rounds: number): number {
    let lost = 0;
    for (let i = 0; i < rounds; i++) if (this.#playOne()) lost++;
    return lost;
  }

  #playOne(): boolean {
    const set = this.#round % SETS;
    const pages = PAGE_SETS[set]!;
    const chance = this.#random.below(2 ** 24);
    this.#barrier.meet();
    this.sink ^= pause((chance >>> 8) % PAUSE_TURNS);
    const first = chance >>> 16;
    for (let turn = 0; turn < PAGES; turn++) {
      const page = turnAt(first, turn);
      const copy = harvest(this.#memory, pages[page]!, (chance & 1) === 0);
      if (copy !== undefined) this.#copies[set * PAGES + page] = copy;
    }
    this.#barrier.meet();
    this.#round += 1;
    return this.#judge(set);
  }

  /** Whether a page differs from its copy and no mark says so; the copies are whole afterwards. */
  #judge(set: number): boolean {
    let lost = false;
    for (let page = 0; page < PAGES; page++) {
      const { payload, word, bit } = PAGE_SETS[set]![page]!;
      const now = this.#memory.read32(payload);
      if (now !== this.#copies[set * PAGES + page] && (this.#memory.read32(word) & bit) === 0) lost = true;
      this.#copies[set * PAGES + page] = now;
    }
    return lost;
  }
}

/** The page whose turn it is: upwards or downwards from any of them. */
function turnAt(first: number, turn: number): number {
  return ((first & PAGES) === 0 ? first + turn : first - turn) & (PAGES - 1);
}

/** Spends about a nanosecond a turn; the result depends on every turn. */
function pause(turns: number): number {
  let value = turns;
  for (let turn = 0; turn < turns; turn++) value = (Math.imul(value, 0x41c6_4e6d) + 12_345) | 0;
  return value;
}
