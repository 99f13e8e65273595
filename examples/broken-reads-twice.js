/** Broken on purpose: a head is read, found to be in range, and read again to be used; a guest can change it between. */
import { MinimalRelay } from "./minimal-relay.js";

class ReadsTwice extends MinimalRelay {
  nextHead() {
    const head = super.nextHead();
    return head < this.parts.guest.num ? super.nextHead() : head;
  }
}

/** @type {import("./relay-interface.js").CreateRelay} */
export const createRelay = (parts) => new ReadsTwice(parts);
