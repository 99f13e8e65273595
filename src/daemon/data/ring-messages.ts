import * as vu from "../../layout/vhost-user.js";
import type { EventFdNotifier } from "../../sys/event-fd.js";
import { encodeVringAddr, encodeVringFile, encodeVringState, type VringAddr } from "../../vhost-user/payloads.js";
import type { BackEnd } from "./back-end.js";

/** What a back end has to know of a ring before it works on it. */
export interface BackRing {
  readonly num: number;
  /** The next available entry to take. */
  readonly base: number;
  readonly addr: VringAddr;
  readonly call: EventFdNotifier | undefined;
  readonly kick: EventFdNotifier | undefined;
}

/** Tells a back end of a ring, its kick last: with that it starts. Throws BackEndRefused, BackEndLost. */
export function tellRing(back: BackEnd, { num, base, addr, call, kick }: BackRing): void {
  const { index } = addr;
  back.tell(vu.VHOST_USER_SET_VRING_NUM, encodeVringState({ index, num }));
  back.tell(vu.VHOST_USER_SET_VRING_BASE, encodeVringState({ index, num: base }));
  back.tell(vu.VHOST_USER_SET_VRING_ADDR, encodeVringAddr(addr));
  tellFile(back, vu.VHOST_USER_SET_VRING_CALL, index, call);
  tellFile(back, vu.VHOST_USER_SET_VRING_KICK, index, kick);
}

/** Tells a back end of a queue's kick or call; undefined is none. */
export function tellFile(back: BackEnd, request: number, index: number, notifier: EventFdNotifier | undefined): void {
  const fds = notifier === undefined ? [] : [notifier.owned];
  back.tell(request, encodeVringFile({ index, hasFd: fds.length === 1 }), fds);
}
