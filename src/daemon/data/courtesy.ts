import { yieldCore } from "../../sys/process.js";

/** Milliseconds after which the core went to somebody who has nothing to do with these queues. */
const LONG_MS = 1;
/** Times that the core is kept after that. */
const KEPT_TIMES = 100;
/** Times that the core is kept at most after it was given up for nothing, again and again. */
const WASTED_TIMES_MAX = 63;

/**
 * Lets others on this core go on before a thread sleeps: once for each time that it found work.
 *
 * A peer that runs meanwhile finds notifications off, and leaves work that is found without one: that saves its signal,
 * our waking up, and the arming in between. Where that brings nothing, since peers have cores of their own, it is tried
 * ever more rarely. A core that somebody else computes on is kept for a while: there, who sleeps is woken at once, and
 * who gives way is not.
 */
export class Courtesy {
  /** System calls made to give way. */
  count = 0;
  readonly #yieldCore: () => void;
  readonly #nowMs: () => number;
  /** Times that the core is to be kept from now on. */
  #keep = 0;
  #wasted = 0;
  #gaveWay = false;

  constructor(giveWay = yieldCore, nowMs = () => performance.now()) {
    this.#yieldCore = giveWay;
    this.#nowMs = nowMs;
  }

  /** Gives way; false when the core was kept, and nothing can have changed. */
  giveWay(): boolean {
    if (this.#keep > 0) {
      this.#keep -= 1;
      return false;
    }
    this.count += 1;
    this.#gaveWay = true;
    const startMs = this.#nowMs();
    this.#yieldCore();
    if (this.#nowMs() - startMs > LONG_MS) this.#keep = KEPT_TIMES;
    return true;
  }

  /** Hears of each look for work whether there was any. */
  looked(found: boolean): void {
    if (!this.#gaveWay) return;
    this.#gaveWay = false;
    this.#wasted = found ? 0 : Math.min(2 * this.#wasted + 1, WASTED_TIMES_MAX);
    this.#keep = Math.max(this.#keep, this.#wasted);
  }
}
