import { BELL_BYTES, type Bell, Doorbell } from "../../src/memory/bell.js";
import { ForwardingMemory } from "../../src/memory/forwarding-memory.js";
import type { SharedMemory } from "../../src/memory/shared-memory.js";
import { PeerFault } from "../../src/ring/peer-fault.js";
import type { VringAreas } from "../../src/ring/vring-areas.js";
import { CanaryRing } from "../helpers/canary-ring.js";
import { seeded } from "../iova/seeded.js";
import type { Halves } from "./two-halves.js";

/** A driver and a device that sleep whenever they may, in a ring of any size. */
export interface NightOptions {
  readonly num: number;
  readonly eventIdx: boolean;
  readonly chains: number;
  readonly seed: number;
  /** Number of the ring of either bell that goes nowhere; counted from 1. */
  readonly lostRing?: number;
}

/** What comes of a night. */
export interface Night {
  /** What went wrong, if anything. */
  readonly problem: string | undefined;
  /** How often the bells rang, and how often somebody fell asleep. */
  readonly rings: number;
  readonly naps: number;
}

/** Memory that lets the other side run before an access that others can notice. */
class StruckMemory extends ForwardingMemory {
  readonly #strike: () => void;

  constructor(inner: SharedMemory, strike: () => void) {
    super(inner);
    this.#strike = strike;
  }

  override observe16(offset: number): number {
    this.#strike();
    return super.observe16(offset);
  }

  override publish16(offset: number, value: number): void {
    this.#strike();
    super.publish16(offset, value);
  }
}

/** One side: works while there is work, sleeps on its bell when it may. */
class Sleeper {
  naps = 0;
  asleep = false;
  readonly #bell: Doorbell;
  readonly #step: () => boolean;
  readonly #arm: () => boolean;
  #seen = 0;
  #busy = false;

  constructor(bell: Doorbell, step: () => boolean, arm: () => boolean) {
    this.#bell = bell;
    this.#step = step;
    this.#arm = arm;
  }

  /** One turn of its loop, unless it is in the middle of one; true when it was awake. */
  turn(): boolean {
    if (this.#busy || (this.asleep && this.#bell.observe() === this.#seen)) return false;
    this.#busy = true;
    this.asleep = false;
    const seen = this.#bell.observe();
    if (!this.#step() && this.#arm()) {
      this.asleep = true;
      this.#seen = seen;
      this.naps += 1;
    }
    this.#busy = false;
    return true;
  }
}

const BATCH_MAX = 8;
const TURNS_MAX = 100_000;
const ADDRESS = 2 ** 40;

/** Lets both sides run, each striking into the other's accesses, until all chains have gone round or nobody wakes. */
export function oneNight(halves: Halves, options: NightOptions): Night {
  const { num, eventIdx, chains, seed, lostRing } = options;
  const below = seeded(seed * 31_337);
  const cabin = new CanaryRing(num, eventIdx, below(2 ** 16));
  const buffer = new SharedArrayBuffer(2 * BELL_BYTES);
  const [driverBell, deviceBell] = [new Doorbell(buffer, 0), new Doorbell(buffer, 1)];
  const sides: { driver?: Sleeper; device?: Sleeper } = {};
  let rings = 0;
  const lossy = (bell: Bell) => {
    rings += 1;
    if (rings !== lostRing) bell.ring();
  };
  const struck = (areas: VringAreas, other: "driver" | "device") => {
    const memory = new StruckMemory(areas.descMemory, () => {
      if (below(4) === 0) sides[other]?.turn();
    });
    return { ...areas, descMemory: memory, availMemory: memory, usedMemory: memory };
  };
  const driver = driverSide(halves, struck(cabin.driverSide, "device"), { ...options, below }, () => lossy(deviceBell));
  const device = deviceSide(halves, struck(cabin.deviceSide, "driver"), { ...options, below }, () => lossy(driverBell));
  const startIdx = cabin.memory.read16(cabin.areas.avail + 2);
  driver.moveTo(startIdx);
  device.moveTo(startIdx);
  sides.driver = new Sleeper(driverBell, driver.step, driver.arm);
  sides.device = new Sleeper(deviceBell, device.step, device.arm);
  const problem = untilDone(sides as Required<typeof sides>, below, () => driver.completed() === chains);
  const told = () => `${driver.completed()} of ${chains} chains came back`;
  return {
    problem: problem === undefined ? cabin.strayStores()[0] : `${problem}: ${told()}`,
    rings,
    naps: sides.driver.naps + sides.device.naps,
  };
}

function untilDone(
  { driver, device }: { driver: Sleeper; device: Sleeper },
  below: (limit: number) => number,
  done: () => boolean,
): string | undefined {
  try {
    for (let turns = 0; !done(); turns++) {
      if (turns === TURNS_MAX) return "no end";
      const [first, second] = below(2) === 0 ? [driver, device] : [device, driver];
      if (!first.turn() && !second.turn()) return "both sleep";
    }
    return undefined;
  } catch (error) {
    if (error instanceof PeerFault) return error.message;
    throw error;
  }
}

type SideOptions = NightOptions & { readonly below: (limit: number) => number };

function driverSide({ DriverRing }: Halves, areas: VringAreas, options: SideOptions, kick: () => void) {
  const { num, chains, eventIdx, below } = options;
  const ring = new DriverRing(areas, { eventIdx });
  let [submitted, completed] = [0, 0];
  const submit = () => {
    // A depth that changes: now and then both run dry.
    const depth = 1 + below(BATCH_MAX);
    while (submitted < chains && submitted - completed < depth) {
      const count = 1 + below(Math.min(3, num));
      if (count > ring.state.freeCount) break;
      const segments = Array.from({ length: count }, () => ({ address: ADDRESS, bytes: 1, deviceWritable: true }));
      ring.addChain(segments);
      submitted += 1;
    }
    if (ring.publishAvail()) kick();
  };
  return {
    completed: () => completed,
    moveTo(idx: number) {
      Object.assign(ring.state, { availIdx: idx, publishedAvailIdx: idx, lastUsedIdx: idx, usedIdx: idx });
    },
    step: () => {
      ring.disarm();
      const before = submitted + completed;
      for (let budget = num; budget > 0 && ring.takeUsed(); budget--) completed += 1;
      submit();
      return submitted + completed !== before;
    },
    arm: () => ring.arm(),
  };
}

function deviceSide({ DeviceRing }: Halves, areas: VringAreas, options: SideOptions, call: () => void) {
  const { eventIdx, below } = options;
  const ring = new DeviceRing(areas, { eventIdx, indirect: false }, () => "unmapped");
  const held: number[] = [];
  return {
    moveTo(idx: number) {
      Object.assign(ring.state, { lastAvailIdx: idx, availIdx: idx, usedIdx: idx, publishedUsedIdx: idx });
    },
    step: () => {
      ring.disarm();
      const before = held.length;
      for (let left = 1 + below(BATCH_MAX); left > 0 && ring.takeAvail(); left--) held.push(ring.chain.head);
      const idle = held.length === before;
      for (let left = below(BATCH_MAX) + (idle ? 1 : 0); left > 0 && held.length > 0; left--) {
        ring.addUsed(held.splice(below(held.length), 1)[0]!, 0);
      }
      if (ring.publishUsed()) call();
      return !idle || held.length < before;
    },
    arm: () => ring.arm(),
  };
}
