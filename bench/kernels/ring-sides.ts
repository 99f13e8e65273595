import { DirtyLog } from "../../src/dirty/dirty-log.js";
import { joinHalves, PAGE_BYTES } from "../../src/memory/address.js";
import { GuestMemory } from "../../src/memory/guest-memory.js";
import { LocalMemory } from "../../src/memory/local-memory.js";
import { RealMemory } from "../../src/memory/real-memory.js";
import { GuestMarks } from "../../src/relay/guest-marks.js";
import { ShadowVirtqueue } from "../../src/relay/shadow-virtqueue.js";
import { DeviceRing } from "../../src/ring/device-ring.js";
import { DriverRing, type Segment } from "../../src/ring/driver-ring.js";
import type { VringAreas } from "../../src/ring/vring-areas.js";
import { COUNTER_BLOCK_BYTES, counterBlock } from "../../src/telemetry/counters.js";
import { DESC_WORDS, MAPPING_WORDS, RELAY_HEADER, RELAY_HEADER_WORDS } from "../inputs/relay-input.js";
import { RING_HEADER as H, RING_HEADER_WORDS } from "../inputs/ring-input.js";
import { recordedMap } from "./recorded-map.js";

/** What the two threads of a ring kernel share. */
export interface RingShare {
  readonly input: Int32Array;
  readonly guest: SharedArrayBuffer;
  readonly shadow: SharedArrayBuffer;
  readonly log: SharedArrayBuffer;
  /** One word: the number of the last window that is over. */
  readonly stop: SharedArrayBuffer;
}

const FEATURES = { eventIdx: true, indirect: false };
const USED_BYTES = 1;
/** What both sides attach where nobody sleeps. */
const SILENT = { signal: () => {} };

/** The driver of a ring kernel: keeps requests in flight, of one buffer each. */
export class DriverSide {
  readonly ring: DriverRing;
  readonly #outstanding: number;
  readonly #batch: number;
  readonly #chains: Segment[][];
  #next = 0;

  constructor(share: RingShare) {
    this.ring = new DriverRing(areasOf(share, new RealMemory(share.guest)), FEATURES);
    this.#outstanding = share.input[H.outstanding]!;
    this.#batch = share.input[H.batch]!;
    this.#chains = recordedBuffers(share.input.subarray(RING_HEADER_WORDS));
  }

  /** Fills up what is in flight, a batch at a time. */
  offer(): void {
    const { ring } = this;
    while (ring.state.outstanding + this.#batch <= this.#outstanding) {
      for (let i = 0; i < this.#batch; i++) {
        ring.addChain(this.#chains[this.#next]!);
        this.#next = (this.#next + 1) % this.#chains.length;
      }
      ring.publishAvail();
    }
  }

  /** Takes back what is used; returns how many. */
  takeAll(): number {
    let taken = 0;
    while (this.ring.takeUsed()) taken++;
    return taken;
  }
}

/** The device of a ring kernel, with a relay before it or not: returns requests untouched. */
export class DeviceSide {
  readonly #ring: DeviceRing;
  readonly #batch: number;
  readonly #relay: ShadowVirtqueue | undefined;

  constructor(share: RingShare) {
    const guest = areasOf(share, new RealMemory(share.guest));
    const shadow = areasOf(share, new LocalMemory(share.shadow));
    const relayed = share.input[H.relayed] === 1;
    this.#batch = share.input[H.batch]!;
    this.#relay = relayed ? makeRelay(share, guest, shadow) : undefined;
    this.#ring = new DeviceRing(relayed ? shadow : guest, FEATURES, () => "unmapped");
  }

  /** Serves what there is, a batch at a time; the relay first, as a thread with both steps them. */
  step(): void {
    this.#relay?.step();
    const ring = this.#ring;
    for (let unpublished = 1; ring.takeAvail(); unpublished++) {
      ring.addUsed(ring.chain.head, USED_BYTES);
      if (unpublished < this.#batch) continue;
      ring.publishUsed();
      unpublished = 0;
    }
    ring.publishUsed();
  }
}

function makeRelay(share: RingShare, guest: VringAreas, shadow: VringAreas): ShadowVirtqueue {
  const relayInput = share.input.subarray(RING_HEADER_WORDS);
  const counters = counterBlock(new SharedArrayBuffer(COUNTER_BLOCK_BYTES), 0);
  const log = new DirtyLog(new RealMemory(share.log), 0, share.log.byteLength * 8 * PAGE_BYTES);
  return new ShadowVirtqueue({
    guest,
    shadow,
    guestMemory: new GuestMemory([{ gpa: 0, bytes: share.guest.byteLength, memory: guest.descMemory }]),
    map: recordedMap(relayInput),
    marks: new GuestMarks(log, "all-writable", guest.used, guest.num, counters),
    ...FEATURES,
    deviceKick: SILENT,
    guestCall: SILENT,
    counters,
    start: { lastAvailIdx: 0, usedIdx: 0 },
  });
}

function areasOf({ input }: RingShare, memory: RealMemory): VringAreas {
  const relay = input.subarray(RING_HEADER_WORDS);
  return {
    num: input[H.queueSize]!,
    descMemory: memory,
    desc: 0,
    availMemory: memory,
    avail: relay[RELAY_HEADER.avail]!,
    usedMemory: memory,
    used: relay[RELAY_HEADER.used]!,
  };
}

/** The first table of a recorded relay input as chains of one segment. */
function recordedBuffers(input: Int32Array): Segment[][] {
  const first = RELAY_HEADER_WORDS + input[RELAY_HEADER.mappings]! * MAPPING_WORDS;
  return Array.from({ length: input[RELAY_HEADER.queueSize]! }, (_, index) => {
    const at = first + index * DESC_WORDS;
    return [{ address: joinHalves(input[at]!, input[at + 1]!), bytes: input[at + 2]!, deviceWritable: true }];
  });
}
