import { PAGE_BYTES } from "../../memory/address.js";
import type { Random } from "../differential/random.js";
import type { Poke } from "../rig/program.js";
import { BUFFERS_GPA, RIG_IOVA_BASE, type RigSetup, SPACE, TABLES_GPA } from "../rig/world.js";
import { LENGTHS } from "./boundaries.js";

/** Where the areas of a ring lie in their space, as World lays them out. */
export interface RingPlaces {
  readonly num: number;
  readonly desc: number;
  readonly avail: number;
  readonly used: number;
}

/** Values for the words of a descriptor, by offset / 4: address low and high, length, flags and next. */
const FIELD_VALUES: readonly ((random: Random, num: number) => number)[] = [
  (random) => BUFFERS_GPA + random.below(6 * PAGE_BYTES),
  (random) => random.pick([0, 1, 0x800, 0x20_0000, 0x8000_0000, RIG_IOVA_BASE / 2 ** 32]),
  (random) => (random.once(2) ? 1 + random.below(PAGE_BYTES) : random.pick(LENGTHS)),
  (random, num) => random.below(8) + (random.below(num + 1) << 16),
];

/** A store by the guest to a word that the relay reads, or to one of the relay's that it may reach. */
export function guestPoke(random: Random, { num }: RigSetup, ring: RingPlaces): Poke {
  if (random.once(6)) return descriptorPoke(random, SPACE.low, TABLES_GPA, num);
  if (random.once(2)) return descriptorPoke(random, SPACE.low, ring.desc, num);
  return ringPoke(random, SPACE.low, ring, num);
}

/** A store by the device to the shadow ring: its own part of it, or the relay's. */
export function devicePoke(random: Random, ring: RingPlaces): Poke {
  if (random.once(3)) return descriptorPoke(random, SPACE.shadow, ring.desc, ring.num);
  return ringPoke(random, SPACE.shadow, ring, ring.num);
}

/** Any value in any word from the descriptor table to the end of the used ring. */
export function rawPoke(random: Random, space: number, ring: RingPlaces): Poke {
  const words = (ring.used + 4 + 8 * ring.num - ring.desc) >>> 2;
  const value = random.below(0x1000) * 0x10_0000 + random.below(0x10_0000);
  return { space, offset: ring.desc + random.below(words) * 4, width: 4, value };
}

function descriptorPoke(random: Random, space: number, table: number, num: number): Poke {
  const field = random.below(FIELD_VALUES.length);
  const offset = table + random.below(num) * 16 + field * 4;
  return { space, offset, width: 4, value: FIELD_VALUES[field]!(random, num) };
}

/** Flags, indices, entries and event words of both rings. */
function ringPoke(random: Random, space: number, ring: RingPlaces, num: number): Poke {
  const near = random.once(2) ? random.below(2 * num + 2) : random.pick([0, 1, num, 0x7fff, 0x8000, 0xffff]);
  switch (random.below(6)) {
    case 0:
      return { space, offset: ring.avail + 2 * random.below(2), width: 2, value: near };
    case 1:
      return { space, offset: ring.used + 2 * random.below(2), width: 2, value: near };
    case 2:
      return { space, offset: ring.avail + 4 + 2 * random.below(num + 1), width: 2, value: near };
    case 3:
      return { space, offset: ring.used + 4 + 8 * num, width: 2, value: near };
    case 4:
      return { space, offset: ring.used + 8 + 8 * random.below(num), width: 4, value: random.pick(LENGTHS) };
    default:
      return { space, offset: ring.used + 4 + 8 * random.below(num), width: 4, value: near };
  }
}
