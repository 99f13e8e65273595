import { TIMEOUT_MS_MAX } from "../../sys/deadline.js";

/** Between two looks whether the relay is told to stop, while it waits. */
const LOOK_MS = 20;
/** What one wait may take of the grace that is left: those after it get something too. */
const SHARE = 0.5;

/** A wait that has an end. */
export interface Wait {
  /** Milliseconds to its end, rounded up; 0 when it has passed. */
  readonly leftMs: number;
  /** Milliseconds to block before looking at `leftMs` again. */
  readonly sliceMs: number;
  /** How long it may take, in words. */
  readonly limit: string;
}

/** How long the back end is waited for. */
export interface PatienceOptions {
  /** Longest wait, in milliseconds. */
  readonly timeoutMs: number;
  /** Milliseconds for all that is still waited for once the relay is told to stop. */
  readonly graceMs: number;
  /** Whether the relay is told to stop; asked while it waits. */
  readonly stopAsked: () => boolean;
}

/**
 * How long the back end is waited for: its time limit, and a share of what is left of the grace while the relay stops.
 *
 * A stop that comes in the middle of a wait shortens it: a back end that is silent does not outlast the grace.
 */
export class Patience {
  readonly #options: PatienceOptions;
  /** When the grace is over; undefined until the relay is told to stop. */
  #graceEndMs: number | undefined;

  constructor(options: PatienceOptions) {
    this.#options = options;
  }

  /** Starts a wait. */
  begin(): Wait {
    const { timeoutMs } = this.#options;
    let endMs = performance.now() + Math.min(timeoutMs, TIMEOUT_MS_MAX);
    let shortened = false;
    const leftMs = () => {
      const graceEndMs = this.#stopsBy();
      const nowMs = performance.now();
      if (graceEndMs !== undefined && !shortened) {
        shortened = true;
        endMs = Math.min(endMs, nowMs + SHARE * Math.max(0, graceEndMs - nowMs));
      }
      return Math.max(0, Math.ceil(endMs - nowMs));
    };
    return {
      get leftMs() {
        return leftMs();
      },
      get sliceMs() {
        return Math.min(leftMs(), LOOK_MS);
      },
      get limit() {
        return shortened ? "its share of the grace" : `${timeoutMs} ms`;
      },
    };
  }

  #stopsBy(): number | undefined {
    const { graceMs, stopAsked } = this.#options;
    if (this.#graceEndMs === undefined && stopAsked()) this.#graceEndMs = performance.now() + graceMs;
    return this.#graceEndMs;
  }
}

/** Waits of `timeoutMs` each, with nobody who could stop them. */
export function patienceOf(timeoutMs: number): Patience {
  return new Patience({ timeoutMs, graceMs: timeoutMs, stopAsked: () => false });
}
