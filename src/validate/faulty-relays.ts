import { DirtyLog } from "../dirty/dirty-log.js";
import { VRING_USED_ELEM } from "../layout/virtio-ring.js";
import { ForwardingMemory } from "../memory/forwarding-memory.js";
import { GuestMarks } from "../relay/guest-marks.js";
import type { ShadowVirtqueueParts } from "../relay/shadow-parts.js";
import type { VringAreas } from "../ring/vring-areas.js";
import { type MakeRelay, SHIPPING } from "./rig/rig.js";
import { RIG_END } from "./rig/world.js";

/** How often a faulty relay does it right before it does it wrong. */
const RIGHT_BEFORE = 3;

/** Leaves out every third mark: there are few, since the relay merges them. */
class Unmarked extends ForwardingMemory {
  #marks = 0;

  override setBits32(offset: number, bits: number): void {
    if (++this.#marks % 3 !== 0) super.setBits32(offset, bits);
  }
}

/** Does something else to every fourth word of a used entry. */
class WrongEntries extends ForwardingMemory {
  readonly #word: number;
  readonly #change: (value: number) => number;
  readonly #start: number;
  #entries = 0;

  constructor(guest: VringAreas, word: number, change: (value: number) => number) {
    super(guest.usedMemory);
    this.#word = word;
    this.#change = change;
    this.#start = guest.used + 4;
  }

  override write32(offset: number, value: number): void {
    const hit = offset >= this.#start && (offset - this.#start) % VRING_USED_ELEM.size === this.#word;
    if (hit && ++this.#entries % (RIGHT_BEFORE + 1) === 0) super.write32(offset, this.#change(value));
    else super.write32(offset, value);
  }
}

/** Stores past the end of the shadow ring, now and then. */
class Stray extends ForwardingMemory {
  #stores = 0;

  override write16(offset: number, value: number): void {
    if (++this.#stores % (RIGHT_BEFORE + 1) === 0) super.write16(this.byteLength - 2, value);
    super.write16(offset, value);
  }
}

/** Relays that go wrong now and then, so that anybody can see the oracles fail. */
export const FAULTY_RELAYS = {
  "drop-mark": (parts: ShadowVirtqueueParts) => ({
    ...parts,
    marks: new GuestMarks(unmarkedLog(parts), "all-writable", parts.guest.used, parts.guest.num, parts.counters),
  }),
  "wrong-length": (parts: ShadowVirtqueueParts) => withUsed(parts, VRING_USED_ELEM.offsets.len, (length) => length + 1),
  "wrong-head": (parts: ShadowVirtqueueParts) => withUsed(parts, VRING_USED_ELEM.offsets.id, (id) => id ^ 1),
  "stray-store": (parts: ShadowVirtqueueParts) => ({
    ...parts,
    shadow: { ...parts.shadow, availMemory: new Stray(parts.shadow.availMemory) },
  }),
} as const satisfies Record<string, (parts: ShadowVirtqueueParts) => ShadowVirtqueueParts>;
/** The name of such a relay. */
export type FaultyRelay = keyof typeof FAULTY_RELAYS;

/** The shipping relay with a fault in what it works on. */
export function faultyRelay(name: FaultyRelay): MakeRelay {
  return (parts) => SHIPPING(FAULTY_RELAYS[name](parts));
}

function unmarkedLog({ marks }: ShadowVirtqueueParts): DirtyLog | undefined {
  return marks.log === undefined ? undefined : new DirtyLog(new Unmarked(marks.log.memory), marks.log.offset, RIG_END);
}

function withUsed(parts: ShadowVirtqueueParts, word: number, change: (value: number) => number): ShadowVirtqueueParts {
  return { ...parts, guest: { ...parts.guest, usedMemory: new WrongEntries(parts.guest, word, change) } };
}
