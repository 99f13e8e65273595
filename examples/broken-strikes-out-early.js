/**
 * Broken on purpose: heads are struck out of the record before the guest can see that they are used. Who dies in between
 * leaves heads that are neither used nor in flight; only who kills it there sees it.
 */
import { MinimalRelay } from "./minimal-relay.js";

class StrikesOutEarly extends MinimalRelay {
  publishUsed(before) {
    const { record } = this.parts;
    if (this.guestUsed !== before) record?.returned(this.returning, this.guestUsed);
    super.publishUsed(before);
  }
}

/** @type {import("./relay-interface.js").CreateRelay} */
export const createRelay = (parts) => new StrikesOutEarly(parts);
