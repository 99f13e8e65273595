import type { MigrationClock } from "./migration.js";

/** Time that passes when it is told to: a minute of migration takes as long as its pages take to copy. */
export class VirtualClock implements MigrationClock {
  #timeNs = 0;

  now(): number {
    return this.#timeNs;
  }

  pass(ns: number): Promise<void> | undefined {
    this.#timeNs += ns;
    return undefined;
  }
}
