import { assert } from "../../memory/assert.js";
import type { ShadowVirtqueueParts } from "../../relay/shadow-parts.js";
import { ShadowVirtqueue } from "../../relay/shadow-virtqueue.js";
import { DeviceRing } from "../../ring/device-ring.js";
import { DriverRing } from "../../ring/driver-ring.js";
import type { Party, PartyMemory } from "./automaton.js";
import { deviceParty, type PlayedPath } from "./device-party.js";
import { driverParty } from "./driver-party.js";
import type { ThreePartyPlay } from "./explorer.js";
import type { Judge } from "./images.js";
import { relayParts, relayParty } from "./relay-party.js";
import { Requests } from "./requests.js";
import { Stage } from "./stage.js";

/** The classes that play: the shipping ones, or faulty copies of them. */
export interface Cast {
  readonly DriverRing: typeof DriverRing;
  readonly ShadowVirtqueue: typeof ShadowVirtqueue;
  readonly DeviceRing: typeof DeviceRing;
}

/** What is played. */
export interface PlayOptions {
  /** Entries of both rings. */
  readonly ring: number;
  readonly requests: number;
  readonly eventIdx: boolean;
  /** Whether the relay marks what is written. */
  readonly log: boolean;
  /** Descriptors of a request: 1 unless said, a writable buffer; 2 is a readable one before it. */
  readonly chain?: 1 | 2 | undefined;
  /** Whether each chain stands in an indirect table. */
  readonly indirect?: boolean | undefined;
  /** Whether the device completes in the order offered ("fifo", unless said) or in any. */
  readonly order?: "fifo" | "any" | undefined;
  /** The paths that the relay goes through, moving on at any time; one shadow virtqueue unless said. */
  readonly paths?: readonly PlayedPath[] | undefined;
  readonly make?: Partial<Cast> | undefined;
  /** Stands in for the shipping relay, over one path. */
  readonly relay?: ((seat: RelaySeat) => Party) | undefined;
}

/** Where a relay sits: what it is made of, over the memory of a party, and the bell that wakes it. */
export interface RelaySeat {
  partsOver(memory: PartyMemory): ShadowVirtqueueParts;
  readonly bell: number;
}

/** A driver, a relay and a device that sleep whenever they may, over rings of one size each. */
export function threePartyPlay(options: PlayOptions): ThreePartyPlay {
  const { ring, log, requests: count, chain = 1, indirect = false, order = "fifo", paths = ["svq"] } = options;
  assert(order === "fifo" || count <= ring, "what came back out of order is told by entries that stay");
  assert(!log || paths.every((path) => path === "svq"), "only a shadow virtqueue marks");
  const stage = new Stage({ ring, logged: log, tables: indirect, paths });
  const requests = new Requests(count, chain);
  const cast = { DriverRing, ShadowVirtqueue, DeviceRing, ...options.make };
  const scene = { ...options, ...cast, stage, requests, chain, indirect, order, paths };
  const seat: RelaySeat = { partsOver: (memory) => relayParts(scene, memory), bell: stage.bells.relay };
  const relay = options.relay?.(seat) ?? relayParty(scene);
  return {
    parties: [driverParty({ ...scene, inOrder: order === "fifo" }), relay, deviceParty(scene)],
    bytes: stage.bytes(),
    judge: judgeOf(stage, requests, log, order === "fifo"),
    judgeEnd: (bytes) => {
      const used = stage.usedIdx(bytes);
      if (used !== count) return `${used} requests are used of ${count}`;
      return log && !stage.marked(bytes, 0) ? "the guest's used ring is not marked" : undefined;
    },
    permits: stage.permits(),
    nameAt: (offset) => stage.nameAt(offset),
  };
}

/** What may be said of memory alone: no more is used than was asked for, and what is used was marked before. */
function judgeOf(stage: Stage, requests: Requests, log: boolean, inOrder: boolean): Judge {
  return (bytes) => {
    const used = stage.usedIdx(bytes);
    if (used > requests.count) return `${used} requests are used of ${requests.count}`;
    const seen = new Set<number>();
    for (let position = 0; position < used; position++) {
      const request = inOrder ? position : requests.ofLength(stage.usedLength(bytes, position));
      if (request < 0 || seen.has(request)) return `used entry ${position} is of no request`;
      seen.add(request);
      if (!log) continue;
      const missing = requests.writtenPages(request).some((page) => !stage.marked(bytes, page));
      if (missing) return `request ${request} is used and not yet marked`;
    }
    return undefined;
  };
}
