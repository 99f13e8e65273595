import { assert } from "../assert.js";
import type { Bell } from "../bell.js";
import type { AccessHook, AccessKind, DrainPolicy, VisibleHook } from "./access.js";
import type { RaceError } from "./owner-map.js";
import { PartyClocks } from "./party-clocks.js";
import { SimulatedBell } from "./simulated-bell.js";
import { SimulatedParty } from "./simulated-party.js";
import type { MemoryModel, PendingStore } from "./store-buffer.js";
import { PARTIES_MAX } from "./write-permits.js";

/** How a simulated machine behaves, and what it checks. */
export interface MachineOptions {
  /** Names, at most eight; their order is the order of `ringers()`. */
  readonly parties: readonly string[];
  readonly model: MemoryModel;
  /** What publish promises: no more than the contract ("release", default), or what JavaScript does ("seq_cst"). */
  readonly publish?: "release" | "seq_cst";
  /** Whether two parties that touch a byte without a hand-over between them fail the run (default true). */
  readonly owners?: boolean;
  /** Called for each race instead of throwing. */
  readonly onRace?: (race: RaceError) => void;
  /** Whether misuse of fence() fails the run (default true). */
  readonly strictFences?: boolean;
  /** Which stores drain before each access; without one they wait for a fence, or for the test. */
  readonly drainPolicy?: DrainPolicy;
}

/**
 * Several parties that share simulated regions and bells, in one thread: what the regions have in common.
 *
 * A party's store buffer and its clock go over all regions, as its publish and its fence do.
 */
export class SimulatedMachine {
  readonly parties: readonly string[];
  readonly model: MemoryModel;
  readonly publish: "release" | "seq_cst";
  readonly strictFences: boolean;
  /** Who knows what of whom; undefined where owners are not checked. */
  readonly clocks: PartyClocks | undefined;
  readonly onRace: ((race: RaceError) => void) | undefined;
  drainPolicy: DrainPolicy | undefined;
  /** Runs before each access of every party. */
  onAccess: AccessHook | undefined;
  /** Runs after each store has become visible. */
  onVisible: VisibleHook | undefined;
  readonly #parties: ReadonlyMap<string, SimulatedParty>;
  readonly #bells: ReadonlyMap<string, SimulatedBell>;

  constructor(options: MachineOptions) {
    const { parties } = options;
    assert(
      parties.length <= PARTIES_MAX && new Set(parties).size === parties.length,
      "at most eight names, all different",
    );
    this.parties = parties;
    this.model = options.model;
    this.publish = options.publish ?? "release";
    this.strictFences = options.strictFences ?? true;
    this.clocks = (options.owners ?? true) ? new PartyClocks(parties.length) : undefined;
    this.onRace = options.onRace;
    this.drainPolicy = options.drainPolicy;
    this.#parties = new Map(parties.map((name, index) => [name, new SimulatedParty(this, name, index)]));
    this.#bells = new Map(parties.map((name) => [name, new SimulatedBell(this, name)]));
  }

  /** What is pending of a party, oldest first. */
  pending(party: string): readonly PendingStore[] {
    return this.party(party).buffer.stores;
  }

  /** Positions in `pending(party)` of the stores that may become visible next. */
  drainable(party: string): readonly number[] {
    return this.party(party).buffer.drainable();
  }

  /** Makes one pending store visible: the one at `position` among those pending, which must be drainable. */
  drainOne(party: string, position = 0): void {
    this.party(party).drain(position);
  }

  /** Makes all stores visible, of one party or of all; a party that falls asleep does so in the end. */
  drainAll(party?: string): void {
    if (party !== undefined) this.party(party).drainAll();
    else for (const each of this.#parties.values()) each.drainAll();
  }

  /** Hands over what `from` knows and has stored to `to`, as a message between threads does. */
  handOver(from: string, to: string): void {
    const giver = this.party(from);
    giver.drainAll();
    const released = giver.release();
    if (released !== undefined) this.clocks!.acquire(this.party(to).index, released);
  }

  /** The bell that wakes `owner`. */
  bell(owner: string): SimulatedBell {
    const bell = this.#bells.get(owner);
    assert(bell !== undefined, `${owner} is a party of this machine`);
    return bell;
  }

  /** Everybody's bell as `party` rings it, in the order of `parties`: what an EventFd takes. */
  ringers(party: string): Bell[] {
    return this.parties.map((owner) => this.bell(owner).ringer(party));
  }

  /** How many accesses of a kind were made, by one party or by all. */
  count(kind: AccessKind, party?: string): number {
    if (party !== undefined) return this.party(party).counts[kind];
    return this.parties.reduce((sum, name) => sum + this.party(name).counts[kind], 0);
  }

  /** A party by name, for the regions and bells of this machine. */
  party(name: string): SimulatedParty {
    const party = this.#parties.get(name);
    assert(party !== undefined, `${name} is a party of this machine`);
    return party;
  }
}
