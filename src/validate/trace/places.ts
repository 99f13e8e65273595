import {
  availEventOffset,
  availRingBytes,
  descTableBytes,
  usedEventOffset,
  usedRingBytes,
  VRING_AVAIL,
  VRING_DESC,
  VRING_USED,
  VRING_USED_ELEM,
} from "../../layout/virtio-ring.js";
import { vringOffsets } from "../../ring/vring-areas.js";
import { BUFFERS_GPA, CANARY_BYTES, GUEST_RING, RIG_REGIONS, type RigSetup, SPACE, TABLES_GPA } from "../rig/world.js";

type Places = ReturnType<typeof vringOffsets>;

/** Where the rings of a rig are: in guest RAM below the hole, and in the shadow ring's own bytes. */
export function ringPlaces({ num, shadowNum }: RigSetup): { guest: Places; shadow: Places } {
  return { guest: vringOffsets(num, GUEST_RING), shadow: vringOffsets(shadowNum, CANARY_BYTES) };
}

/** What lies at an offset, by its name in a ring and whose that is, such as "used.ring[3].id of guest". */
export function placeName(setup: RigSetup, space: number, offset: number): string {
  const { guest, shadow } = ringPlaces(setup);
  switch (space) {
    case SPACE.shadow: {
      const part = ringPart(shadow, setup.shadowNum, offset);
      return part === undefined ? `byte ${offset} beside the shadow ring` : `${part} of shadow`;
    }
    case SPACE.log:
      return `log word ${offset / 4}`;
    default: {
      const part = space === SPACE.low ? ringPart(guest, setup.num, offset) : undefined;
      if (part !== undefined) return `${part} of guest`;
      const gpa = `0x${((RIG_REGIONS[space]?.gpa ?? 0) + offset).toString(16)}`;
      const table = space === SPACE.low && offset >= TABLES_GPA && offset < BUFFERS_GPA;
      return table ? `the indirect table at ${gpa}` : `guest RAM at ${gpa}`;
    }
  }
}

function ringPart(ring: Places, num: number, offset: number): string | undefined {
  const [desc, avail, used] = [offset - ring.desc, offset - ring.avail, offset - ring.used];
  if (desc >= 0 && desc < descTableBytes(num)) {
    return `desc[${Math.floor(desc / VRING_DESC.size)}]${field(DESC_FIELDS, desc % VRING_DESC.size)}`;
  }
  if (avail >= 0 && avail < availRingBytes(num)) return `avail${availPart(avail, num)}`;
  if (used >= 0 && used < usedRingBytes(num)) return `used${usedPart(used, num)}`;
  return undefined;
}

const DESC_FIELDS = new Map([
  [VRING_DESC.offsets.addr, ".addr"],
  [VRING_DESC.offsets.addr + 4, ".addr (high half)"],
  [VRING_DESC.offsets.len, ".len"],
  [VRING_DESC.offsets.flags, ".flags"],
  [VRING_DESC.offsets.next, ".next"],
] as [number, string][]);
const ELEM_FIELDS = new Map([
  [VRING_USED_ELEM.offsets.id, ".id"],
  [VRING_USED_ELEM.offsets.len, ".len"],
] as [number, string][]);

function field(names: ReadonlyMap<number, string>, offset: number): string {
  return names.get(offset) ?? ` + ${offset}`;
}

function availPart(offset: number, num: number): string {
  const { flags, idx, ring } = VRING_AVAIL.offsets;
  if (offset === flags) return ".flags";
  if (offset === idx) return ".idx";
  if (offset === usedEventOffset(num)) return ".used_event";
  return offset < ring || offset % 2 !== 0 ? ` + ${offset}` : `.ring[${(offset - ring) / 2}]`;
}

function usedPart(offset: number, num: number): string {
  const { flags, idx, ring } = VRING_USED.offsets;
  if (offset === flags) return ".flags";
  if (offset === idx) return ".idx";
  if (offset === availEventOffset(num)) return ".avail_event";
  if (offset < ring || offset > availEventOffset(num)) return ` + ${offset}`;
  const entry = offset - ring;
  return `.ring[${Math.floor(entry / VRING_USED_ELEM.size)}]${field(ELEM_FIELDS, entry % VRING_USED_ELEM.size)}`;
}
