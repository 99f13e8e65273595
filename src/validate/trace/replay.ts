import { type MakeRelay, SHIPPING } from "../rig/rig.js";
import { describeEvent } from "./describe.js";
import { recordRun, traceHash } from "./record.js";
import type { Finding, Trace, TraceEvent } from "./trace.js";
import { eventsToBytes } from "./trace-format.js";

/** What came of running a trace's program once more. */
export interface Replay {
  /** The same events and the same end. */
  readonly same: boolean;
  readonly hash: string;
  readonly recordedHash: string;
  /** What an oracle found this time. */
  readonly violation?: Finding;
  /** Where the two runs part; the index is that of an event, or of the end when all events are the same. */
  readonly firstDifference?: { readonly index: number; readonly text: string };
}

/** Runs the program of a trace once more, on the shipping relay unless told, and holds the run against the trace. */
export function replay(trace: Trace, make: MakeRelay = SHIPPING): Replay {
  const again = recordRun(trace.program, make);
  const [hash, recordedHash] = [traceHash(again), traceHash(trace)];
  const same = hash === recordedHash;
  const { violation } = again.end;
  return {
    same,
    hash,
    recordedHash,
    ...(violation === undefined ? {} : { violation }),
    ...(same ? {} : { firstDifference: firstDifference(trace, again) }),
  };
}

function firstDifference(recorded: Trace, now: Trace): { index: number; text: string } {
  const length = Math.max(recorded.events.length, now.events.length);
  for (let index = 0; index < length; index++) {
    const [a, b] = [recorded.events[index], now.events[index]];
    if (a !== undefined && b !== undefined && sameEvent(a, b)) continue;
    return { index, text: `recorded: ${eventText(recorded, a)}; now: ${eventText(now, b)}` };
  }
  return { index: length, text: `recorded: ${endText(recorded)}; now: ${endText(now)}` };
}

function sameEvent(a: TraceEvent, b: TraceEvent): boolean {
  return Buffer.compare(eventsToBytes([a]), eventsToBytes([b])) === 0;
}

/** With the index words: two events that read alike may come after different ones. */
function eventText(trace: Trace, event: TraceEvent | undefined): string {
  if (event === undefined) return endText(trace);
  const { role, access } = describeEvent(trace.program, event);
  const [guestAvail, guestUsed, shadowAvail, shadowUsed, deviceLastAvail, deviceUsed] = event.indices;
  const rings = `guest ${guestAvail} ${guestUsed}, shadow ${shadowAvail} ${shadowUsed}`;
  return `${role} ${access} (${rings}, device ${deviceLastAvail} ${deviceUsed})`;
}

function endText({ end }: Trace): string {
  const { violation, broken, action, forwarded, returned, quarantined } = end;
  const how = violation?.message ?? (broken === undefined ? "nothing found" : `the queue broke for ${broken}`);
  return `ends at action ${action}, ${forwarded} forwarded, ${returned} returned, ${quarantined} quarantined: ${how}`;
}
