import { VRING_AVAIL, VRING_USED, VRING_USED_ELEM } from "../../layout/virtio-ring.js";
import { u16 } from "../../memory/shared-memory.js";
import { textTable } from "../../report/table.js";
import { ACCESS } from "../rig/watched-memory.js";
import { SPACE } from "../rig/world.js";
import { describeEvent, type TraceRole } from "./describe.js";
import { ringPlaces } from "./places.js";
import type { Trace, TraceEvent } from "./trace.js";

/** One event with the indices of all three sides after it; free-running, as in memory. */
export interface TimelineStep {
  /** Counted from 0: the index of the event in the trace. */
  readonly step: number;
  readonly role: TraceRole;
  /** What was done, in words. */
  readonly access: string;
  /** The guest's avail.idx, the one that the relay saw last, and its used.idx. */
  readonly guest: readonly [availIdx: number, lastSeenAvail: number, usedIdx: number];
  /** The shadow ring's avail.idx and used.idx, and the next used entry that the relay takes. */
  readonly shadow: readonly [availIdx: number, usedIdx: number, lastUsed: number];
  /** The next entry that the device takes, and the next that it fills. */
  readonly device: readonly [lastAvail: number, usedIdx: number];
}

/** What of a timeline is shown. */
export interface TimelineWindow {
  /** The step in the middle; the failing one unless told, and all steps when none failed. */
  readonly around?: number;
  /** Steps to either side of it. */
  readonly window?: number;
}

const WINDOW = 20;

/** Every event of a trace as plain data: a contract, so fields are added and never changed. */
export function timelineJson(trace: Trace): TimelineStep[] {
  const view = new RelayView(trace);
  return trace.events.map((event, step) => {
    const { role, access } = describeEvent(trace.program, event);
    view.saw(event);
    const [guestAvail, guestUsed, shadowAvail, shadowUsed, deviceLastAvail, deviceUsed] = event.indices;
    return {
      step,
      role,
      access,
      guest: [guestAvail, view.availIdx, guestUsed],
      shadow: [shadowAvail, shadowUsed, view.lastUsed],
      device: [deviceLastAvail, deviceUsed],
    };
  });
}

/** The step at which an oracle found something: the last one; undefined when none did. */
function failingStep({ events, end }: Trace): number | undefined {
  return end.violation === undefined || events.length === 0 ? undefined : events.length - 1;
}

/** A trace for a person: a line an event, with a mark at the one that failed; without a final newline. */
export function timelineText(trace: Trace, { around, window = WINDOW }: TimelineWindow = {}): string {
  const failing = failingStep(trace);
  const steps = timelineJson(trace);
  const middle = around === undefined ? failing : Math.max(0, Math.min(steps.length - 1, around));
  const from = middle === undefined ? 0 : Math.max(0, middle - window);
  const to = middle === undefined ? steps.length : Math.max(from, Math.min(steps.length, middle + window + 1));
  const rows = steps
    .slice(from, to)
    .map(({ step, role, access, guest, shadow, device }) => [
      step === failing ? ">" : "",
      String(step),
      role,
      access,
      ...[guest, shadow, device].map((indices) => indices.join(" ")),
    ]);
  const columns = [
    { title: "" },
    { title: "step", align: "right" as const },
    ...["role", "what it does", "guest avail seen used", "shadow avail used last", "device last used"].map((title) => ({
      title,
    })),
  ];
  return [
    ...(from > 0 ? [`(${from} steps before)`] : []),
    textTable({ columns, rows }),
    ...(to < steps.length ? [`(${steps.length - to} steps after)`] : []),
    endLine(trace),
  ].join("\n");
}

function endLine({ program, events, end }: Trace): string {
  const { violation, broken, forwarded, returned, quarantined } = end;
  if (violation !== undefined) return `FAILED ${violation.message} (step ${events.length - 1})`;
  const how = broken === undefined ? "nothing found" : `the queue was given up: ${broken}`;
  const chains = `${forwarded} chains forwarded, ${returned} returned, ${quarantined} refused`;
  return `${program.actions.length} actions, ${events.length} steps; ${chains}; ${how}`;
}

/** What the relay knows of its peers' indices, from what it was seen to read: its own books may be somebody else's. */
class RelayView {
  availIdx: number;
  lastUsed = 0;
  readonly #trace: Trace;
  readonly #places: ReturnType<typeof ringPlaces>;
  #usedIdx = 0;

  constructor(trace: Trace) {
    this.#trace = trace;
    this.#places = ringPlaces(trace.program.setup);
    this.availIdx = trace.program.setup.start;
  }

  saw({ kind, space, offset, value, refused }: TraceEvent): void {
    if (refused || (kind !== ACCESS.read && kind !== ACCESS.observe)) return;
    const { guest, shadow } = this.#places;
    if (space === SPACE.low && offset === guest.avail + VRING_AVAIL.offsets.idx) this.availIdx = value & 0xffff;
    if (space !== SPACE.shadow) return;
    if (offset === shadow.used + VRING_USED.offsets.idx) this.#usedIdx = value & 0xffff;
    const slot = this.lastUsed & (this.#trace.program.setup.shadowNum - 1);
    const next = shadow.used + VRING_USED.offsets.ring + slot * VRING_USED_ELEM.size;
    if (offset === next && this.lastUsed !== this.#usedIdx) this.lastUsed = u16(this.lastUsed + 1);
  }
}
