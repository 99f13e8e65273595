import * as vu from "../../layout/vhost-user.js";
import { u16 } from "../../memory/shared-memory.js";
import type { EventFdNotifier } from "../../sys/event-fd.js";
import { decodeVringState, encodeVringFile, encodeVringState } from "../../vhost-user/payloads.js";
import type { BackEnd } from "./back-end.js";

/**
 * Asks the back end to stop a queue, and where it stands: the next available entry that it would take.
 *
 * libvhost-user closes the queue's call with that, answers at once, and gives the whole connection up when a request
 * that was in flight then finds no call to signal. So it gets one right behind the question. Throws BackEndLost.
 */
export function askVringBase(back: BackEnd, index: number, call: EventFdNotifier | undefined): number {
  const answer = back.ask(vu.VHOST_USER_GET_VRING_BASE, encodeVringState({ index, num: 0 }), [], () => {
    if (call === undefined) return;
    back.post(vu.VHOST_USER_SET_VRING_CALL, encodeVringFile({ index, hasFd: true }), [call.owned]);
  });
  return u16(decodeVringState(answer).num);
}
