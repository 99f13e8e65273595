import { GpaMap, type GpaMapping } from "../../iova/gpa-map.js";
import { VHOST_ACCESS_RW } from "../../layout/vhost.js";
import { FRAME_SPAN_BYTES, type Gpa, type Iova, PAGE_BYTES } from "../../memory/address.js";
import { type MakeRelay, SHIPPING } from "../rig/rig.js";

/** The shipping relay on maps in which another mapping was for a while: a removal that goes wrong then shows. */
export function withDecoy(): MakeRelay {
  const maps = new WeakMap<GpaMap, GpaMap>();
  return (parts) => {
    let map = maps.get(parts.map);
    if (map === undefined) {
      map = changed(parts.map);
      maps.set(parts.map, map);
    }
    return SHIPPING({ ...parts, map });
  };
}

function changed(map: GpaMap): GpaMap {
  const copy = new GpaMap(map.iovaBase);
  const mappings = [...map.entries()];
  const decoy = {
    gpa: firstGap(mappings) as Gpa,
    bytes: PAGE_BYTES,
    iova: (map.iovaBase + FRAME_SPAN_BYTES - PAGE_BYTES) as Iova,
    perm: VHOST_ACCESS_RW,
  };
  copy.addAll([...mappings, decoy]);
  copy.remove(decoy.gpa);
  return copy;
}

/** The first address behind a mapping that is in none. */
function firstGap(mappings: readonly GpaMapping[]): number {
  const ends = mappings.map(({ gpa, bytes }) => gpa + bytes);
  return ends.find((end) => !mappings.some(({ gpa }) => gpa === end))!;
}
