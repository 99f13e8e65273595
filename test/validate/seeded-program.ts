import type { Action, Element, Poke, Program, RawDescriptor } from "../../src/validate/rig/program.js";
import { SPACE } from "../../src/validate/rig/world.js";
import { seeded } from "../iova/seeded.js";

type Random = (limit: number) => number;

/** A program of any kind of action, the same one for the same seed; every other one breaks rules. */
export function seededProgram(seed: number): Program {
  const random = seeded(seed * 2654435761 + 1);
  const hostile = random(2) === 0;
  const setup = {
    num: 1 << random(5),
    shadowNum: 1 << random(5),
    eventIdx: random(2) === 0,
    indirect: random(2) === 0,
    log: random(2) === 0,
    map: random(2) === 0 ? ("flat" as const) : ("split" as const),
    start: random(2) === 0 ? 0 : 0xfffe,
  };
  const kinds = hostile ? [...RIGHT, ...WRONG] : RIGHT;
  const form = setup.indirect ? FORMS[random(3)]! : "direct";
  const actions = Array.from({ length: 5 + random(40) }, () => kinds[random(kinds.length)]!(random, form));
  return { setup, actions };
}

const FORMS = ["direct", "indirect", "mixed"] as const;

const RIGHT: readonly ((random: Random, form: (typeof FORMS)[number]) => Action)[] = [
  (random, form) => ({ op: "offer", elements: elements(random), form }),
  (random, form) => ({ op: "offer", elements: elements(random), form }),
  () => ({ op: "publish" }),
  () => ({ op: "relay" }),
  () => ({ op: "relay" }),
  () => ({ op: "take" }),
  (random) => ({ op: "use", nth: random(4), bytes: random(2000) }),
  () => ({ op: "publish-used" }),
  () => ({ op: "reap" }),
  () => ({ op: "harvest" }),
];

const WRONG: readonly ((random: Random) => Action)[] = [
  (random) => ({ op: "offer-raw", slot: random(16), descriptors: [raw(random), raw(random)] }),
  (random) => ({ op: "offer-raw", slot: random(16), descriptors: [raw(random)], table: [raw(random)] }),
  (random) => ({ op: "offer-head", head: random(0x10000) }),
  (random) => ({ op: "publish", jump: random(5) - 2 }),
  (random) => ({ op: "use", nth: 0, bytes: 64, claim: random(2 ** 32) }),
  (random) => ({ op: "use-raw", id: random(20), length: random(2 ** 32) }),
  (random) => ({ op: "publish-used", jump: random(3) }),
  (random) => ({ op: "poke", by: "guest", poke: poke(random) }),
  (random) => ({ op: "ambush", by: random(2) === 0 ? "guest" : "device", access: random(12), poke: poke(random) }),
];

/** Readable ones first, as the rules have it. */
function elements(random: Random): Element[] {
  const readable = random(3);
  const element = (writable: boolean) => ({ gpa: 0x3000 + random(0x2000), bytes: 1 + random(3000), writable });
  return Array.from({ length: readable + 1 + random(2) }, (_, i) => element(i >= readable));
}

function raw(random: Random): RawDescriptor {
  const address = random(2) === 0 ? BigInt(random(0x8000)) : (BigInt(random(2 ** 32)) << 32n) | BigInt(random(2 ** 32));
  return { address, length: random(2) === 0 ? random(5000) : random(2 ** 32), flags: random(8), next: random(20) };
}

function poke(random: Random): Poke {
  const [space, offset] =
    random(2) === 0 ? [SPACE.low, 0x1000 + random(100) * 4] : [SPACE.shadow, 64 + random(100) * 4];
  return {
    space,
    offset,
    width: ([1, 2, 4] as const)[random(3)]!,
    value: random(2) === 0 ? random(16) : random(2 ** 32),
  };
}
