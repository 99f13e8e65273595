import { type Arena, notifierOffset } from "../../src/machine/arena.js";
import { EventFd } from "../../src/memory/bell.js";
import { RealMemory } from "../../src/memory/real-memory.js";
import type { SharedMemory } from "../../src/memory/shared-memory.js";
import { DriverRing } from "../../src/ring/driver-ring.js";
import { clearRings, type VringAreas } from "../../src/ring/vring-areas.js";
import { DRIVER_PHASES, DriverTransport, type QueueSetup } from "../../src/transport/driver-transport.js";

/** Where a driver's rings are, and what tells the device. */
export interface HandDriverParts {
  readonly registers: SharedMemory;
  /** The ring as the driver reaches it. */
  readonly areas: VringAreas;
  /** The ring as the device is to reach it. */
  readonly setup: Pick<QueueSetup, "desc" | "avail" | "used" | "call">;
  readonly kick: Pick<EventFd, "signal">;
  /** One turn of all others; true when somebody moved. */
  readonly turn: () => boolean;
}

/** A driver of one queue that goes through its start-up step by step, as a test says. */
export class HandDriver {
  readonly transport: DriverTransport;
  ring: DriverRing;
  readonly #parts: HandDriverParts;

  constructor(parts: HandDriverParts) {
    this.#parts = parts;
    this.transport = new DriverTransport(parts.registers, 0, { ring: () => {} });
    this.ring = new DriverRing(parts.areas, { eventIdx: false });
  }

  /** Lets everybody go on until nobody moves. */
  settle(): void {
    for (let idle = 0, turns = 0; idle < 3; turns++) {
      const moved = [this.transport.advance(), this.#parts.turn()].includes(true);
      idle = moved ? 0 : idle + 1;
      if (turns > 500) throw new Error("moves without an end");
    }
  }

  /** Resets the device and reads what it offers. */
  offered(): bigint {
    this.transport.reset();
    this.settle();
    if (this.transport.state.phase !== DRIVER_PHASES.features) throw new Error("no device to reset");
    return this.transport.offered();
  }

  /** Accepts features; whether the device agrees. */
  accepts(features: bigint): boolean {
    this.transport.negotiate(features);
    this.settle();
    return this.transport.state.phase === DRIVER_PHASES.agreed;
  }

  /** Makes a fresh ring and enables the queue. */
  enable(change: Partial<QueueSetup> = {}): void {
    const { areas, setup } = this.#parts;
    clearRings(areas);
    this.ring = new DriverRing(areas, { eventIdx: false });
    const fresh = { lastAvailIdx: 0, usedIdx: 0, alwaysCall: false };
    this.transport.enableQueue(0, { size: areas.num, ...fresh, ...setup, ...change });
  }

  /** Sets DRIVER_OK; whether the device runs. */
  starts(): boolean {
    this.transport.start();
    this.settle();
    return this.transport.state.phase === DRIVER_PHASES.live;
  }

  /** All steps of start-up; throws when one of them fails. */
  bringUp(features = 1n << 32n): this {
    this.offered();
    if (!this.accepts(features)) throw new Error("features refused");
    this.enable();
    if (!this.starts()) throw new Error("not started");
    return this;
  }

  /** Offers chains of one writable element each, publishes them and kicks. */
  offer(count: number, address = 0x8000): void {
    for (let i = 0; i < count; i++)
      this.ring.addChain([{ address: address + i * 64, bytes: 64, deviceWritable: true }]);
    this.ring.publishAvail();
    this.#parts.kick.signal();
  }

  /** The used index as it stands in memory. */
  get usedIdx(): number {
    const { usedMemory, used } = this.#parts.areas;
    return usedMemory.read16(used + 2);
  }
}

/** The notification of queue 0 that stands at a place of the arena, for a test that signals or takes it. */
export function notification({ notifiers }: Pick<Arena, "notifiers">, which: number): EventFd {
  return new EventFd(new RealMemory(notifiers), notifierOffset(0, which), []);
}

/** All bytes that the parties share, as one string to compare; without the counters, which nobody reads back. */
export function snapshot(arena: Arena): string {
  const { counters, regions, ...parts } = arena;
  const buffers = [...regions.map(({ buffer }) => buffer), ...Object.values(parts)];
  return buffers.map((buffer) => Buffer.from(buffer).toString("latin1")).join("|");
}
