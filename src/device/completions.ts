import type { Parts } from "../memory/role.js";

/** When a device returns what it has served. */
export interface Behaviour {
  /** "out-of-order": whichever of the waiting ones a seed picks. */
  readonly order: "in-order" | "out-of-order";
  /** Device steps a completion waits at least. */
  readonly delaySteps: number;
  /** Completions returned together; fewer only when nothing more is available. */
  readonly batch: number;
  /** Seed of the order. */
  readonly seed: number;
}

const HEAD = 0;
const LENGTH = 1;
const DUE = 2;
const COLUMNS = 3;

/** Requests that are served and not yet returned, and the order in which they are. */
export class Completions {
  /** The completion that next() chose last. */
  head = 0;
  length = 0;
  readonly state = { count: 0, step: 0, random: 1 };
  readonly #rows: Int32Array;
  readonly #behaviour: Behaviour;

  /** For a queue of `num` entries. */
  constructor(num: number, behaviour: Behaviour) {
    this.#rows = new Int32Array(num * COLUMNS);
    this.#behaviour = behaviour;
    this.state.random = behaviour.seed | 0 || 1;
  }

  /** Notes a served request. */
  add(head: number, length: number): void {
    const row = this.state.count * COLUMNS;
    this.#rows[row + HEAD] = head;
    this.#rows[row + LENGTH] = length;
    this.#rows[row + DUE] = this.state.step + this.#behaviour.delaySteps;
    this.state.count += 1;
  }

  /** Counts one device step. */
  tick(): void {
    this.state.step = (this.state.step + 1) | 0;
  }

  /** Whether a batch is complete; `idle`: nothing more is available, so no batch will fill up. */
  ready(idle: boolean): boolean {
    const { state } = this;
    if (state.count === 0) return false;
    return idle || state.count >= this.#behaviour.batch;
  }

  /** Chooses the next completion that is due into head and length, if there is one. */
  next(): boolean {
    const { state } = this;
    const pick = this.#behaviour.order === "in-order" ? this.#first() : this.#any();
    if (pick < 0) return false;
    const row = pick * COLUMNS;
    this.head = this.#rows[row + HEAD]!;
    this.length = this.#rows[row + LENGTH]!;
    this.#rows.copyWithin(row, row + COLUMNS, state.count * COLUMNS);
    state.count -= 1;
    return true;
  }

  /** Forgets everything, as a reset does. */
  clear(): void {
    this.state.count = 0;
  }

  parts(): Parts {
    return { state: this.state, tables: [this.#rows] };
  }

  /** The one that came first, when it is due: none behind it goes before it. −1 otherwise. */
  #first(): number {
    return this.state.count > 0 && this.#isDue(0) ? 0 : -1;
  }

  /** Any of those that are due, whoever came before it; −1 when none is. */
  #any(): number {
    const { count } = this.state;
    let due = 0;
    for (let row = 0; row < count; row++) if (this.#isDue(row)) due += 1;
    if (due === 0) return -1;
    let left = this.#random(due);
    for (let row = 0; ; row++) if (this.#isDue(row) && left-- === 0) return row;
  }

  #isDue(row: number): boolean {
    // The difference as int32: steps are counted on over their wrap.
    return this.#behaviour.delaySteps === 0 || ((this.state.step - this.#rows[row * COLUMNS + DUE]!) | 0) >= 0;
  }

  #random(below: number): number {
    let x = this.state.random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state.random = x | 0;
    return (x >>> 0) % below;
  }
}
