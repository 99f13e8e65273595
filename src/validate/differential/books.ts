import { VHOST_ACCESS_RW } from "../../layout/vhost.js";
import { VRING_DESC_F_INDIRECT } from "../../layout/virtio-ring.js";
import type { Gpa, Iova } from "../../memory/address.js";
import type { Ground } from "../rig/ground.js";
import { type Judgement, judgeChain } from "../rig/naive-walker.js";
import { GUEST_RING, type RigSetup, TABLES_GPA, World } from "../rig/world.js";

/** A device of the guest's own ring knows no shadow ring: above the pieces of any chain. */
export const NO_SHADOW_RING = 256;

const EVERYTHING = { gpa: 0 as Gpa, bytes: 2 ** 54, iova: 0 as Iova, perm: VHOST_ACCESS_RW };
/** Behind the tables: every descriptor of a program is at a multiple of 16 in the ring's or in a page of others. */
const TABLES_END = TABLES_GPA + 4096;

class EverythingMapped extends World {
  override readonly mappings = [EVERYTHING];
}

/** What the naive walker says of a chain of the guest's ring, to each of those who look at it in their own way. */
export class Books {
  /** The guest's ring as a device sees that serves it directly. */
  readonly world: World;
  readonly #relayed: World;
  readonly #shaped: World;
  readonly #read = (gpa: number) => this.world.byte(gpa) ?? 0;

  /** For one guest's ring on `ground`; `shadowNum` is that of the relay the guest might have. */
  constructor(setup: RigSetup, shadowNum: number, ground: Ground) {
    const direct = { ...setup, shadowNum: NO_SHADOW_RING };
    this.#relayed = new World({ ...setup, shadowNum }, ground);
    this.#shaped = new EverythingMapped(direct, ground);
    this.world = new World(direct, ground);
  }

  /** To a device on the ring itself, which translates as it walks. */
  direct(head: number): Judgement {
    return judgeChain(this.world, head, this.#read);
  }

  /** To a relay, which has to find room for it in its own ring. */
  relayed(head: number): Judgement {
    return judgeChain(this.#relayed, head, this.#read);
  }

  /**
   * To the shipping device half, which judges the shape of a whole chain before anybody translates an address.
   *
   * `exact` is false where an address is 2^53 or above, which it keeps as NaN: extents then have the low halves.
   */
  shape(head: number): { judged: Judgement; exact: boolean } {
    const judged = judgeChain(this.#shaped, head, this.#read);
    if (judged.outcome === "forward" || judged.reason !== "address-unmapped") return { judged, exact: true };
    return { judged: judgeChain(this.#shaped, head, (gpa) => this.#lowHalves(gpa)), exact: false };
  }

  #lowHalves(gpa: number): number {
    const high = (gpa & 12) === 4 && gpa >= GUEST_RING && gpa < TABLES_END;
    const pointer = high && (this.#read((gpa & ~15) + 12) & VRING_DESC_F_INDIRECT) !== 0;
    return high && !pointer ? 0 : this.#read(gpa);
  }
}
