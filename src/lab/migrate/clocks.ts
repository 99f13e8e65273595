import { setImmediate, setTimeout } from "node:timers/promises";
import { VirtualClock } from "../../migration/clock.js";
import type { MigrationClock } from "../../migration/migration.js";

/** Real milliseconds for which virtual time may run before others on this thread get a turn. */
const TURN_MS = 50;

/** Virtual time that lets others on this thread have a turn now and then: signals, a progress bar. */
export class PoliteClock implements MigrationClock {
  readonly #virtual = new VirtualClock();
  #turnEnds = performance.now() + TURN_MS;

  now(): number {
    return this.#virtual.now();
  }

  pass(ns: number): Promise<void> | undefined {
    void this.#virtual.pass(ns);
    if (performance.now() < this.#turnEnds) return undefined;
    return setImmediate().then(() => {
      this.#turnEnds = performance.now() + TURN_MS;
    });
  }
}

/** Time on the wall: what is sent faster than the bandwidth allows waits. */
export class RealClock implements MigrationClock {
  readonly #startMs = performance.now();
  /** When what was passed so far is over, by the wall. */
  #dueNs = 0;

  now(): number {
    return (performance.now() - this.#startMs) * 1e6;
  }

  pass(ns: number): Promise<void> | undefined {
    this.#dueNs = Math.max(this.#dueNs, this.now() - 1e6) + ns;
    const aheadMs = (this.#dueNs - this.now()) / 1e6;
    return aheadMs < 1 ? undefined : setTimeout(aheadMs);
  }
}
