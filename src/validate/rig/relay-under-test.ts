import { GuestMarks } from "../../relay/guest-marks.js";
import type { ShadowVirtqueueParts } from "../../relay/shadow-parts.js";
import { ShadowVirtqueue } from "../../relay/shadow-virtqueue.js";
import type { Accounting } from "../../ring/driver-ring.js";
import type { VringAreas } from "../../ring/vring-areas.js";
import type { Ground } from "./ground.js";
import type { WatchedMemory } from "./watched-memory.js";
import { SPACE, type World } from "./world.js";

/** What a rig asks of a relay: the shipping one, a mutant, or somebody's own. */
export interface RelayUnderTest {
  /** Moves what there is to move; false when there was nothing. Throws PeerFault to give the queue up. */
  step(): boolean;
  /** Asks to be told of more, then looks again; true when sleeping is safe. */
  arm(): boolean;
  /** Marks what the device may have written to chains that will not come back. */
  abandon(): void;
  /** Where the descriptors of its shadow ring are. */
  accounting?(): Accounting;
}

/** Makes the relay of a rig. */
export type MakeRelay = (parts: ShadowVirtqueueParts) => RelayUnderTest;

/** The shipping relay. */
export const SHIPPING: MakeRelay = (parts) => new ShadowVirtqueue(parts);

/** What the relay of a rig is made of; `told` hears of its kicks and calls. */
export function relayParts(
  { setup, guestRing, shadowRing }: World,
  ground: Ground,
  told: { kick(): void; call(): void },
): ShadowVirtqueueParts {
  const { counters } = ground;
  const log = setup.log ? ground.log : undefined;
  return {
    guest: areasIn(ground.memories[SPACE.low]!, setup.num, guestRing),
    shadow: areasIn(ground.memories[SPACE.shadow]!, setup.shadowNum, shadowRing),
    guestMemory: ground.guestMemory,
    map: ground.mapOf(setup.map),
    marks: new GuestMarks(log, "all-writable", guestRing.used, setup.num, counters),
    eventIdx: setup.eventIdx,
    indirect: setup.indirect,
    deviceKick: { signal: () => told.kick() },
    guestCall: { signal: () => told.call() },
    counters,
    start: { lastAvailIdx: setup.start, usedIdx: setup.start },
  };
}

/** All three areas in one memory. Spelled out, as it is done for each run: a spread takes ten times as long. */
function areasIn(memory: WatchedMemory, num: number, { desc, avail, used }: World["guestRing"]): VringAreas {
  return { num, descMemory: memory, desc, availMemory: memory, avail, usedMemory: memory, used };
}
