import { DirtyLog } from "../../dirty/dirty-log.js";
import { GpaMap } from "../../iova/gpa-map.js";
import { assert } from "../../memory/assert.js";
import { GuestMemory } from "../../memory/guest-memory.js";
import { RealMemory } from "../../memory/real-memory.js";
import { GuestMarks } from "../../relay/guest-marks.js";
import type { ShadowVirtqueueParts } from "../../relay/shadow-parts.js";
import { UsedRelay, type UsedRelayParts } from "../../relay/used-relay.js";
import { DeviceRing } from "../../ring/device-ring.js";
import { type FaultReason, PeerFault } from "../../ring/peer-fault.js";
import { COUNTERS } from "../../telemetry/counters.js";
import { Ground } from "../rig/ground.js";
import { type MakeRelay, type RelayUnderTest, SHIPPING } from "../rig/rig.js";
import { RIG_END, RIG_IOVA_BASE, RIG_REGIONS, type RigSetup, SPACE, World } from "../rig/world.js";
import { Books, NO_SHADOW_RING } from "./books.js";
import { type DeviceHalf, NaiveHalf, type RingPlace, ShippingHalf } from "./device-halves.js";
import type { GuestProgram } from "./guest-program.js";
import { ScriptedDevice } from "./scripted-device.js";
import { ScriptedGuest } from "./scripted-guest.js";
import { directWalk, shadowWalk } from "./walks.js";

/** What a wiring asks of a relay: a turn, and whether it may sleep after one that moved nothing. */
type WiredRelay = Pick<RelayUnderTest, "step" | "arm">;

/** Makes what stands between guest and device: the shipping parts, or faulty ones that have to be told from them. */
export interface Makers {
  readonly svq: MakeRelay;
  readonly usedOnly: (parts: UsedRelayParts) => WiredRelay;
  readonly deviceRing: (...parts: ConstructorParameters<typeof DeviceRing>) => DeviceRing;
}

/** The shipping parts. */
export const SHIPPING_PARTS: Makers = {
  svq: SHIPPING,
  usedOnly: (parts) => new UsedRelay(parts),
  deviceRing: (...parts) => new DeviceRing(...parts),
};

/**
 * What stands between the guest and the device of a program.
 *
 * "direct": nothing, and the device is the naive one, which serves the guest's ring with guest addresses: what all
 * others are compared with. "device-half": nothing, and the device is the shipping half ring. "svq" and "used-only":
 * the relay of that name.
 */
export type Wiring = "direct" | "device-half" | "svq" | "used-only";

/** All that a guest can see of a run, and what the book says of what it offered. */
export interface Wired {
  readonly guest: ScriptedGuest;
  readonly world: World;
  /** Why the queue was given up. */
  readonly broken: FaultReason | undefined;
  /** Chains that the device behind the relay could not make sense of. */
  readonly astray: FaultReason | undefined;
  /** By place in the avail ring; only of "direct". */
  readonly facts: NaiveHalf["facts"];
}

/** Rounds in which every program comes to rest by far. */
const ROUNDS_MAX = 400;

/** The bytes under one run: made once for all, since that takes longer than to run. */
interface Site {
  readonly ground: Ground;
  readonly memories: readonly RealMemory[];
}

/** Runs programs under wirings; what a run gave stands until the next under the same wiring. */
export class Wirings {
  readonly #make: Makers;
  readonly #sites = new Map<string, Site>();

  constructor(make: Makers = SHIPPING_PARTS) {
    this.#make = make;
  }

  /** Runs a program until nobody has anything to do. */
  run(program: GuestProgram, wiring: Wiring): Wired {
    const setup = setupOf(program.setup, wiring);
    const site = this.#site(wiring, setup.shadowNum);
    return new WiredRun({ ...program, setup }, wiring, this.#make, program.setup.shadowNum, site).run();
  }

  #site(wiring: Wiring, shadowNum: number): Site {
    const name = `${wiring} ${shadowNum}`;
    const known = this.#sites.get(name);
    if (known !== undefined) {
      for (const { bytes } of known.ground.sheets) bytes.fill(0);
      return known;
    }
    const ground = new Ground(shadowNum);
    const site = { ground, memories: ground.sheets.map(({ bytes }) => new RealMemory(bytes.buffer)) };
    this.#sites.set(name, site);
    return site;
  }
}

