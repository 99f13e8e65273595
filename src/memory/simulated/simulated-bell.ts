import type { Bell } from "../bell.js";
import { type Clock, merge } from "./party-clocks.js";
import type { SimulatedMachine } from "./simulated-machine.js";

/** The bell on which one party sleeps: pending from a ring until it is taken. */
export class SimulatedBell {
  readonly owner: string;
  readonly #machine: SimulatedMachine;
  readonly #place: string;
  /** What those who rang knew. */
  readonly #released: Clock;
  #rings = 0;
  #pending = false;

  constructor(machine: SimulatedMachine, owner: string) {
    this.#machine = machine;
    this.owner = owner;
    this.#place = `bell of ${owner}`;
    this.#released = new Uint32Array(machine.parties.length);
  }

  /** How often it has rung so far; for a scheduler, no access of the owner. */
  get rings(): number {
    return this.#rings;
  }

  /** Whether it has rung since it was taken last; for a scheduler, no access of the owner. */
  get pending(): boolean {
    return this.#pending;
  }

  /** The bell as `party` rings it. */
  ringer(party: string): Bell {
    return { ring: () => this.#ring(party) };
  }

  /** The owner takes the ring, and knows what those who rang knew; true when there was one. */
  take(): boolean {
    const owner = this.#machine.party(this.owner);
    owner.begin("take", undefined, this.#place, 0, 0, undefined);
    this.#machine.clocks?.acquire(owner.index, this.#released);
    const pending = this.#pending;
    this.#pending = false;
    return pending;
  }

  #ring(name: string): void {
    const party = this.#machine.party(name);
    party.begin("ring", undefined, this.#place, 0, 0, undefined);
    party.drainAll();
    const released = party.release();
    if (released !== undefined) merge(this.#released, released);
    this.#rings += 1;
    this.#pending = true;
  }
}
