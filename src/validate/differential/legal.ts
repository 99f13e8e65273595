import type { FaultReason } from "../../ring/peer-fault.js";
import { BUFFERS_GPA, GUEST_RING, RIG_REGIONS, SPACE, type World } from "../rig/world.js";
import type { GuestProgram } from "./guest-program.js";
import { NEVER } from "./scripted-guest.js";
import type { Wired, Wiring } from "./wirings.js";

/** What a guest may see differ between the direct wiring and another one, and why; all else is compared exactly. */
export const LEGAL_DIFFERENCES = {
  notifications: "how often it kicks and is called: only whoever sleeps has to be woken, and the program hangs if not",
  "event words": "used.flags and avail_event: they speak of what the other side has seen, which a relay sees first",
  "used order": "when a device completes out of order, what it has to choose from depends on when it looks",
  "refused late":
    "a chain that costs only itself waits in a relay until those before it are back; then order is the same",
  clamped: "a length above what the device could write reaches the guest as what it could write (svq)",
  "never fits": "a chain of more pieces than the shadow ring has comes back unused (svq)",
  "shape first":
    "a device half judges a whole chain before it translates: one that is wrong both ways breaks its queue",
  "empty chain": "a relay returns it unused, a device has nothing to write: the guest sees length 0 either way",
  "at a break": "which of the chains before the faulty one came back; the faulty one and those behind it never do",
} as const;

/** What differs between the direct run of a program and another that must not; undefined when nothing does. */
export function illegalDifference(
  program: GuestProgram,
  direct: Wired,
  other: Wired,
  wiring: Wiring,
): string | undefined {
  const stray = direct.guest.strays[0] ?? other.guest.strays[0];
  if (stray !== undefined) return stray;
  if (other.astray !== undefined) return `the device cannot make sense of its ring: ${other.astray}`;
  const due = dueBreak(direct, other, wiring);
  if (due !== other.broken) return `broken for ${other.broken ?? "nothing"}, where ${due ?? "nothing"} is due`;
  return outcomeDifference(direct, other, wiring) ?? wholeDifference(program, direct, other, wiring);
}

/** Why another wiring has to break its queue: the last request of a program is the only one that may be at fault. */
function dueBreak(direct: Wired, { world }: Wired, wiring: Wiring): FaultReason | undefined {
  const views = direct.facts[direct.guest.outcomes.length - 1]?.views;
  if (wiring === "svq") return views?.neverFits === true ? undefined : direct.broken;
  if (wiring === "device-half") return views?.shape ?? direct.broken;
  return direct.broken ?? (world.setup.log ? views?.shape : undefined);
}

function outcomeDifference(direct: Wired, other: Wired, wiring: Wiring): string | undefined {
  const broken = direct.broken !== undefined || other.broken !== undefined;
  const [a, b] = [direct.guest, other.guest];
  if (!broken && a.outcomes.length !== b.outcomes.length) {
    return `${b.outcomes.length} chains offered, directly ${a.outcomes.length}`;
  }
  for (let at = 0; at < Math.min(a.outcomes.length, b.outcomes.length); at++) {
    const seen = b.outcomes[at]!;
    if (broken && (seen === NEVER || a.outcomes[at] === NEVER)) continue;
    const due = dueOutcome(direct, at, wiring);
    const what = `chain ${at} (request ${a.requests[at]})`;
    if (due.length === NEVER || seen === NEVER) return `${what} never came back`;
    if (seen !== due.length) return `${what} came back with ${seen} bytes, ${due.length} are due`;
    if (!due.unused && a.contents[at] !== b.contents[at]) return `the buffers of ${what} hold other bytes`;
  }
  return faultyOutcome(direct) ?? faultyOutcome(other);
}

/** What another wiring owes the guest where the direct one gave it this. */
function dueOutcome(direct: Wired, at: number, wiring: Wiring): { length: number; unused: boolean } {
  const length = direct.guest.outcomes[at]!;
  const fact = direct.facts[at];
  if (wiring !== "svq" || fact === undefined || length === NEVER) return { length, unused: false };
  if (fact.views.neverFits) return { length: 0, unused: true };
  return { length: Math.min(length, fact.writableBytes), unused: false };
}

/** The faulty request of a program is its last, and no part of it that broke the queue comes back. */
function faultyOutcome({ guest, broken }: Wired): string | undefined {
  if (broken === undefined) return undefined;
  const last = guest.outcomes.length - 1;
  const came = guest.outcomes[last] !== NEVER;
  return came ? `chain ${last}, for which the queue broke, came back` : undefined;
}

/** What only holds of runs without a break: the index, the order where the device keeps it, and all of guest RAM. */
function wholeDifference(program: GuestProgram, direct: Wired, other: Wired, wiring: Wiring): string | undefined {
  if (direct.broken !== undefined || other.broken !== undefined) return undefined;
  const [a, b] = [direct.guest, other.guest];
  if (a.used !== b.used) return `used.idx moved by ${b.used}, directly by ${a.used}`;
  const refused = direct.facts.some((fact) => fact.refused !== undefined);
  if (program.inOrder && !refused) {
    for (const { order } of [a, b]) {
      if (order.some((position, i) => position !== i)) return `came back as ${order.join(" ")} from a device in order`;
    }
  }
  const neverFits = wiring === "svq" && direct.facts.some(({ views }) => views.neverFits);
  return neverFits ? undefined : ramDifference(direct.world, other.world);
}

/** Guest RAM but for the ring and the indirect tables, which lie where the guest's free descriptors are. */
function ramDifference(a: World, b: World): string | undefined {
  for (const [space, { gpa, bytes }] of RIG_REGIONS.entries()) {
    const starts = space === SPACE.low ? [0, BUFFERS_GPA] : [0];
    for (const start of starts) {
      const length = (start === 0 && space === SPACE.low ? GUEST_RING : bytes) - start;
      const [left, right] = [a, b].map((world) => Buffer.from(world.buffers[space]!, start, length));
      if (left!.equals(right!)) continue;
      return `guest RAM differs at ${gpa + start + left!.findIndex((byte, i) => byte !== right![i])}`;
    }
  }
  return undefined;
}
