import { logBytes } from "../../dirty/dirty-log.js";
import { availEventOffset, usedEventOffset, usedRingBytes, VRING_AVAIL, VRING_USED } from "../../layout/virtio-ring.js";
import { PAGE_BYTES } from "../../memory/address.js";
import type { SharedMemory } from "../../memory/shared-memory.js";
import { type VringAreas, vringOffsets } from "../../ring/vring-areas.js";

/** Where the three areas of one ring start. */
export type RingOffsets = ReturnType<typeof vringOffsets>;

const POISON = 0xa5;

/** What lies where in the memory of a play: the guest's ring, the shadow ring, the log, a bell for each party. */
export class Stage {
  readonly guest: RingOffsets;
  readonly shadow: RingOffsets;
  readonly log: number;
  readonly bells: { readonly driver: number; readonly relay: number; readonly device: number };
  readonly #ring: number;
  readonly #logged: boolean;
  readonly #end: number;

  /** For rings of `ring` entries; the log is nobody's to write unless it is used. */
  constructor(ring: number, logged: boolean) {
    this.#ring = ring;
    this.#logged = logged;
    this.guest = vringOffsets(ring, 0);
    this.shadow = vringOffsets(ring, align16(this.guest.used + usedRingBytes(ring)));
    this.log = align16(this.shadow.used + usedRingBytes(ring));
    const bells = this.log + logBytes(PAGE_BYTES);
    this.bells = { driver: bells, relay: bells + 4, device: bells + 8 };
    this.#end = bells + 12;
  }

  /** What a driver clears before it hands a ring over, the log, the bells; all else is poison. */
  bytes(): Uint8Array {
    const bytes = new Uint8Array(this.#end).fill(POISON);
    for (const { avail, used } of [this.guest, this.shadow]) {
      const ring = this.#ring;
      bytes.fill(0, avail, avail + VRING_AVAIL.offsets.ring);
      bytes.fill(0, avail + usedEventOffset(ring), avail + usedEventOffset(ring) + 2);
      bytes.fill(0, used, used + VRING_USED.offsets.ring);
      bytes.fill(0, used + availEventOffset(ring), used + availEventOffset(ring) + 2);
    }
    return bytes.fill(0, this.log);
  }

  /** How many requests all can see in the guest's used ring. */
  usedIdx(bytes: Uint8Array): number {
    const at = this.guest.used + VRING_USED.offsets.idx;
    return bytes[at]! | (bytes[at + 1]! << 8);
  }

  /** Whether all can see that a page of the guest is marked. */
  marked(bytes: Uint8Array, page: number): boolean {
    return (bytes[this.log + (page >>> 3)]! & (1 << (page & 7))) !== 0;
  }

  /** One of the rings as a party reaches it. */
  areas(offsets: RingOffsets, memory: SharedMemory): VringAreas {
    return { num: this.#ring, ...offsets, descMemory: memory, availMemory: memory, usedMemory: memory };
  }

  /** Where each party may store: its own areas, the log, and the bells of those it tells. */
  permits(): ((offset: number, bytes: number) => boolean)[] {
    const ring = this.#ring;
    const driverArea = ({ desc, used }: RingOffsets): Range => [desc, used];
    const deviceArea = ({ used }: RingOffsets): Range => [used, used + usedRingBytes(ring)];
    const { driver, relay, device } = this.bells;
    const log: Range = [this.log, this.log + (this.#logged ? logBytes(PAGE_BYTES) : 0)];
    const bells: Range[] = [driver, device].map((bell) => [bell, bell + 4]);
    return [
      within([driverArea(this.guest), [relay, relay + 4]]),
      within([driverArea(this.shadow), deviceArea(this.guest), log, ...bells]),
      within([deviceArea(this.shadow), [relay, relay + 4]]),
    ];
  }

  /** A name for an offset. */
  nameAt(offset: number): string {
    const ring = this.#ring;
    const ringNames = (whose: string, { desc, avail, used }: RingOffsets): [number, string][] => [
      [desc, `${whose} descriptors`],
      [avail, `${whose} avail flags`],
      [avail + VRING_AVAIL.offsets.idx, `${whose} avail idx`],
      [avail + VRING_AVAIL.offsets.ring, `${whose} avail ring`],
      [avail + usedEventOffset(ring), `${whose} used_event`],
      [used, `${whose} used flags`],
      [used + VRING_USED.offsets.idx, `${whose} used idx`],
      [used + VRING_USED.offsets.ring, `${whose} used ring`],
      [used + availEventOffset(ring), `${whose} avail_event`],
    ];
    const bells = Object.entries(this.bells).map(([who, at]): [number, string] => [at, `the ${who}'s bell`]);
    const names = [...ringNames("guest", this.guest), ...ringNames("shadow", this.shadow)];
    names.push([this.log, "the log"], ...bells);
    const [at, name] = names.findLast(([start]) => start <= offset)!;
    return at === offset ? name : `${name} + ${offset - at}`;
  }
}

type Range = readonly [from: number, end: number];

function within(ranges: readonly Range[]): (offset: number, bytes: number) => boolean {
  return (offset, bytes) => ranges.some(([from, end]) => offset >= from && offset + bytes <= end);
}

function align16(offset: number): number {
  return Math.ceil(offset / 16) * 16;
}
