import { DirtyLog, logBytes } from "../../dirty/dirty-log.js";
import { GpaMap } from "../../iova/gpa-map.js";
import { VHOST_ACCESS_RW } from "../../layout/vhost.js";
import { type Gpa, type Iova, PAGE_BYTES } from "../../memory/address.js";
import { assert } from "../../memory/assert.js";
import { GuestMemory } from "../../memory/guest-memory.js";
import type { Parts } from "../../memory/role.js";
import { GuestMarks } from "../../relay/guest-marks.js";
import { ShadowBooks } from "../../relay/shadow-books.js";
import { ShadowVirtqueue, type ShadowVirtqueueParts } from "../../relay/shadow-virtqueue.js";
import { DeviceRing } from "../../ring/device-ring.js";
import { type Accounting, DriverRing } from "../../ring/driver-ring.js";
import { COUNTERS } from "../../telemetry/counters.js";
import type { Party, PartyMemory } from "./automaton.js";
import type { ThreePartyPlay } from "./explorer.js";
import { Stage } from "./stage.js";

/** The classes that play: the shipping ones, or faulty copies of them. */
export interface Cast {
  readonly DriverRing: typeof DriverRing;
  readonly ShadowVirtqueue: typeof ShadowVirtqueue;
  readonly DeviceRing: typeof DeviceRing;
}

/** What is played. */
export interface PlayOptions {
  /** Entries of both rings. */
  readonly ring: number;
  readonly requests: number;
  readonly eventIdx: boolean;
  /** Whether the relay marks what is written. */
  readonly log: boolean;
  readonly make?: Partial<Cast> | undefined;
  /** Stands in for the shipping relay. */
  readonly relay?: ((seat: RelaySeat) => Party) | undefined;
}

/** Where a relay sits: what it is made of, over the memory of a party, and the bell that wakes it. */
export interface RelaySeat {
  partsOver(memory: PartyMemory): ShadowVirtqueueParts;
  readonly bell: number;
}

/** Parts of a role, as plain data. */
interface Saved {
  readonly state: Record<string, number>;
  readonly tables: readonly (readonly number[])[];
}

/** One phase is one step: what a phase leaves behind is all that the next one knows. */
type Phase = "work" | "arm";

interface DriverState {
  readonly phase: Phase;
  readonly submitted: number;
  readonly completed: number;
  readonly ring: Saved;
}

interface RelayState {
  readonly phase: Phase;
  readonly own: Record<string, number>;
  readonly books: Saved;
}

interface DeviceState {
  readonly phase: Phase;
  readonly served: number;
  readonly ring: Saved;
}

/** Page 0 holds the rings; request i has page 1 + i, at an offset that its address in the device has too. */
const FIRST_BUFFER_PAGE = 1;
const DEVICE_PAGES_UP = 8;
const WITHIN_PAGE = 0x40;
const LENGTH = 0x300;
const REQUESTS_MAX = 30;

/** A driver, a relay and a device that sleep whenever they may, over rings of one size each. */
export function threePartyPlay(options: PlayOptions): ThreePartyPlay {
  assert(options.requests >= 1 && options.requests <= REQUESTS_MAX, "each request has a page in one word of the log");
  const play = new Play(options);
  const { stage } = play;
  return {
    parties: [play.driver(), play.relay(), play.device()],
    bytes: stage.bytes(),
    judge: (bytes) => play.judge(bytes),
    judgeEnd: (bytes) => play.judgeEnd(bytes),
    permits: stage.permits(),
    nameAt: (offset) => stage.nameAt(offset),
  };
}

class Play {
  readonly stage: Stage;
  readonly #options: PlayOptions;
  readonly #cast: Cast;
  readonly #map = new GpaMap(0);

  constructor(options: PlayOptions) {
    this.stage = new Stage(options.ring, options.log);
    this.#options = options;
    this.#cast = { DriverRing, ShadowVirtqueue, DeviceRing, ...options.make };
    const gpa = FIRST_BUFFER_PAGE * PAGE_BYTES;
    const iova = gpa + DEVICE_PAGES_UP * PAGE_BYTES;
    this.#map.add({ gpa: gpa as Gpa, bytes: options.requests * PAGE_BYTES, iova: iova as Iova, perm: VHOST_ACCESS_RW });
  }

  /** Takes back what is used, offers one request, and sleeps when there was nothing to do. */
  driver(): Party<DriverState> {
    const { requests, eventIdx } = this.#options;
    const make = (memory: PartyMemory) =>
      new this.#cast.DriverRing(this.stage.areas(this.stage.guest, memory), { eventIdx });
    return {
      name: "driver",
      start: { phase: "work", submitted: 0, completed: 0, ring: saved(make(NO_MEMORY)) },
      step: (state, memory) => {
        const ring = restored(make(memory), state.ring);
        let { submitted, completed } = state;
        if (state.phase === "arm") {
          if (ring.arm()) memory.sleep(this.stage.bells.driver);
          return { ...state, phase: "work", ring: saved(ring) };
        }
        ring.disarm();
        for (; ring.takeUsed(); completed++) {
          if (ring.used.len !== LENGTH + completed) throw new Error(`request ${completed} has length ${ring.used.len}`);
        }
        if (completed === requests) return "ended";
        const room = submitted < requests && ring.state.freeCount > 0;
        if (room) {
          const address = (FIRST_BUFFER_PAGE + submitted) * PAGE_BYTES + WITHIN_PAGE;
          ring.addChain([{ address, bytes: LENGTH + submitted, deviceWritable: true }]);
          submitted += 1;
          if (ring.publishAvail()) memory.setBits32(this.stage.bells.relay, 1);
        }
        checkAccounts(ring.accounting());
        const moved = room || completed !== state.completed;
        return { phase: moved ? "work" : "arm", submitted, completed, ring: saved(ring) };
      },
    };
  }

