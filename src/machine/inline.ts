import type { Role } from "../memory/role.js";

/** A role and what it sleeps on, when all roles share one thread. */
export interface InlineParty {
  readonly role: Role;
  /** How often its bell has rung so far. */
  readonly rung: () => number;
}

/** Ends a run in which everybody sleeps and the work is not done: some notification never came. */
export class AllAsleep extends Error {
  override readonly name = "AllAsleep";
}

/** Ends a run that takes more steps than it may. */
export class TooManySteps extends Error {
  override readonly name = "TooManySteps";
}

/** Steps of one run at most, unless asked otherwise. */
const STEPS_MAX = 50_000_000;

/**
 * Runs roles on one thread, in virtual time: each step is one tick, and a sleeping role is stepped again only after its
 * bell has rung, so that a missing notification shows as it would between threads.
 */
export class InlineMachine {
  /** Steps so far: the virtual clock. */
  ticks = 0;
  readonly #parties: readonly InlineParty[];
  readonly #asleepAt: (number | undefined)[];
  #random: number;

  /** `seed` chooses whose turn it is; 0 means in turn. */
  constructor(parties: readonly InlineParty[], seed = 0) {
    this.#parties = parties;
    this.#asleepAt = parties.map(() => undefined);
    this.#random = seed | 0;
  }

  /** Runs until `done()`; throws AllAsleep when nobody can move, TooManySteps after `stepsMax`. */
  run(done: () => boolean, stepsMax = STEPS_MAX): void {
    const limit = this.ticks + stepsMax;
    let turn = 0;
    let idle = 0;
    while (!done()) {
      const party = this.#random === 0 ? turn++ % this.#parties.length : this.#draw();
      idle = this.#turn(party) ? 0 : idle + 1;
      if (idle > 64 * this.#parties.length && this.#allAsleep()) {
        throw new AllAsleep(`everybody sleeps after ${this.ticks} steps`);
      }
      if (this.ticks > limit) throw new TooManySteps(`not done after ${stepsMax} steps`);
    }
  }

  /** Wakes everybody, as a control message does. */
  wake(): void {
    this.#asleepAt.fill(undefined);
  }

  #turn(index: number): boolean {
    const { role, rung } = this.#parties[index]!;
    if (this.#asleepAt[index] === rung()) return false;
    const seen = rung();
    this.ticks += 1;
    this.#asleepAt[index] = undefined;
    if (role.step()) return true;
    if (role.arm()) this.#asleepAt[index] = seen;
    return false;
  }

  #allAsleep(): boolean {
    return this.#parties.every(({ rung }, i) => this.#asleepAt[i] === rung());
  }

  #draw(): number {
    let x = this.#random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#random = x | 0;
    return (x >>> 0) % this.#parties.length;
  }
}
