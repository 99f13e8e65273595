import {
  availEventOffset,
  usedEventOffset,
  VRING_AVAIL_F_NO_INTERRUPT,
  VRING_USED_F_NO_NOTIFY,
} from "../../layout/virtio-ring.js";
import { u16 } from "../../memory/shared-memory.js";
import type { DeviceRing } from "../../ring/device-ring.js";
import { type FaultReason, PEER_FAULTS, PeerFault } from "../../ring/peer-fault.js";
import type { World } from "../rig/world.js";
import { type Buffers, type GuestWalk, reach, type Views, type Walked } from "./walks.js";

/** A chain that a device has. */
export interface Held extends Buffers {
  readonly head: number;
}

/** What is known of an entry of the avail ring, by the book. */
export interface Fact {
  readonly views: Views;
  readonly writableBytes: number;
  readonly refused: FaultReason | undefined;
}

/** The device half of a ring, whoever wrote it: takes chains, returns them, says when its driver is to be called. */
export interface DeviceHalf {
  /** Chains it has, in the order in which it took them. */
  readonly held: Held[];
  /** Why it gave the queue up. */
  broken: FaultReason | undefined;
  /** Takes every available chain, and returns the bad ones that cost only themselves. */
  take(): boolean;
  /** Fills a used entry. */
  addUsed(head: number, length: number): void;
  /** Moves used.idx; true when the other side asked to be called. */
  publish(): boolean;
  /** Asks to be kicked, then looks again; true when nothing is available. */
  arm(): boolean;
}

/** Where a ring lies: its driver's areas and its device's may be in different buffers. */
export interface RingPlace {
  readonly num: number;
  readonly eventIdx: boolean;
  readonly driver: DataView;
  readonly avail: number;
  readonly device: DataView;
  readonly used: number;
  /** Where both indices begin. */
  readonly start: number;
  /** Whether it calls whatever its driver asked for, as it has to behind a used-only relay. */
  readonly alwaysCall: boolean;
}

/** A device half by the book; shares no code with the shipping one. */
export class NaiveHalf implements DeviceHalf {
  readonly held: Held[] = [];
  /** By place in the avail ring, counted from 0. */
  readonly facts: Fact[] = [];
  broken: FaultReason | undefined;
  readonly #place: RingPlace;
  readonly #walk: GuestWalk;
  readonly #outstanding = new Set<number>();
  #lastAvailIdx: number;
  #usedIdx: number;
  #publishedIdx: number;

  constructor(place: RingPlace, walk: GuestWalk) {
    this.#place = place;
    this.#walk = walk;
    this.#lastAvailIdx = this.#usedIdx = this.#publishedIdx = place.start;
  }

  take(): boolean {
    const { num, eventIdx, driver, avail, device, used } = this.#place;
    if (!eventIdx) device.setUint16(used, VRING_USED_F_NO_NOTIFY, true);
    const availIdx = driver.getUint16(avail + 2, true);
    if (u16(availIdx - this.#lastAvailIdx) > num) this.broken = "avail-idx-overrun";
    let moved = false;
    while (this.broken === undefined && this.#lastAvailIdx !== availIdx) {
      this.#takeOne(driver.getUint16(avail + 4 + (this.#lastAvailIdx & (num - 1)) * 2, true));
      moved = true;
    }
    return moved;
  }

  addUsed(head: number, length: number): void {
    const { num, device, used } = this.#place;
    const at = used + 4 + (this.#usedIdx & (num - 1)) * 8;
    device.setUint32(at, head, true);
    device.setUint32(at + 4, length, true);
    this.#outstanding.delete(head);
    this.#usedIdx = u16(this.#usedIdx + 1);
  }

  publish(): boolean {
    const { num, eventIdx, driver, avail, device, used, alwaysCall } = this.#place;
    const oldIdx = this.#publishedIdx;
    const idx = this.#usedIdx;
    if (idx === oldIdx) return false;
    device.setUint16(used + 2, idx, true);
    this.#publishedIdx = idx;
    if (alwaysCall) return true;
    if (!eventIdx) return (driver.getUint16(avail, true) & VRING_AVAIL_F_NO_INTERRUPT) === 0;
    const event = driver.getUint16(avail + usedEventOffset(num), true);
    return u16(idx - event - 1) < u16(idx - oldIdx);
  }

  arm(): boolean {
    const { num, eventIdx, driver, avail, device, used } = this.#place;
    if (eventIdx) device.setUint16(used + availEventOffset(num), this.#lastAvailIdx, true);
    else device.setUint16(used, 0, true);
    return driver.getUint16(avail + 2, true) === this.#lastAvailIdx;
  }

  #takeOne(head: number): void {
    const walked = this.#outstanding.has(head) ? OUTSTANDING : this.#walk(head);
    const { refused, views, readable, writable } = walked;
    const writableBytes = writable.reduce((sum, bytes) => sum + bytes.length, 0);
    this.facts.push({ views, writableBytes, refused });
    if (refused !== undefined && PEER_FAULTS[refused] !== "quarantine") {
      this.broken = refused;
      return;
    }
    this.#lastAvailIdx = u16(this.#lastAvailIdx + 1);
    if (refused !== undefined) {
      this.addUsed(head, 0);
      return;
    }
    this.#outstanding.add(head);
    this.held.push({ head, readable, writable });
  }
}

const OUTSTANDING: Walked = {
  refused: "head-outstanding",
  views: { neverFits: false, shape: "head-outstanding" },
  readable: [],
  writable: [],
};

/** The shipping device half on the guest's own ring, with what a device does to reach buffers. */
export class ShippingHalf implements DeviceHalf {
  readonly held: Held[] = [];
  broken: FaultReason | undefined;
  readonly #ring: DeviceRing;
  readonly #world: World;

  constructor(ring: DeviceRing, world: World) {
    this.#ring = ring;
    this.#world = world;
  }

  take(): boolean {
    this.#ring.disarm();
    let moved = false;
    while (this.broken === undefined) {
      try {
        if (!this.#ring.takeAvail()) break;
        this.#hold();
      } catch (error) {
        if (!(error instanceof PeerFault)) throw error;
        if (error.outcome === "quarantine") this.#ring.quarantine();
        else this.broken = error.reason;
      }
      moved = true;
    }
    return moved;
  }

  addUsed(head: number, length: number): void {
    this.#ring.addUsed(head, length);
  }

  publish(): boolean {
    return this.#ring.publishUsed();
  }

  arm(): boolean {
    try {
      return this.#ring.arm();
    } catch (error) {
      if (!(error instanceof PeerFault)) throw error;
      this.broken = error.reason;
      return false;
    }
  }

  /** A device that cannot reach a buffer returns the chain with nothing written (device/device.ts). */
  #hold(): void {
    const { head, count, readableCount, addresses, lengths } = this.#ring.chain;
    const readable: Uint8Array[] = [];
    const writable: Uint8Array[] = [];
    for (let i = 0; i < count; i++) {
      if (lengths[i] === 0) continue;
      const bytes = reach(this.#world, addresses[i]!, lengths[i]!, i >= readableCount);
      if (bytes === undefined) {
        this.addUsed(head, 0);
        return;
      }
      (i < readableCount ? readable : writable).push(bytes);
    }
    this.held.push({ head, readable, writable });
  }
}
