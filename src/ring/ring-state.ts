import { u16 } from "../memory/shared-memory.js";
import { PeerFault } from "./peer-fault.js";

/** All a device half needs to go on where another left off (vhost: VHOST_GET_VRING_BASE). Plain data. */
export interface RingState {
  /** Next available entry to take; free-running. */
  readonly lastAvailIdx: number;
  /** Next used entry to fill; free-running. */
  readonly usedIdx: number;
}

/** Checks a state that came from outside: at most `num` chains in flight; throws PeerFault avail-idx-overrun. */
export function checkedRingState(state: RingState, num: number): RingState {
  const inFlight = u16(state.lastAvailIdx - state.usedIdx);
  if (inFlight > num) throw new PeerFault("avail-idx-overrun", `${inFlight} chains in flight in a queue of ${num}`);
  return state;
}
