import type { SharedMemory } from "../../memory/shared-memory.js";
import { InflightRecord } from "../../relay/inflight-record.js";
import { recordedQueue, recoveredQueue } from "../../relay/recorded-queue.js";
import type { ShadowVirtqueueParts } from "../../relay/shadow-parts.js";
import { ShadowVirtqueue } from "../../relay/shadow-virtqueue.js";
import type { RelayUnderTest } from "../rig/relay-under-test.js";

/** The relays that are killed and that take over, with the memory that outlives them. */
export interface CrashRelays {
  /** The first one. */
  start(parts: ShadowVirtqueueParts, record: SharedMemory): RelayUnderTest;
  /** One that takes over from a dead one; reads where the queue stands from ring and record. */
  restart(parts: ShadowVirtqueueParts, record: SharedMemory): RelayUnderTest;
}

/** The shipping queue and record. */
export const SHIPPING_CRASH: CrashRelays = {
  start: (parts, memory) => new ShadowVirtqueue(recordedQueue(parts, recordIn(parts, memory))),
  restart: (parts, memory) => new ShadowVirtqueue(recoveredQueue(parts, recordIn(parts, memory))),
};

function recordIn({ guest }: ShadowVirtqueueParts, memory: SharedMemory): InflightRecord {
  return new InflightRecord(memory, 0, guest.num);
}
