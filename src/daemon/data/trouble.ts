import { PeerFault } from "../../ring/peer-fault.js";
import { EventFdFault } from "../../sys/event-fd.js";
import { MappingFault } from "../../sys/mapping.js";
import { NativeError } from "../../sys/native.js";
import { MessageFault } from "../../vhost-user/message-fault.js";
import { BackEndRefused } from "./back-end.js";

/** Whether an error is something that a front end has brought about: it costs its connection at most. */
export function isPeerTrouble(error: unknown): error is Error {
  return [MessageFault, MappingFault, EventFdFault, PeerFault, NativeError, BackEndRefused].some(
    (kind) => error instanceof kind,
  );
}
