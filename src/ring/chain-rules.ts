import { VRING_DESC, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE } from "../layout/virtio-ring.js";
import { faultCode } from "./peer-fault.js";

/**
 * The rules of a chain, once: both walkers (the one-chain form here, the streaming form of the relay) call them.
 *
 * Each returns a fault code (0 = fine, see faultReason), so that a loop can note it, tidy up and only then throw.
 */

const NEXT = VRING_DESC_F_NEXT;
const WRITE = VRING_DESC_F_WRITE;
const DESC_SIZE = VRING_DESC.size;

const READABLE_AFTER_WRITABLE = faultCode("readable-after-writable");
const INDIRECT_NOT_NEGOTIATED = faultCode("indirect-not-negotiated");
const INDIRECT_NESTED = faultCode("indirect-nested");
const INDIRECT_WITH_NEXT = faultCode("indirect-with-next");
const INDIRECT_LENGTH = faultCode("indirect-length");
const CHAIN_TOO_LONG = faultCode("chain-too-long");

/** A buffer descriptor after others: readable elements come first (2.7.4.2); `flagsSeen` is the OR of those before. */
export function orderFault(flags: number, flagsSeen: number): number {
  return (flagsSeen & WRITE) !== 0 && (flags & WRITE) === 0 ? READABLE_AFTER_WRITABLE : 0;
}

/**
 * A descriptor that points at an indirect table of `bytes` bytes (2.7.5.3).
 *
 * `before` descriptors stood in the chain before it: direct ones may (2.7.5.3.2), and the whole chain still has at most
 * `num` (2.7.5.3.1). WRITE on the pointer is ignored, as the specification asks.
 */
export function indirectFault(
  flags: number,
  bytes: number,
  negotiated: boolean,
  nested: boolean,
  before: number,
  num: number,
): number {
  if (nested) return INDIRECT_NESTED;
  if (!negotiated) return INDIRECT_NOT_NEGOTIATED;
  if ((flags & NEXT) !== 0) return INDIRECT_WITH_NEXT;
  if (bytes === 0 || bytes % DESC_SIZE !== 0) return INDIRECT_LENGTH;
  return before + bytes / DESC_SIZE > num ? CHAIN_TOO_LONG : 0;
}
