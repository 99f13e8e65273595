/** Broken on purpose: the guest is told whatever length the device tells, more than there was room for included. */
import { MinimalRelay } from "./minimal-relay.js";

class WrongLength extends MinimalRelay {
  lengthFor(_chain, length) {
    return length;
  }
}

/** @type {import("./relay-interface.js").CreateRelay} */
export const createRelay = (parts) => new WrongLength(parts);
