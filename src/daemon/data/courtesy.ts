import { yieldCore } from "../../sys/process.js";

/** Milliseconds after which the core went to somebody who has nothing to do with these queues. */
const LONG_MS = 1;
/** Times that the core is kept after that. */
const KEPT_TIMES = 100;

/**
 * Lets others on this core go on before a thread sleeps: once for each time that it found work.
 *
 * A peer that runs meanwhile finds notifications off, and leaves work that is found without one: that saves its signal,
 * our waking up, and the arming in between. Where nobody else wants the core it costs one system call. A core that
 * somebody else computes on is kept for a while: sleepers are woken at once there, and who gives way is not.
 */
export class Courtesy {
  /** System calls made to give way. */
  count = 0;
  readonly #yieldCore: () => void;
  readonly #nowMs: () => number;
  #keep = 0;

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
    const startMs = this.#nowMs();
    this.#yieldCore();
    if (this.#nowMs() - startMs > LONG_MS) this.#keep = KEPT_TIMES;
    return true;
  }
}
