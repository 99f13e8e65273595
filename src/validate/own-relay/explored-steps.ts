import { VRING_AVAIL, VRING_USED, VRING_USED_ELEM } from "../../layout/virtio-ring.js";
import { type Move, moveText } from "../explorer/moves.js";
import type { Stage } from "../explorer/stage.js";
import type { TimelineStep } from "../trace/timeline.js";

const STORES: ReadonlySet<Move["kind"]> = new Set(["store", "publish", "seen"]);
const IDX = VRING_AVAIL.offsets.idx;

/** The moves of an exploration as the steps of a timeline, each with the indices that all can see after it. */
export function exploredSteps(moves: readonly Move[], stage: Stage): TimelineStep[] {
  const { guest, shadow } = stage;
  const visible = new Map<number, number>();
  const indexAt = (area: number): number => visible.get(area + IDX) ?? 0;
  let seenByRelay = 0;
  let takenByRelay = 0;
  let takenByDevice = 0;
  return moves.map((move, step) => {
    const { who, kind, offset, value } = move;
    if (STORES.has(kind)) visible.set(offset, value);
    if (who === "relay" && kind === "observe" && offset === guest.avail + IDX) seenByRelay = value;
    if (who === "relay" && kind === "load" && isHead(offset - shadow.used)) takenByRelay += 1;
    // The event word behind the entries is observed; only entries are loaded.
    if (who === "device" && kind === "load" && offset > shadow.avail && offset < shadow.used) takenByDevice += 1;
    return {
      step,
      role: who === "driver" ? "guest" : (who as "relay" | "device"),
      access: moveText(move, (at) => stage.nameAt(at)).replace(/^\w+(: |'s )/, ""),
      guest: [indexAt(guest.avail), seenByRelay, indexAt(guest.used)],
      shadow: [indexAt(shadow.avail), indexAt(shadow.used), takenByRelay],
      device: [takenByDevice, indexAt(shadow.used)],
    };
  });
}

/** Whether an offset in a used ring is that of an entry's head. */
function isHead(offset: number): boolean {
  const within = offset - VRING_USED.offsets.ring;
  return within >= 0 && within % VRING_USED_ELEM.size === 0;
}
