import { assert } from "../memory/assert.js";
import type { MemRegion } from "./memory-regions.js";
import type { VringAddr } from "./payloads.js";

/** What the messages so far have said of one queue; plain data, kept by whoever answers them. */
export interface RingSession {
  /** Entries; 0 before SET_VRING_NUM. */
  num: number;
  addr: VringAddr | undefined;
  base: number;
  /** Whether SET_VRING_KICK has come since the queue was last stopped. */
  kick: boolean;
  enabled: boolean;
  /** Between its start and GET_VRING_BASE. */
  running: boolean;
}

/** What the messages so far have said; plain data, kept by whoever answers them, read by `checkMessage`. */
export interface Session {
  /** Whether SET_OWNER has come. */
  owner: boolean;
  featuresOffered: bigint;
  /** Undefined before SET_FEATURES. */
  featuresAcked: bigint | undefined;
  protocolFeaturesOffered: bigint;
  /** Undefined before SET_PROTOCOL_FEATURES. */
  protocolFeaturesAcked: bigint | undefined;
  /** Regions there may be at a time. */
  memSlots: number;
  regions: readonly MemRegion[];
  readonly rings: readonly RingSession[];
}

/** What a new session offers. */
export interface SessionOffer {
  readonly ringCount: number;
  readonly features: bigint;
  readonly protocolFeatures: bigint;
  readonly memSlots: number;
}

/** A session in which nothing has been said; queues are 1 to 256. */
export function newSession(offer: SessionOffer): Session {
  assert(offer.ringCount >= 1 && offer.ringCount <= 256, "eight bits name a queue");
  return {
    owner: false,
    featuresOffered: offer.features,
    featuresAcked: undefined,
    protocolFeaturesOffered: offer.protocolFeatures,
    protocolFeaturesAcked: undefined,
    memSlots: offer.memSlots,
    regions: [],
    rings: Array.from({ length: offer.ringCount }, newRing),
  };
}

/** A queue of which nothing has been said. */
export function newRing(): RingSession {
  return { num: 0, addr: undefined, base: 0, kick: false, enabled: false, running: false };
}