class WiredRun {
  readonly #program: GuestProgram;
  readonly #books: Books;
  readonly #world: World;
  readonly #guest: ScriptedGuest;
  readonly #half: DeviceHalf;
  readonly #device: ScriptedDevice;
  readonly #relay: WiredRelay | undefined;
  readonly #parts: Omit<ShadowVirtqueueParts, "guestCall" | "deviceKick">;
  readonly #wiring: Wiring;
  #relayAsleep = false;
  #broken: FaultReason | undefined;

  constructor(program: GuestProgram, wiring: Wiring, make: Makers, shadowNum: number, { ground, memories }: Site) {
    this.#program = program;
    this.#books = new Books(program.setup, shadowNum, ground);
    this.#world = new World(program.setup, ground);
    this.#parts = relayParts(this.#world, memories);
    this.#guest = new ScriptedGuest(this.#world, program);
    this.#half = this.#makeHalf(wiring, make);
    this.#device = new ScriptedDevice(this.#half, program);
    this.#wiring = wiring;
    const notifiers = {
      guestCall: { signal: () => void (this.#guest.asleep = false) },
      deviceKick: { signal: () => void (this.#device.asleep = false) },
    };
    if (wiring === "svq") this.#relay = make.svq({ ...this.#parts, ...notifiers });
    else if (wiring === "used-only") this.#relay = this.#makeUsedOnly(make, notifiers.guestCall);
    else this.#relay = undefined;
  }

  run(): Wired {
    for (const turn of this.#program.turns) {
      if (turn.by === "guest") this.#guestTurn(turn.offers, turn.arms);
      else if (turn.by === "relay") this.#relayTurn();
      else this.#deviceTurn(turn.picks);
    }
    this.#settle();
    // Behind a shadow ring a device that gives up has found fault with the relay, anywhere else with the guest.
    const shadowed = this.#wiring === "svq";
    return {
      guest: this.#guest,
      world: this.#world,
      broken: this.#broken ?? (shadowed ? undefined : this.#half.broken),
      astray: shadowed ? this.#half.broken : undefined,
      facts: this.#half instanceof NaiveHalf ? this.#half.facts : [],
    };
  }

  /** Everybody goes on while awake; whoever sleeps does so until somebody tells it of work. */
  #settle(): void {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      let moved = this.#guestTurn(Number.POSITIVE_INFINITY, true);
      moved = this.#relayTurn() || moved;
      moved = this.#deviceTurn(undefined) || moved;
      moved = this.#relayTurn() || moved;
      if (!moved) return;
    }
    this.#guest.strays.push(`not at rest after ${ROUNDS_MAX} rounds`);
  }

  #guestTurn(offers: number, arms: boolean): boolean {
    const guest = this.#guest;
    if (guest.asleep) return false;
    const reaped = guest.reap();
    const offered = guest.offer(offers);
    if (guest.publish()) this.#kick();
    if (arms && !reaped) guest.arm();
    return reaped || offered > 0 || (arms && !guest.asleep);
  }

  #relayTurn(): boolean {
    if (this.#relay === undefined || this.#broken !== undefined || this.#relayAsleep) return false;
    try {
      const moved = this.#relay.step();
      this.#relayAsleep = !moved && this.#relay.arm();
      return !this.#relayAsleep;
    } catch (error) {
      if (!(error instanceof PeerFault)) throw error;
      this.#broken = error.reason;
      return true;
    }
  }

  #deviceTurn(picks: readonly number[] | undefined): boolean {
    const { moved, calls } = this.#device.turn(picks);
    if (calls && this.#relay === undefined) this.#guest.asleep = false;
    else if (calls) this.#relayAsleep = false;
    return moved;
  }

  #kick(): void {
    if (this.#wiring === "svq") this.#relayAsleep = false;
    else this.#device.asleep = false;
  }

  #makeHalf(wiring: Wiring, make: Makers): DeviceHalf {
    const world = this.#world;
    const { setup, guestRing, shadowRing, views } = world;
    const { num, eventIdx, indirect, start } = setup;
    const [guest, shadow] = [views[SPACE.low]!, views[SPACE.shadow]!];
    const onGuest = { num, eventIdx, driver: guest, avail: guestRing.avail, start, alwaysCall: false };
    const place: RingPlace = { ...onGuest, device: guest, used: guestRing.used };
    if (wiring === "direct") return new NaiveHalf(place, directWalk(this.#books));
    if (wiring === "used-only") {
      shadow.setUint16(shadowRing.used + 2, start, true);
      return new NaiveHalf(
        { ...place, device: shadow, used: shadowRing.used, alwaysCall: true },
        directWalk(this.#books),
      );
    }
    if (wiring === "svq") {
      const own = { num: setup.shadowNum, driver: shadow, device: shadow, start: 0 };
      return new NaiveHalf({ ...place, ...own, ...shadowRing }, shadowWalk(world));
    }
    const { guest: areas, guestMemory } = this.#parts;
    const readTable = (address: number, target: Uint8Array) =>
      guestMemory.copyOut(address, target) ? ("ok" as const) : ("unmapped" as const);
    const base = { lastAvailIdx: start, usedIdx: start };
    return new ShippingHalf(make.deviceRing(areas, { eventIdx, indirect }, readTable, base), world);
  }

  #makeUsedOnly(make: Makers, guestCall: UsedRelayParts["guestCall"]): WiredRelay {
    const { shadow, ...parts } = this.#parts;
    return make.usedOnly({ ...parts, guestCall, mediated: { memory: shadow.usedMemory, used: shadow.used } });
  }
}

/** A device of the guest's own ring knows no shadow ring; used-only masks EVENT_IDX (relay/used-relay.ts). */
function setupOf(setup: RigSetup, wiring: Wiring): RigSetup {
  if (wiring === "svq") return setup;
  if (wiring === "used-only") return { ...setup, eventIdx: false, shadowNum: NO_SHADOW_RING };
  return { ...setup, shadowNum: NO_SHADOW_RING };
}

/** The parts of a relay over the bytes of a world. */
function relayParts(
  world: World,
  memories: readonly RealMemory[],
): Omit<ShadowVirtqueueParts, "guestCall" | "deviceKick"> {
  const { setup, guestRing, shadowRing } = world;
  const areas = (memory: RealMemory) => ({ descMemory: memory, availMemory: memory, usedMemory: memory });
  const counters = new Float64Array(Object.keys(COUNTERS).length);
  const log = setup.log ? new DirtyLog(memories[SPACE.log]!, 0, RIG_END) : undefined;
  return {
    guest: { num: setup.num, ...guestRing, ...areas(memories[SPACE.low]!) },
    shadow: { num: setup.shadowNum, ...shadowRing, ...areas(memories[SPACE.shadow]!) },
    guestMemory: new GuestMemory(RIG_REGIONS.map((region, i) => ({ ...region, memory: memories[i]! }))),
    map: mapOf(world),
    marks: new GuestMarks(log, "all-writable", guestRing.used, setup.num, counters),
    eventIdx: setup.eventIdx,
    indirect: setup.indirect,
    counters,
    start: { lastAvailIdx: setup.start, usedIdx: setup.start },
  };
}

/** Maps are only read: one of each kind serves all worlds. */
const MAPS = new Map<RigSetup["map"], GpaMap>();

function mapOf({ setup, mappings }: World): GpaMap {
  const known = MAPS.get(setup.map);
  if (known !== undefined) return known;
  const map = new GpaMap(RIG_IOVA_BASE);
  assert(map.addAll(mappings), "the mappings of a rig are disjoint");
  MAPS.set(setup.map, map);
  return map;
}
