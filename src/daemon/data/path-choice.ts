import { MessageFault } from "../../vhost-user/message-fault.js";
import type { Datapath, PathInUse } from "./device-events.js";

/** Which data path a device is on, and which it has to be on: whoever logs has to see every write. */
export class PathChoice {
  current: PathInUse;
  /** Whether the back end has agreed to log what it writes while it works on the guest's own rings. */
  readonly backCanLog: boolean;
  #wanted: Datapath;

  /** `backLogs`: the back end can log, and is let. It is asked to only by a device that begins on passthrough. */
  constructor(wanted: Datapath, backLogs: boolean) {
    this.#wanted = wanted;
    this.current = wanted === "svq" ? "svq" : "passthrough";
    this.backCanLog = wanted === "passthrough" && backLogs;
  }

  /** Asks for a path; throws MessageFault when that would change who logs in the middle of it. */
  ask(wanted: Datapath, logging: boolean): void {
    if (logging && wanted !== "auto" && wanted !== this.current) {
      throw new MessageFault("wrong-state", "who logs what is written cannot change in the middle of it");
    }
    this.#wanted = wanted;
  }

  /** The path to be on: what was asked for, unless what is written then would not be logged. */
  target(logging: boolean): PathInUse {
    if (logging) return this.backCanLog && this.current === "passthrough" ? "passthrough" : "svq";
    return this.#wanted === "svq" ? "svq" : "passthrough";
  }
}
