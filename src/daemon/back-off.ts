/** Milliseconds before the first restart. */
const FIRST_MS = 100;
/** Milliseconds that no wait exceeds. */
const LONGEST_MS = 10_000;
/** A process that lived so long was well: the next wait is the first one again. */
const WELL_AFTER_MS = 60_000;

/** How long to wait before a process that crashed is started again: doubled each time, from 100 ms to 10 s. */
export class BackOff {
  #nextMs = FIRST_MS;

  /** The wait, in milliseconds, after a process that lived for `livedMs`. */
  afterLifeOf(livedMs: number): number {
    if (livedMs >= WELL_AFTER_MS) this.#nextMs = FIRST_MS;
    const wait = this.#nextMs;
    this.#nextMs = Math.min(2 * wait, LONGEST_MS);
    return wait;
  }
}
