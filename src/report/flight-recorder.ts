import RingBuffer from "ringbufferjs";
import { formatNs } from "./units.js";

/** A value in the detail of an event. */
type FlightValue = string | number | boolean | null;

/** Something that happened on the control side: a switch, a fault, a stop. Never one per descriptor. */
export interface FlightEvent {
  /** When, on the clock of the caller. */
  readonly at_ns: number;
  /** Who, such as "relay" or "device". */
  readonly source: string;
  /** What, in a word or two, such as "queue-stopped". */
  readonly event: string;
  /** The particulars. */
  readonly detail: Readonly<Record<string, FlightValue>>;
}

/** Holds the last control events, to be read when something went wrong; main thread only. */
export class FlightRecorder {
  readonly #events: RingBuffer<FlightEvent>;
  #recorded = 0;

  /** Holds up to `capacity` events; throws RangeError when that is no whole number from 1 up. */
  constructor(capacity: number) {
    // The library takes 0 for its default of 50.
    if (!(Number.isSafeInteger(capacity) && capacity >= 1)) {
      throw new RangeError(`a flight recorder of ${capacity} events: at least 1`);
    }
    this.#events = new RingBuffer(capacity);
  }

  /** Keeps an event, at the cost of the oldest when full. */
  record(event: FlightEvent): void {
    this.#events.enq(event);
    this.#recorded++;
  }

  /** How many events came and went. */
  get dropped(): number {
    return this.#recorded - this.#events.size();
  }

  /** The events held, oldest first; a copy. */
  snapshot(): FlightEvent[] {
    return this.#events.peekN(this.#events.size());
  }

  /** The events as lines of text, with times counted from the first one held; says first how many are gone. */
  dump(): string[] {
    const events = this.snapshot();
    const start = events[0]?.at_ns ?? 0;
    const lines = events.map((event) => lineOf(event, start));
    return this.dropped === 0 ? lines : [`(${this.dropped} earlier events dropped)`, ...lines];
  }
}

function lineOf({ at_ns, source, event, detail }: FlightEvent, startNs: number): string {
  const particulars = Object.entries(detail).map(([key, value]) => `${key}=${plain(value)}`);
  return [`+${formatNs(at_ns - startNs)}`.padStart(10), plain(source), plain(event), ...particulars].join(" ");
}

/** Quotes what would not stay one word on one line: a peer may have chosen it. */
function plain(value: FlightValue): string {
  return typeof value === "string" && !/^[\w.:/-]+$/.test(value) ? JSON.stringify(value) : String(value);
}
