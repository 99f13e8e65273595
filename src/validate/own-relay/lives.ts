import { listNonZeroByWord } from "../../memory/shared-memory.js";
import { copyOutByWord, type PartyMemory } from "../explorer/automaton.js";
import { Violation } from "../oracles/violation.js";

/** What a relay does in one turn. */
export type Phase = "work" | "arm";

/** One turn of a relay, behind the turns before it. */
interface Turn {
  readonly before: number;
  readonly phase: Phase;
  /** What it read, in order. */
  readonly results: readonly number[];
}

/** The lives of one relay, each of them a number: all that it read since it was made. Life 0 has not begun. */
export class Lives {
  readonly #turns: (Turn | undefined)[] = [undefined];
  readonly #known = new Map<string, number>();

  /** A life turn by turn. */
  of(life: number): Life {
    const turns: Turn[] = [];
    for (let turn = this.#turns[life]; turn !== undefined; turn = this.#turns[turn.before]) turns.push(turn);
    return new Life(turns.reverse());
  }

  /** The number of the life that goes on with one more turn. */
  add(before: number, phase: Phase, results: readonly number[]): number {
    const key = `${before} ${phase} ${results.join()}`;
    let life = this.#known.get(key);
    if (life === undefined) {
      life = this.#turns.push({ before, phase, results }) - 1;
      this.#known.set(key, life);
    }
    return life;
  }
}

/** Everything that one relay has read. */
export class Life {
  readonly turns: readonly Phase[];
  readonly #results: readonly number[];

  constructor(turns: readonly Turn[]) {
    this.turns = turns.map(({ phase }) => phase);
    this.#results = turns.flatMap(({ results }) => results);
  }

  /** Memory that gives all that again, and then goes on over `memory`. */
  over(memory: PartyMemory): LivedMemory {
    return new LivedMemory(this.#results, memory);
  }
}

/** Memory that answers from the past until live() is called, and notes what it gives from then on. */
class LivedMemory implements PartyMemory {
  readonly byteLength = 0x7fff_ffff;
  /** What was read since live(). */
  readonly results: number[] = [];
  readonly #past: readonly number[];
  readonly #inner: PartyMemory;
  #position = 0;
  #live = false;

  constructor(past: readonly number[], inner: PartyMemory) {
    this.#past = past;
    this.#inner = inner;
  }

  /** The past is over; throws Violation when not all of it was asked for. */
  live(): void {
    if (this.#position !== this.#past.length) throw otherwise();
    this.#live = true;
  }

  read16 = (offset: number) => this.#read(() => this.#inner.read16(offset));
  read32 = (offset: number) => this.#read(() => this.#inner.read32(offset));
  observe16 = (offset: number) => this.#read(() => this.#inner.observe16(offset));
  takeBits32 = (offset: number) => this.#read(() => this.#inner.takeBits32(offset));
  write16 = (offset: number, value: number) => this.#store(() => this.#inner.write16(offset, value));
  write32 = (offset: number, value: number) => this.#store(() => this.#inner.write32(offset, value));
  publish16 = (offset: number, value: number) => this.#store(() => this.#inner.publish16(offset, value));
  setBits32 = (offset: number, bits: number) => this.#store(() => this.#inner.setBits32(offset, bits));
  fence = () => this.#store(() => this.#inner.fence());
  sleep = (offset: number) => this.#store(() => this.#inner.sleep(offset));
  choose = (count: number) => this.#read(() => this.#inner.choose(count));
  copyOut = (offset: number, target: Uint8Array) => copyOutByWord(this, offset, target);
  copyIn = (offset: number, source: Uint8Array) => this.#store(() => this.#inner.copyIn(offset, source));
  listNonZero32 = (offset: number, end: number, found: Int32Array) => listNonZeroByWord(this, offset, end, found);

  #read(make: () => number): number {
    if (!this.#live) {
      const result = this.#past[this.#position++];
      if (result === undefined) throw otherwise();
      return result;
    }
    const result = make();
    this.results.push(result);
    return result;
  }

  #store(make: () => void): void {
    if (this.#live) make();
  }
}

function otherwise(): Violation {
  return new Violation("O9", 0, "made anew and shown the same, it does something else");
}
