import { vringOffsets } from "../../ring/vring-areas.js";
import { Random } from "../differential/random.js";
import type { Action, Program } from "../rig/program.js";
import { CANARY_BYTES, GUEST_RING, type RigSetup, SPACE } from "../rig/world.js";
import { LENGTHS } from "./boundaries.js";
import { badChain, goodChain } from "./chains.js";
import { devicePoke, guestPoke, type RingPlaces, rawPoke } from "./pokes.js";

/** Who is hostile; with "honest" everybody keeps the rules, and everything has to complete. */
export const FUZZ_MODES = ["honest", "hostile-guest", "hostile-device", "both"] as const;
/** The name of such a mode. */
export type FuzzMode = (typeof FUZZ_MODES)[number];

const SIZES = [1, 2, 4, 4, 8, 16] as const;
const ROUNDS = [1, 1, 2, 3] as const;
const STARTS = [0, 0, 0xffff, 0xfffe, 0x7fff, 0x8000] as const;
/** A turn makes about so many accesses: an ambush lies in wait before one of them. */
const TURN_ACCESSES = 48;

interface Arena {
  readonly setup: RigSetup;
  readonly guestRing: RingPlaces;
  readonly shadowRing: RingPlaces;
}

/** The program of a mode, a seed and an index: the same one at any time, without those before it. */
export function generate(mode: FuzzMode, seed: number, index: number): Program {
  const random = new Random(seed, index * FUZZ_MODES.length + FUZZ_MODES.indexOf(mode));
  return new Maker(random, mode).program();
}

function arenaOf(random: Random): Arena {
  const map = random.once(8) ? "wide" : random.pick(["flat", "split"] as const);
  const num = random.pick(SIZES);
  const shadowNum = random.once(2) ? num : random.pick(SIZES);
  const setup: RigSetup = {
    num,
    shadowNum,
    eventIdx: random.once(2),
    indirect: !random.once(3),
    log: map !== "wide" && !random.once(4),
    map,
    start: random.pick(STARTS),
  };
  return {
    setup,
    guestRing: { num, ...vringOffsets(num, GUEST_RING) },
    shadowRing: { num: shadowNum, ...vringOffsets(shadowNum, CANARY_BYTES) },
  };
}

class Maker {
  readonly #random: Random;
  readonly #arena: Arena;
  readonly #badGuest: boolean;
  readonly #badDevice: boolean;
  readonly #actions: Action[] = [];

  constructor(random: Random, mode: FuzzMode) {
    this.#random = random;
    this.#arena = arenaOf(random);
    this.#badGuest = mode === "hostile-guest" || mode === "both";
    this.#badDevice = mode === "hostile-device" || mode === "both";
  }

  program(): Program {
    const { setup } = this.#arena;
    for (let rounds = this.#random.pick(ROUNDS); rounds > 0; rounds--) {
      this.#guest();
      this.#relay();
      this.#device();
      this.#relay();
      if (this.#random.once(2)) this.#actions.push({ op: "reap" });
      if (setup.log && this.#random.once(4)) this.#actions.push({ op: "harvest" });
    }
    return { setup, actions: this.#actions };
  }

  #guest(): void {
    const random = this.#random;
    for (let offers = 1 + random.below(2); offers > 0; offers--) this.#offer();
    if (this.#badGuest && random.once(6)) this.#guestPokes();
    const jumps = this.#badGuest && random.once(16);
    this.#actions.push(jumps ? { op: "publish", jump: this.#jump(this.#arena.setup.num) } : { op: "publish" });
  }

  #offer(): void {
    const random = this.#random;
    const { setup } = this.#arena;
    if (!this.#badGuest || random.once(2)) this.#actions.push(goodChain(random, setup));
    else if (random.once(8)) this.#actions.push({ op: "offer-head", head: this.#head() });
    else this.#actions.push(badChain(random, setup));
  }

  /** The relay's turn, with or without somebody who stores into the midst of it. */
  #relay(): void {
    const random = this.#random;
    const { setup, guestRing, shadowRing } = this.#arena;
    if (this.#badGuest && random.once(3)) {
      const poke = guestPoke(random, setup, guestRing);
      this.#actions.push({ op: "ambush", by: "guest", access: 1 + random.below(TURN_ACCESSES), poke });
    }
    if (this.#badDevice && random.once(3)) {
      const poke = devicePoke(random, shadowRing);
      this.#actions.push({ op: "ambush", by: "device", access: 1 + random.below(TURN_ACCESSES), poke });
    }
    if (setup.log && random.once(4)) {
      this.#actions.push({ op: "ambush-harvest", access: 1 + random.below(TURN_ACCESSES) });
    }
    this.#actions.push({ op: "relay" });
    if (random.once(4)) this.#actions.push({ op: "relay" });
  }

  #device(): void {
    const random = this.#random;
    this.#actions.push({ op: "take" });
    for (let uses = 1 + random.below(2); uses > 0; uses--) this.#use();
    if (this.#badDevice && random.once(4)) this.#devicePokes();
    const jumps = this.#badDevice && random.once(12);
    const { shadowNum } = this.#arena.setup;
    this.#actions.push(jumps ? { op: "publish-used", jump: this.#jump(shadowNum) } : { op: "publish-used" });
  }

  #use(): void {
    const random = this.#random;
    const nth = random.below(4);
    const bytes = random.once(8) ? random.pick(LENGTHS) : random.below(256);
    if (!this.#badDevice || random.once(2)) this.#actions.push({ op: "use", nth, bytes });
    else if (random.once(4)) this.#actions.push({ op: "use-raw", id: this.#id(), length: random.pick(LENGTHS) });
    else this.#actions.push({ op: "use", nth, bytes, claim: random.pick(LENGTHS) });
  }

  #guestPokes(): void {
    const random = this.#random;
    const { setup, guestRing } = this.#arena;
    if (random.once(8)) {
      for (let i = 4 + random.below(12); i > 0; i--) {
        this.#actions.push({ op: "poke", by: "guest", poke: rawPoke(random, SPACE.low, guestRing) });
      }
    } else this.#actions.push({ op: "poke", by: "guest", poke: guestPoke(random, setup, guestRing) });
  }

  #devicePokes(): void {
    const random = this.#random;
    const { shadowRing } = this.#arena;
    if (random.once(8)) {
      for (let i = 4 + random.below(12); i > 0; i--) {
        this.#actions.push({ op: "poke", by: "device", poke: rawPoke(random, SPACE.shadow, shadowRing) });
      }
    } else this.#actions.push({ op: "poke", by: "device", poke: devicePoke(random, shadowRing) });
  }

  #jump(num: number): number {
    return this.#random.pick([1, 1, -1, num - 1, num, num + 1, -num, 0x7fff, 0x8000]);
  }

  #head(): number {
    const { num } = this.#arena.setup;
    return this.#random.once(2) ? this.#random.below(num) : this.#random.pick([num, num + 1, 0x7fff, 0x8000, 0xffff]);
  }

  #id(): number {
    const { shadowNum } = this.#arena.setup;
    if (this.#random.once(2)) return this.#random.below(shadowNum);
    return this.#random.pick([shadowNum, shadowNum + 1, 0xffff, 0x1_0000, 2 ** 31, 2 ** 32 - 1]);
  }
}
