import { logBytes } from "../../dirty/dirty-log.js";
import type { GpaMapping } from "../../iova/gpa-map.js";
import { VHOST_ACCESS_RO, VHOST_ACCESS_RW } from "../../layout/vhost.js";
import { FRAME_SPAN_BYTES, type Gpa, type Iova, PAGE_BYTES } from "../../memory/address.js";
import { vringBytes, vringOffsets } from "../../ring/vring-areas.js";
import type { Poke } from "./program.js";
import { Sheet } from "./sheet.js";

/** What a rig is to be: plain data, part of every trace. */
export interface RigSetup {
  /** Descriptors of the guest's ring, and of the shadow ring; powers of two up to RING_NUM_MAX. */
  readonly num: number;
  readonly shadowNum: number;
  readonly eventIdx: boolean;
  readonly indirect: boolean;
  readonly log: boolean;
  /** One mapping a region; many small ones with a read-only and an unmapped page; or huge ones. */
  readonly map: keyof typeof RIG_MAPPINGS;
  /** Where both indices of the guest's ring start; free-running. */
  readonly start: number;
}

/** The largest ring of a rig. */
export const RING_NUM_MAX = 16;
/** Guest RAM of a rig: two regions with a hole between them. */
export const RIG_REGIONS = [
  { gpa: 0, bytes: 8 * PAGE_BYTES },
  { gpa: 2 ** 20, bytes: 4 * PAGE_BYTES },
] as const;
/** Where the guest's ring is. */
export const GUEST_RING = PAGE_BYTES;
/** Where a guest keeps its indirect tables: a page. */
export const TABLES_GPA = 2 * PAGE_BYTES;
/** First address of what is free for buffers. */
export const BUFFERS_GPA = 3 * PAGE_BYTES;
/** With `map: "split"`: a page that the device may only read. */
export const READ_ONLY_GPA = 6 * PAGE_BYTES;
/** With `map: "split"`: a page that the device cannot reach. */
export const UNMAPPED_GPA = 7 * PAGE_BYTES;
/** With `map: "wide"`, for rigs without a log: the bytes of each of two huge mappings without RAM. */
export const WIDE_BYTES = 2 ** 34;
/** Where one of these is, above 4 GiB. */
export const WIDE_GPA = 2 ** 33;
/** Where the other is: up to the last page of all. */
export const WIDE_TOP_GPA = FRAME_SPAN_BYTES - WIDE_BYTES;
/** What all IOVAs of a rig are above. */
export const RIG_IOVA_BASE = 2 ** 40;
/** Bytes around a shadow ring that nobody may touch. */
export const CANARY_BYTES = 64;
/** One past the last guest address. */
export const RIG_END = RIG_REGIONS[1].gpa + RIG_REGIONS[1].bytes;
/** Pages of the log. */
export const RIG_PAGES = RIG_END / PAGE_BYTES;

/** Which buffer an access goes to. */
export const SPACE = { low: 0, high: 1, shadow: 2, log: 3 } as const;

/** The bytes of a world, by SPACE. */
export interface WorldBytes {
  readonly sheets: readonly Sheet[];
  readonly buffers: readonly ArrayBuffer[];
  readonly views: readonly DataView[];
}

/** Bytes for a world with a shadow ring of `shadowNum` entries. */
export function worldBytes(shadowNum: number, shared?: readonly Sheet[]): WorldBytes {
  const sheets = spaceSheets(shadowNum, shared);
  const buffers = sheets.map(({ bytes }) => bytes.buffer);
  return { sheets, buffers, views: buffers.map((buffer) => new DataView(buffer)) };
}

/** A sheet for each space of such a world; `shared` are another's, of which all but the shadow ring's will do. */
export function spaceSheets(shadowNum: number, shared?: readonly Sheet[]): Sheet[] {
  const shadowBytes = Math.ceil((vringBytes(shadowNum) + 2 * CANARY_BYTES) / 16) * 16;
  const lengths = [RIG_REGIONS[0].bytes, RIG_REGIONS[1].bytes, shadowBytes, logBytes(RIG_END)];
  return lengths.map((length, space) => (space === SPACE.shadow ? undefined : shared?.[space]) ?? new Sheet(length));
}

/** The bytes of a rig: what guest, relay, device and migration share. */
export class World {
  readonly setup: RigSetup;
  /** Guest addresses of the guest's ring; offsets of the shadow ring in its buffer. */
  readonly guestRing: ReturnType<typeof vringOffsets>;
  readonly shadowRing: ReturnType<typeof vringOffsets>;
  /** By SPACE: guest RAM below the hole, above it, the shadow ring, the log. */
  readonly buffers: readonly ArrayBuffer[];
  readonly views: readonly DataView[];
  readonly mappings: readonly GpaMapping[];
  readonly #sheets: readonly Sheet[];

