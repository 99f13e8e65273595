import type { FaultKind } from "./fault-kind.js";
import type { FaultRun } from "./fault-run.js";
import { SEATS } from "./whole-machine.js";

/** Turns that a peer stands still at most. */
const STALL_TURNS_MAX = 400;
/** Device steps that a late completion takes at most. */
const LATE_STEPS_MAX = 60;
/** How far a clock jumps, in nanoseconds: 18 minutes. */
const JUMP_NS = 2 ** 40;
/** The last step that a device can count in 32 bits. */
const LAST_STEP = 0x7fff_ffff;

/** What comes later than it should, or in another order, or at another time. */
export const TIMING_FAULTS: readonly FaultKind[] = [
  {
    name: "stalled-peer",
    does: "Driver, relay or device takes no turn for a while; the others wait, and all goes on when it comes back.",
    needs: {},
    timeouts: 0,
    positions: ({ steps }) => steps * SEATS.length,
    inject(run, position) {
      const seat = SEATS[position % SEATS.length]!;
      run.at(Math.floor(position / SEATS.length), () => {
        run.machine.stall(seat, true);
        run.later(1 + run.choose(STALL_TURNS_MAX), () => run.machine.stall(seat, false));
      });
    },
  },
  {
    name: "late-completion",
    does: "One request is served late, and with it those behind it; they come back all the same, once.",
    needs: { order: "in-order", delaySteps: 1 },
    timeouts: 0,
    positions: ({ requests }) => requests,
    inject: late,
  },
  {
    name: "out-of-order-completion",
    does: "One request is overtaken by all that come behind it for a while; the others take its place in the rings.",
    needs: { order: "out-of-order", delaySteps: 1, depth: 4 },
    timeouts: 0,
    positions: ({ requests }) => requests,
    inject: late,
  },
  {
    name: "clock-jump",
    does: "The driver's clock jumps 18 minutes ahead or back, or the device's count of steps to its end.",
    needs: { delaySteps: 5 },
    timeouts: 0,
    positions: ({ steps }) => steps * 3,
    inject(run, position) {
      const jump = position % 3;
      run.at(Math.floor(position / 3), () => {
        if (jump < 2) run.clockOffsetNs += jump === 0 ? JUMP_NS : -JUMP_NS;
        for (const { state } of run.machine.device.parts()) {
          if (jump === 2 && "step" in state) state["step"] = LAST_STEP - run.choose(8);
        }
      });
    },
  },
];

/** Makes one request take longer than the others. */
function late(run: FaultRun, position: number): void {
  run.onRequest = (number) => {
    run.behaviour.delaySteps = number === position ? 2 + run.choose(LATE_STEPS_MAX) : 1;
  };
}
