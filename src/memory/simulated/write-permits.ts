/** A party stored to bytes that are not its to write. */
export class ContainmentError extends Error {
  override readonly name = "ContainmentError";
}

/** The most parties a machine has: one bit each. */
export const PARTIES_MAX = 8;
const EVERYBODY = 0xff;

/** Which party may store to which bytes of a region; everybody everywhere until somebody is forbidden to. */
export class WritePermits {
  readonly #place: string;
  readonly #byteLength: number;
  /** A bit per party for each byte; made when it is first needed. */
  #permits: Uint8Array | undefined;

  constructor(place: string, byteLength: number) {
    this.#place = place;
    this.#byteLength = byteLength;
  }

  /** Forbids everybody everything. */
  forbidAll(): void {
    this.#map().fill(0);
  }

  forbid(party: number, offset: number, bytes: number): void {
    const permits = this.#map();
    for (let at = offset; at < offset + bytes; at++) permits[at]! &= ~(1 << party);
  }

  permit(party: number, offset: number, bytes: number): void {
    const permits = this.#map();
    for (let at = offset; at < offset + bytes; at++) permits[at]! |= 1 << party;
  }

  /** Throws ContainmentError when `party` may not store to all of these bytes. */
  check(party: number, name: string, offset: number, bytes: number): void {
    const permits = this.#permits;
    if (permits === undefined) return;
    for (let at = offset; at < offset + bytes; at++) {
      if ((permits[at]! & (1 << party)) !== 0) continue;
      throw new ContainmentError(`${name} may not write ${this.#place} at ${at} (${bytes} bytes at ${offset})`);
    }
  }

  #map(): Uint8Array {
    this.#permits ??= new Uint8Array(this.#byteLength).fill(EVERYBODY);
    return this.#permits;
  }
}
