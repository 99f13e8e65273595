/** How far along each party was, by party number: what somebody knows to have happened. */
export type Clock = Uint32Array;

/**
 * Who knows what of whom: a vector clock per party.
 *
 * A party's own component is its epoch; it grows at each release, so that what comes after a release is not covered by
 * it. Epoch 0 stands for "never".
 */
export class PartyClocks {
  readonly #clocks: readonly Clock[];

  constructor(partyCount: number) {
    this.#clocks = Array.from({ length: partyCount }, (_, party) => {
      const clock = new Uint32Array(partyCount);
      clock[party] = 1;
      return clock;
    });
  }

  /**
   * How far `party` knows each of them, itself included, to have come; not to be kept or changed.
   *
   * It knows of what `other` did at an epoch when that epoch is at most `known(party)[other]`.
   */
  known(party: number): Clock {
    return this.#clocks[party]!;
  }

  /** Gives all that `party` knows, to be handed to somebody, and starts its next epoch. */
  release(party: number): Clock {
    const own = this.#clocks[party]!;
    const released = own.slice();
    own[party]! += 1;
    return released;
  }

  /** Lets `party` know what somebody released. */
  acquire(party: number, released: Clock): void {
    merge(this.#clocks[party]!, released);
  }
}

/** Adds what `released` knows to `clock`. */
export function merge(clock: Clock, released: Clock): void {
  for (let party = 0; party < clock.length; party++) {
    if (released[party]! > clock[party]!) clock[party] = released[party]!;
  }
}
