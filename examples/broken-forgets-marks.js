/** Broken on purpose: what the device wrote is marked only when the first buffer of a chain is larger than 8 bytes. */
import { MinimalRelay } from "./minimal-relay.js";

class ForgetsMarks extends MinimalRelay {
  markWritten(chain) {
    if ((chain.writable[0]?.bytes ?? 0) > 8) super.markWritten(chain);
  }
}

/** @type {import("./relay-interface.js").CreateRelay} */
export const createRelay = (parts) => new ForgetsMarks(parts);
