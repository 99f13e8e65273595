/**
 * Broken on purpose: before it sleeps it looks whether more has come since it began to arm. What the guest offered between
 * its last step and that moment is slept over: only who tries every order of accesses sees it.
 */
import { MinimalRelay } from "./minimal-relay.js";

class LooksAway extends MinimalRelay {
  arm() {
    this.waitingThen = this.availWaiting();
    return super.arm();
  }

  nothingCame() {
    return this.availWaiting() === this.waitingThen;
  }
}

/** @type {import("./relay-interface.js").CreateRelay} */
export const createRelay = (parts) => new LooksAway(parts);
