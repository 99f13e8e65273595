import type { Notifier } from "../memory/bell.js";
import type { Parts } from "../memory/role.js";
import type { RingState } from "../ring/ring-state.js";
import { COUNTERS } from "../telemetry/counters.js";
import type { DataPath } from "./data-path.js";

/** The relay out of the way: the device reads the guest's ring, kicks and calls go past. */
export class Passthrough implements DataPath {
  step(): boolean {
    return false;
  }

  drain(): boolean {
    return false;
  }

  arm(): boolean {
    return true;
  }

  stop(base: RingState): RingState {
    return base;
  }

  /** Nothing was marked before, so nothing is now. */
  abandon(): void {}

  parts(): Parts {
    return { state: {}, tables: [] };
  }
}

/** The four notifications of a queue: the guest's on one side, the device's on the other. */
export interface QueueNotifiers {
  readonly guestKick: Notifier;
  readonly guestCall: Notifier;
  readonly deviceKick: Notifier;
  readonly deviceCall: Notifier;
}

/**
 * Passes kicks and calls on, and nothing else (vDPA software assisted live migration RFC, patches 7 and 9).
 *
 * A notification stays pending until it is taken and rings the bell, so nothing needs arming.
 */
export class NotifyRelay extends Passthrough {
  readonly #notifiers: QueueNotifiers;
  readonly #counters: Float64Array;

  constructor(notifiers: QueueNotifiers, counters: Float64Array) {
    super();
    this.#notifiers = notifiers;
    this.#counters = counters;
  }

  override step(): boolean {
    const kicked = this.#notifiers.guestKick.take();
    if (kicked) {
      this.#counters[COUNTERS.relayKicks]! += 1;
      this.#notifiers.deviceKick.signal();
    }
    return this.drain() || kicked;
  }

  override drain(): boolean {
    if (!this.#notifiers.deviceCall.take()) return false;
    this.#counters[COUNTERS.relayCalls]! += 1;
    this.#notifiers.guestCall.signal();
    return true;
  }
}
