import type { ShadowVirtqueue } from "../../src/relay/shadow-virtqueue.js";
import type { OracleId } from "../../src/validate/oracles/violation.js";
import type { Action, Element, Program, RawDescriptor } from "../../src/validate/rig/program.js";
import type { MakeRelay } from "../../src/validate/rig/rig.js";
import type { RigSetup } from "../../src/validate/rig/world.js";
import { type Patch, patchedCopy } from "../helpers/patched-copy.js";

const RELAY = "relay/shadow-virtqueue.ts";

/** A passage of the relay and what a wrong one has instead; or the same of another file. */
export type Fault = readonly [passage: string, instead: string] | Patch;

/** A relay that breaks one rule, a program in which that shows, and who has to notice. */
export interface WrongRelay {
  readonly what: string;
  readonly faults: readonly Fault[];
  readonly program: Program;
  readonly caught: readonly [oracle: OracleId, invariant: number];
}

/** The shipping relay but for some passages. */
export async function relayWith(faults: readonly Fault[]): Promise<MakeRelay> {
  const patches = faults.map((fault): Patch => (fault.length === 3 ? fault : [RELAY, ...fault]));
  const { ShadowVirtqueue: Wrong } = await patchedCopy<{ ShadowVirtqueue: typeof ShadowVirtqueue }>(RELAY, ...patches);
  return (parts) => new Wrong(parts);
}

const SETUP: RigSetup = {
  num: 4,
  shadowNum: 8,
  eventIdx: false,
  indirect: true,
  log: true,
  map: "flat",
  start: 0xfffe,
};

/** A program in a ring of four, with a log; indices wrap. */
export function program(actions: readonly Action[], setup: Partial<RigSetup> = {}): Program {
  return { setup: { ...SETUP, ...setup }, actions };
}

/** A buffer that the device may read, and one that it may write. */
export const R = (gpa: number, bytes = 64): Element => ({ gpa, bytes, writable: false });
export const W = (gpa: number, bytes = 64): Element => ({ gpa, bytes, writable: true });
export const offer = (...elements: Element[]): Action => ({ op: "offer", elements, form: "direct" });
/** A chain in one descriptor of the guest's ring, so that its numbers and those of the shadow ring differ. */
const offerTable = (...elements: Element[]): Action => ({ op: "offer", elements, form: "indirect" });
export const raw = (address: number, length: number, flags: number, next: number): RawDescriptor => {
  return { address: BigInt(address), length, flags, next };
};
export const use = (nth: number, bytes: number): Action => ({ op: "use", nth, bytes });
export const publish: Action = { op: "publish" };
export const relay: Action = { op: "relay" };
const take: Action = { op: "take" };
export const publishUsed: Action = { op: "publish-used" };

/** What follows when something was offered: there, served, and back. */
export const THERE: readonly Action[] = [publish, relay, take];
const BACK: readonly Action[] = [publishUsed, relay, { op: "reap" }];

/** One chain, of which a page is only read and another one written. */
export const ONE = program([offer(R(0x3000), W(0x5000, 300)), ...THERE, use(0, 200), ...BACK, relay]);
/** Two chains that come back in another order. */
export const TWO = program([
  offerTable(R(0x3000), W(0x5000)),
  offerTable(R(0x3100), W(0x10_1000, 32)),
  ...THERE,
  use(1, 32),
  use(0, 64),
  ...BACK,
  relay,
]);
/** A chain that the device keeps while the relay goes to sleep. */
export const WAITING = program([offer(R(0x3000), W(0x5000, 300)), ...THERE, relay]);
/** The same with event indices. */
export const TWO_BY_EVENT = program(TWO.actions, { eventIdx: true });
/** Three chains, and room for one at a time. */
export const CROWDED = program(
  [offer(R(0x3000), W(0x5000)), offer(W(0x3100)), publish, relay, relay, take, use(0, 9), publishUsed, relay, relay],
  { shadowNum: 2 },
);
/** The same with event indices. */
export const CROWDED_BY_EVENT = program(CROWDED.actions, { shadowNum: 2, eventIdx: true });
/** A chain that never ends. */
export const LOOP = program([{ op: "offer-raw", slot: 0, descriptors: [raw(0x3000, 0, 1, 0)] }, publish, relay]);
/** A buffer where nothing is mapped. */
export const UNMAPPED = program([offer(R(0x7000)), publish, relay, relay], { map: "split" });
/** The device says that it wrote more than it could. */
export const BOASTING = program([
  offer(W(0x5000)),
  ...THERE,
  { op: "use", nth: 0, bytes: 64, claim: 65 },
  publishUsed,
  relay,
]);
/** The device's index runs ahead of what it was given. */
export const JUMPING = program([offer(W(0x5000)), ...THERE, use(0, 64), { op: "publish-used", jump: 2 }, relay]);
