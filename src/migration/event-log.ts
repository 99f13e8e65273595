import type { MigrationEvent } from "./migration.js";

/** The events of one migration, numbered without gaps: what happened before what. */
export class EventLog {
  readonly events: MigrationEvent[] = [];
  readonly #now: () => number;

  /** `now`: nanoseconds since the start. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Notes an event. */
  note(event: string, detail: MigrationEvent["detail"] = {}): void {
    this.events.push({ sequence: this.events.length, timeNs: this.#now(), event, detail });
  }
}