  /** Moves what there is to move, and sleeps when there was nothing. */
  relay(): Party {
    const seat: RelaySeat = { partsOver: (memory) => this.#relayParts(memory), bell: this.stage.bells.relay };
    return this.#options.relay?.(seat) ?? this.#shippingRelay();
  }

  #shippingRelay(): Party<RelayState> {
    const { ring } = this.#options;
    const newBooks = () => new ShadowBooks(ring, ring);
    return {
      name: "relay",
      serves: true,
      start: { phase: "work", own: { ...this.#relayOver(NO_MEMORY, newBooks()).state }, books: saved(newBooks()) },
      step: ({ phase, own, books: from }, memory) => {
        const books = restored(newBooks(), from);
        const relay = this.#relayOver(memory, books);
        Object.assign(relay.state, own);
        let next: Phase = "work";
        if (phase === "work") next = relay.step() ? "work" : "arm";
        else if (relay.arm()) memory.sleep(this.stage.bells.relay);
        checkAccounts(relay.accounting());
        return { phase: next, own: { ...relay.state }, books: saved(books) };
      },
    };
  }

  /** Serves one chain, and sleeps when there was none. */
  device(): Party<DeviceState> {
    const features = { eventIdx: this.#options.eventIdx, indirect: false };
    const areas = (memory: PartyMemory) => this.stage.areas(this.stage.shadow, memory);
    const make = (memory: PartyMemory) => new this.#cast.DeviceRing(areas(memory), features, () => "unmapped");
    return {
      name: "device",
      serves: true,
      start: { phase: "work", served: 0, ring: saved(make(NO_MEMORY)) },
      step: (state, memory) => {
        const ring = restored(make(memory), state.ring);
        const { served } = state;
        if (state.phase === "arm") {
          if (ring.arm()) memory.sleep(this.stage.bells.device);
          return { phase: "work", served, ring: saved(ring) };
        }
        ring.disarm();
        if (!ring.takeAvail()) return { phase: "arm", served, ring: saved(ring) };
        checkChain(ring, served);
        ring.addUsed(ring.chain.head, LENGTH + served);
        if (ring.publishUsed()) memory.setBits32(this.stage.bells.relay, 1);
        return { phase: "work", served: served + 1, ring: saved(ring) };
      },
    };
  }

  /** What may be said of memory alone: no more is used than was asked for, and what is used was marked before. */
  judge(bytes: Uint8Array): string | undefined {
    const used = this.stage.usedIdx(bytes);
    if (used > this.#options.requests) return `${used} requests are used of ${this.#options.requests}`;
    if (!this.#options.log) return undefined;
    for (let request = 0; request < used; request++) {
      if (!this.stage.marked(bytes, FIRST_BUFFER_PAGE + request))
        return `request ${request} is used and not yet marked`;
    }
    return undefined;
  }

  judgeEnd(bytes: Uint8Array): string | undefined {
    const used = this.stage.usedIdx(bytes);
    if (used !== this.#options.requests) return `${used} requests are used of ${this.#options.requests}`;
    return this.#options.log && !this.stage.marked(bytes, 0) ? "the guest's used ring is not marked" : undefined;
  }

  #relayOver(memory: PartyMemory, books: ShadowBooks): ShadowVirtqueue {
    return new this.#cast.ShadowVirtqueue({ ...this.#relayParts(memory), books });
  }

  #relayParts(memory: PartyMemory): ShadowVirtqueueParts {
    const { ring, eventIdx, log } = this.#options;
    const counters = new Float64Array(Object.keys(COUNTERS).length);
    const dirtyLog = log ? new DirtyLog(memory, this.stage.log, logBytes(PAGE_BYTES) * 8 * PAGE_BYTES) : undefined;
    return {
      guest: this.stage.areas(this.stage.guest, memory),
      shadow: this.stage.areas(this.stage.shadow, memory),
      guestMemory: new GuestMemory([{ gpa: 0, bytes: PAGE_BYTES, memory }]),
      map: this.#map,
      marks: new GuestMarks(dirtyLog, "all-writable", this.stage.guest.used, ring, counters),
      eventIdx,
      indirect: false,
      deviceKick: { signal: () => memory.setBits32(this.stage.bells.device, 1) },
      guestCall: { signal: () => memory.setBits32(this.stage.bells.driver, 1) },
      counters,
      start: { lastAvailIdx: 0, usedIdx: 0 },
    };
  }
}

const NO_MEMORY = { byteLength: 0x7fff_ffff } as PartyMemory;

function checkChain({ chain }: DeviceRing, served: number): void {
  const address = (FIRST_BUFFER_PAGE + served + DEVICE_PAGES_UP) * PAGE_BYTES + WITHIN_PAGE;
  const right = chain.count === 1 && chain.addresses[0] === address && chain.writableBytes === LENGTH + served;
  if (right) return;
  throw new Error(`request ${served} is ${chain.count} × ${chain.writableBytes} bytes at ${chain.addresses[0]}`);
}

function checkAccounts({ free, inFlight, size }: Accounting): void {
  if (free + inFlight !== size) throw new Error(`${free} free and ${inFlight} in flight of ${size}`);
}

function saved(role: { parts(): Parts }): Saved {
  const { state, tables } = role.parts();
  return { state: { ...state }, tables: tables.map((table) => [...table]) };
}

function restored<Role extends { parts(): Parts }>(role: Role, from: Saved): Role {
  const { state, tables } = role.parts();
  Object.assign(state, from.state);
  for (const [i, table] of tables.entries()) table.set(from.tables[i]!);
  return role;
}
