import { assert } from "../assert.js";
import type { SharedMemory } from "../shared-memory.js";
import { OwnerMap } from "./owner-map.js";
import type { SimulatedMachine } from "./simulated-machine.js";
import type { SimulatedParty } from "./simulated-party.js";
import { SimulatedPort } from "./simulated-port.js";
import type { PendingStore } from "./store-buffer.js";
import { WritePermits } from "./write-permits.js";

/** What fresh memory is filled with: read as an index or a head it is out of range, and it is no null address. */
export const POISON = 0xa5;

/** How a region is called, and what it holds at first. */
export interface RegionOptions {
  /** For messages and hooks. */
  readonly name?: string;
  /** The byte it is filled with; POISON unless the protocol starts from zeroed memory. */
  readonly fill?: number;
}

/** The bytes of one region, which each party reaches through a port of its own. */
export class SimulatedMemory {
  readonly machine: SimulatedMachine;
  readonly name: string;
  /** What everybody sees. A test may read and change it: that is no access of any party. */
  readonly bytes: Uint8Array;
  /** Undefined where owners are not checked. */
  readonly owners: OwnerMap | undefined;
  readonly permits: WritePermits;
  readonly #view: DataView;

  /** Takes a whole number of 32-bit words, as real memory does. */
  constructor(machine: SimulatedMachine, byteLength: number, { name = "memory", fill = POISON }: RegionOptions = {}) {
    assert(byteLength % 4 === 0, "a region is a whole number of 32-bit words");
    this.machine = machine;
    this.name = name;
    this.bytes = new Uint8Array(byteLength).fill(fill);
    this.#view = new DataView(this.bytes.buffer);
    const { clocks, parties, onRace } = machine;
    this.owners = clocks && new OwnerMap({ place: name, byteLength, parties, clocks, report: onRace });
    this.permits = new WritePermits(name, byteLength);
  }

  /** The region as `party` reaches it. */
  port(party: string): SharedMemory {
    return new SimulatedPort(this, this.machine.party(party));
  }

  /** Lets `party` store here; means something once it was forbidden to. */
  permit(party: string, offset: number, bytes: number): void {
    this.permits.permit(this.machine.party(party).index, offset, bytes);
  }

  /** Forbids `party` to store here: ContainmentError from now on. */
  forbid(party: string, offset: number, bytes: number): void {
    this.permits.forbid(this.machine.party(party).index, offset, bytes);
  }

  /** Forbids everybody to store anywhere, until permitted. */
  forbidAll(): void {
    this.permits.forbidAll();
  }

  /** Lets races on these bytes pass; for words that are tested plainly on purpose: say why at the call. */
  allowRaces(offset: number, bytes: number): void {
    this.owners?.allowRaces(offset, bytes);
  }

  /** Changes 16 bits behind everybody's back. */
  poke16(offset: number, value: number): void {
    this.#view.setUint16(offset, value, true);
  }

  /** Changes 32 bits behind everybody's back. */
  poke32(offset: number, value: number): void {
    this.#view.setInt32(offset, value, true);
  }

  /** The visible 16 bits. */
  peek16(offset: number): number {
    return this.#view.getUint16(offset, true);
  }

  /** The visible 32 bits, as int32. */
  peek32(offset: number): number {
    return this.#view.getInt32(offset, true);
  }

  /** A store leaves its party's buffer (for SimulatedParty). */
  makeVisible(party: SimulatedParty, { offset, bytes, clock }: PendingStore): void {
    this.bytes.set(bytes, offset);
    if (clock !== undefined) this.owners?.published(offset, clock);
    this.machine.onVisible?.(party.name, this, offset, bytes.length);
  }
}
