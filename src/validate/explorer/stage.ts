import { logBytes } from "../../dirty/dirty-log.js";
import {
  availEventOffset,
  usedEventOffset,
  usedRingBytes,
  VRING_AVAIL,
  VRING_DESC,
  VRING_USED,
  VRING_USED_ELEM,
} from "../../layout/virtio-ring.js";
import { PAGE_BYTES } from "../../memory/address.js";
import type { SharedMemory } from "../../memory/shared-memory.js";
import { type VringAreas, vringOffsets } from "../../ring/vring-areas.js";

/** Where the three areas of one ring start. */
export type RingOffsets = ReturnType<typeof vringOffsets>;

/** What has a place in the memory of a play. */
export interface StageOptions {
  /** Entries of both rings. */
  readonly ring: number;
  /** Whether the relay may write the log. */
  readonly logged: boolean;
  /** Whether there is an indirect table for each head. */
  readonly tables: boolean;
  /** Which rings the device is given in turn; words to say so follow when it is more than one. */
  readonly paths: readonly ("svq" | "notify")[];
}

const POISON = 0xa5;
/** Descriptors of an indirect table. */
const TABLE_DESCRIPTORS = 2;
const TABLE_BYTES = TABLE_DESCRIPTORS * VRING_DESC.size;

/**
 * What lies where in the memory of a play: the guest's ring, the shadow ring, the log, a bell for each party.
 *
 * Behind them, where the play has them: words by which relay and device change rings, and indirect tables.
 */
export class Stage {
  readonly guest: RingOffsets;
  readonly shadow: RingOffsets;
  readonly log: number;
  readonly bells: { readonly driver: number; readonly relay: number; readonly device: number };
  /** What the relay orders and where the next ring begins; what the device answers and where it stopped. */
  readonly control: { readonly order: number; readonly start: number; readonly answer: number; readonly base: number };
  readonly #ring: number;
  readonly #options: StageOptions;
  readonly #tables: number;
  readonly #end: number;

  constructor(options: StageOptions) {
    const { ring } = options;
    this.#ring = ring;
    this.#options = options;
    this.guest = vringOffsets(ring, 0);
    this.shadow = vringOffsets(ring, align16(this.guest.used + usedRingBytes(ring)));
    this.log = align16(this.shadow.used + usedRingBytes(ring));
    const bells = this.log + logBytes(PAGE_BYTES);
    this.bells = { driver: bells, relay: bells + 4, device: bells + 8 };
    const control = bells + 12;
    this.control = { order: control, start: control + 4, answer: control + 8, base: control + 12 };
    const controlEnd = control + (options.paths.length > 1 ? 16 : 0);
    this.#tables = options.tables ? align16(controlEnd) : controlEnd;
    this.#end = this.#tables + (options.tables ? ring * TABLE_BYTES : 0);
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
    bytes.fill(0, this.log, this.#tables);
    return bytes;
  }

  /** Where the indirect table of a head is: offset and guest address. */
  table(head: number): number {
    return this.#tables + head * TABLE_BYTES;
  }

  /** The length in an entry of the guest's used ring. */
  usedLength(bytes: Uint8Array, position: number): number {
    const at = this.guest.used + VRING_USED.offsets.ring + (position & (this.#ring - 1)) * VRING_USED_ELEM.size;
    return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at + VRING_USED_ELEM.offsets.len, true);
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
    const { logged, paths } = this.#options;
    const ring = this.#ring;
    const driverArea = ({ desc, used }: RingOffsets): Range => [desc, used];
    const deviceArea = ({ used }: RingOffsets): Range => [used, used + usedRingBytes(ring)];
    const { driver, relay, device } = this.bells;
    const { order, answer } = this.control;
    const log: Range = [this.log, this.log + (logged ? logBytes(PAGE_BYTES) : 0)];
    const bells: Range[] = [driver, device].map((bell) => [bell, bell + 4]);
    const tables: Range = [this.#tables, this.#end];
    // A ring that is used a second time is cleared by the relay, the device's area too.
    const again = paths.lastIndexOf("svq") > 0 ? [deviceArea(this.shadow)] : [];
    const [orders, answers]: Range[][] = paths.length > 1 ? [[[order, answer]], [[answer, answer + 8]]] : [[], []];
    const direct = paths.includes("notify") ? [deviceArea(this.guest)] : [];
    return [
      within([driverArea(this.guest), tables, [relay, relay + 4]]),
      within([driverArea(this.shadow), deviceArea(this.guest), log, ...bells, ...again, ...orders!]),
      within([deviceArea(this.shadow), [relay, relay + 4], ...direct, ...answers!]),
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
    if (this.#options.paths.length > 1) {
      const { order, start, answer, base } = this.control;
      names.push([order, "the relay's order"], [start, "where the next ring begins"]);
      names.push([answer, "the device's answer"], [base, "where the device stopped"]);
    }
    if (this.#options.tables) names.push([this.#tables, "the indirect tables"]);
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