  /** On fresh bytes unless it is given some, all zero. */
  constructor(setup: RigSetup, { sheets, views, buffers }: WorldBytes = worldBytes(setup.shadowNum)) {
    this.setup = setup;
    this.guestRing = vringOffsets(setup.num, GUEST_RING);
    this.shadowRing = vringOffsets(setup.shadowNum, CANARY_BYTES);
    this.#sheets = sheets;
    this.buffers = buffers;
    this.views = views;
    this.mappings = RIG_MAPPINGS[setup.map];
    this.set16(this.guestRing.avail + 2, setup.start);
    this.set16(this.guestRing.used + 2, setup.start);
  }

  /** Whoever stores to `views` says so. */
  touch(space: number, offset: number, bytes: number): void {
    this.#sheets[space]!.touch(offset, bytes);
  }

  /** A store past all rules; false where there is no such place. */
  poke({ space, offset, width, value }: Poke): boolean {
    const view = this.views[space];
    if (view === undefined || offset < 0 || offset + width > view.byteLength) return false;
    if (width === 1) view.setUint8(offset, value);
    else if (width === 2) view.setUint16(offset, value, true);
    else view.setUint32(offset, value, true);
    this.touch(space, offset, width);
    return true;
  }

  /** The view and offset of a guest address, undefined in the hole and beyond. */
  at(gpa: number): { view: DataView; space: number; offset: number } | undefined {
    for (let space = 0; space < RIG_REGIONS.length; space++) {
      const { gpa: start, bytes } = RIG_REGIONS[space]!;
      if (gpa >= start && gpa < start + bytes) return { view: this.views[space]!, space, offset: gpa - start };
    }
    return undefined;
  }

  /** A byte of guest RAM; undefined in the hole. */
  byte(gpa: number): number | undefined {
    const place = this.at(gpa);
    return place?.view.getUint8(place.offset);
  }

  /** Writes `bytes` times a byte. */
  fill(space: number, offset: number, bytes: number, value: number): void {
    this.#sheets[space]!.bytes.fill(value, offset, offset + bytes);
    this.touch(space, offset, bytes);
  }

  /** Writes a byte of guest RAM; throws RangeError in the hole. */
  setByte(gpa: number, value: number): void {
    const place = this.at(gpa);
    if (place === undefined) throw new RangeError(`no RAM at ${gpa}`);
    place.view.setUint8(place.offset, value);
    this.touch(place.space, place.offset, 1);
  }

  /** A word of the guest's ring or its tables, which lie below the hole. */
  get16(gpa: number): number {
    return this.views[SPACE.low]!.getUint16(gpa, true);
  }

  /** Writes such a word. */
  set16(gpa: number, value: number): void {
    this.views[SPACE.low]!.setUint16(gpa, value, true);
    this.touch(SPACE.low, gpa, 2);
  }

  /** The guest address behind an IOVA, as a device reaches it for a read or a write; undefined where it may not. */
  translate(iova: number, writes: boolean): number | undefined {
    for (let i = 0; i < this.mappings.length; i++) {
      const mapping = this.mappings[i]!;
      if (iova < mapping.iova || iova >= mapping.iova + mapping.bytes) continue;
      return writes && mapping.perm === VHOST_ACCESS_RO ? undefined : mapping.gpa + (iova - mapping.iova);
    }
    return undefined;
  }
}

const FLAT = RIG_REGIONS.map(({ gpa, bytes }, i) => mapping(gpa, bytes / PAGE_BYTES, 64 * (i + 1)));
const HIGH_PAGE = RIG_REGIONS[1].gpa / PAGE_BYTES;
const SPLIT = [
  mapping(0, 3, 96),
  mapping(3 * PAGE_BYTES, 2, 16),
  mapping(5 * PAGE_BYTES, 1, 160),
  mapping(READ_ONLY_GPA, 1, 161, VHOST_ACCESS_RO),
  mapping(HIGH_PAGE * PAGE_BYTES, 2, 8),
  mapping((HIGH_PAGE + 2) * PAGE_BYTES, 2, 200),
];
const WIDE = [
  mapping(0, RIG_REGIONS[0].bytes / PAGE_BYTES, 64),
  mapping(WIDE_GPA, WIDE_BYTES / PAGE_BYTES, WIDE_GPA / PAGE_BYTES),
  mapping(WIDE_TOP_GPA, WIDE_BYTES / PAGE_BYTES, (4 * WIDE_BYTES) / PAGE_BYTES),
];
/** What a device reaches, by the name that a set-up gives it. */
export const RIG_MAPPINGS = { flat: FLAT, split: SPLIT, wide: WIDE } as const;

function mapping(gpa: number, pages: number, iovaPage: number, perm: number = VHOST_ACCESS_RW): GpaMapping {
  return { gpa: gpa as Gpa, bytes: pages * PAGE_BYTES, iova: (RIG_IOVA_BASE + iovaPage * PAGE_BYTES) as Iova, perm };
}
