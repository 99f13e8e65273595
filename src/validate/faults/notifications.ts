import { NOTIFIERS, notifierOffset } from "../../machine/arena.js";
import { doorbells } from "../../machine/views.js";
import { EventFd } from "../../memory/bell.js";
import { RealMemory } from "../../memory/real-memory.js";
import type { FaultKind } from "./fault-kind.js";
import type { Direction, FaultRun } from "./fault-run.js";

/** Turns that a late notification is under way at most: fewer than it takes to call a machine asleep. */
const LATE_TURNS_MAX = 150;

/** Notifications that do not come, that come late, and that come for nothing (BI-104, BI-105). */
export const NOTIFICATION_FAULTS: readonly FaultKind[] = [
  lost("kick"),
  lost("call"),
  {
    name: "late-notification",
    does: "A kick or call arrives many turns after it was sent; the machine sleeps till then and goes on by itself.",
    needs: {},
    timeouts: 0,
    positions: ({ kicks, calls }) => kicks + calls,
    inject(run, position) {
      run.onSignal = (_direction, _number, ofAll, deliver) => {
        if (ofAll === position) run.later(1 + run.choose(LATE_TURNS_MAX), deliver);
        else deliver();
      };
    },
  },
  spurious("kick", [NOTIFIERS.guestKick, NOTIFIERS.deviceKick]),
  spurious("call", [NOTIFIERS.guestCall, NOTIFIERS.deviceCall]),
];

/** Legal recovery: the next notification of the same kind, or one sleep that ends by its time limit and is counted. */
function lost(direction: Direction): FaultKind {
  return {
    name: `lost-${direction}`,
    does: `A ${direction} goes nowhere; the next one or one counted timeout of the sleeper makes up for it.`,
    needs: {},
    timeouts: 1,
    positions: (counts) => counts[`${direction}s`],
    inject(run, position) {
      run.onSignal = (sent, number, _ofAll, deliver) => {
        if (sent !== direction || number !== position) deliver();
      };
    },
  };
}

/** Legal recovery: none is needed; whoever is woken finds nothing and sleeps again. */
function spurious(direction: Direction, notifiers: readonly number[]): FaultKind {
  return {
    name: `spurious-${direction}`,
    does: `A ${direction} comes that nobody sent, on each of the two ways that there are; nothing follows from it.`,
    needs: {},
    timeouts: 0,
    positions: ({ steps }) => steps * notifiers.length,
    inject(run, position) {
      const which = notifiers[position % notifiers.length]!;
      run.at(Math.floor(position / notifiers.length), () => signal(run, which));
    },
  };
}

function signal({ machine, choose }: FaultRun, which: number): void {
  const { arena, config } = machine;
  const offset = notifierOffset(choose(config.queues), which);
  new EventFd(new RealMemory(arena.notifiers), offset, doorbells(arena.bells)).signal();
}
