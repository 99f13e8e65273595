import type { Device } from "../../device/device.js";
import { NetDevice } from "../../device/net-device.js";
import { NullDevice } from "../../device/null-device.js";
import { BlkWorkload } from "../../driver/blk-workload.js";
import type { Driver, JobResult } from "../../driver/driver.js";
import type { QueueLayout } from "../../driver/guest-layout.js";
import { NetWorkload } from "../../driver/net-workload.js";
import { NullWorkload } from "../../driver/null-workload.js";
import type { Workload, WorkloadContext } from "../../driver/workload.js";
import { usedRingBytes } from "../../layout/virtio-ring.js";
import { type Arena, allocateArena, bellNumbers } from "../../machine/arena.js";
import * as shipping from "../../machine/assemble.js";
import type { MachineConfig } from "../../machine/config.js";
import { InlineMachine } from "../../machine/inline.js";
import { deviceShare, deviceViews, doorbells, driverShare, driverViews, relayViews } from "../../machine/views.js";
import type { Doorbell } from "../../memory/bell.js";
import { RealMemory } from "../../memory/real-memory.js";
import type { Role } from "../../memory/role.js";
import type { SharedMemory } from "../../memory/shared-memory.js";
import type { Relay } from "../../relay/relay.js";
import { driverAccounts, shadowAccounts } from "./accounting.js";
import { GuestOracle } from "./guest-oracle.js";

/** Makes the roles of a machine: the shipping ones, or others that have to be told from them. */
export type RoleMakers = Pick<typeof shipping, "makeDriver" | "makeRelay" | "makeDevice">;

/** What stands between the parts of a machine, and how closely it is judged. */
export interface MachineOutside {
  readonly driver?: Partial<shipping.DriverOutside>;
  readonly relay?: shipping.RelayOutside;
  readonly device?: Partial<shipping.DeviceOutside>;
  /** Bytes of one pass. */
  readonly inputBytes?: number;
  /** Whether to judge guest RAM, or only whether anything strayed; costs a copy of it. */
  readonly judged?: boolean | "strays";
  /** Where the relay marks, where that is not the arena's log. */
  readonly log?: SharedMemory;
  readonly make?: Partial<RoleMakers>;
}

/** The places at a machine, in the order of their turns. */
export const SEATS = ["driver", "relay", "device"] as const;
/** One of SEATS. */
export type SeatName = (typeof SEATS)[number];

/** A place in the turns of a machine: who sits there can be replaced, and kept from taking its turns. */
class Seat implements Role {
  readonly name: SeatName;
  occupant!: Role;
  stalled = false;

  constructor(name: SeatName) {
    this.name = name;
  }

  step(): boolean {
    return !this.stalled && this.occupant.step();
  }

  arm(): boolean {
    return !this.stalled && this.occupant.arm();
  }
}

/** Rounds in which a machine that was asked to come to rest has to. */
const SETTLE_ROUNDS_MAX = 100_000;

/** A whole machine on this thread, in real memory and virtual time, with a judge of its guest's RAM. */
export class WholeMachine {
  readonly config: MachineConfig;
  readonly arena: Arena;
  readonly layouts: readonly QueueLayout[];
  readonly inline: InlineMachine;
  /** Judge of guest RAM; only where it was asked for. */
  readonly oracle: GuestOracle | undefined;
  /** Bytes that a pass sends. */
  readonly sent: Uint8Array;
  /** Pages that the driver was given back before they were marked. */
  readonly unmarked: number[] = [];
  /** Whether each buffer has to be marked when the driver learns that it is used. */
  marksExpected: boolean;
  driver: Driver;
  relay: Relay;
  device: Device;
  #workload!: Workload;
  readonly #outside: MachineOutside;
  readonly #make: RoleMakers;
  readonly #seats = SEATS.map((name) => new Seat(name));
  readonly #bells: readonly Doorbell[];

  constructor(config: MachineConfig, outside: MachineOutside = {}) {
    this.config = config;
    this.#outside = outside;
    this.#make = { ...shipping, ...outside.make };
    this.arena = allocateArena(config);
    this.layouts = shipping.guestLayout(config);
    this.oracle = this.#makeOracle();
    this.marksExpected = outside.judged === true && isLogged(config);
    this.sent = new Uint8Array(outside.inputBytes ?? 40_000).map((_, i) => i * 31 + (i >>> 8));
    this.driver = this.#makeDriver();
    this.relay = this.#makeRelay({});
    this.device = this.#makeDevice(false);
    this.#bells = doorbells(this.arena.bells);
    const rung = (name: SeatName) => () => this.#bellOf(name).observe();
    this.inline = new InlineMachine(
      this.#seats.map((role) => ({ role, rung: rung(role.name) })),
      config.seed,
    );
    this.#seatAll();
  }

  /** Requests of one pass. */
  get requestCount(): number {
    return this.#workload.requestCount;
  }

  /** Bytes that came back in the last pass. */
  received(): Uint8Array {
    return this.#workload.received;
  }

  /** Runs one pass, or the requests given, and says what came of it; `each` is called before every turn. */
  pass(number = 0, first = 0, count = this.requestCount - first, each = () => {}): JobResult {
    this.driver.begin({ pass: number, first, count });
    this.inline.wake();
    this.inline.run(() => {
      each();
      return this.driver.done || this.driver.failed;
    });
    return this.driver.end();
  }

  /** Steps everybody until nothing moves; throws when that never comes. */
  settle(): void {
    for (let idle = 0, round = 0; idle < 4; round++) {
      if (round > SETTLE_ROUNDS_MAX) throw new Error(`still moving after ${round} rounds`);
      const moved = [this.driver, this.relay, this.device].map((role) => role.step() || !role.arm());
      idle = moved.includes(true) ? 0 : idle + 1;
    }
  }

  /** Sentences about books of driver and relay that do not add up, and about marks that came too late. */
  bookProblems(): string[] {
    const accounts = [...driverAccounts(this.driver.parts()), ...shadowAccounts(this.relay.parts())];
    return [
      ...accounts.flatMap(({ problems }) => problems),
      ...this.unmarked.map((page) => `page ${page} used, not marked`),
    ];
  }

  /** Guest-visible used ring of a queue: index and entries, without flags and event word. */
  usedRing(queue = 0): Uint8Array {
    const bytes = usedRingBytes(this.config.queueSize) - 4;
    return new Uint8Array(this.arena.regions[0]!.buffer).slice(
      this.layouts[queue]!.used + 2,
      this.layouts[queue]!.used + 2 + bytes,
    );
  }

  /** Keeps a role from taking its turns, or lets it take them again. */
  stall(name: SeatName, stalled: boolean): void {
    this.#seat(name).stalled = stalled;
  }

  /** Rings the bell of a role's thread, as a command does. */
  ring(name: SeatName): void {
    this.#bellOf(name).ring();
  }

  /** Which roles have work that nobody told them of, as a thread asks itself when its sleep times out; wakes all. */
  timeout(): SeatName[] {
    const found = this.#seats.filter((seat) => !seat.arm()).map(({ name }) => name);
    this.inline.wake();
    return found;
  }

  /** Throws the driver away and boots a new one, with a pass of its own to do. */
  replaceDriver(): void {
    this.driver = this.#makeDriver();
    this.#seatAll();
    this.ring("driver");
  }

  /** Throws the relay away and starts a new one on what others left behind. */
  replaceRelay(left: shipping.RelayOutside): void {
    this.relay = this.#makeRelay(left);
    this.#seatAll();
    this.ring("relay");
  }

  /** Throws the device away and starts a new one, which goes on for it or is found as after power-on. */
  replaceDevice(takesOver: boolean): void {
    this.device = this.#makeDevice(takesOver);
    this.#seatAll();
    this.ring("device");
  }

  #makeOracle(): GuestOracle | undefined {
    const { judged = false, log = new RealMemory(this.arena.log) } = this.#outside;
    return judged === false ? undefined : new GuestOracle(this.config, this.arena, this.layouts, log);
  }

  #makeDriver(): Driver {
    const { oracle, config } = this;
    const views = driverViews(driverShare(this.arena));
    const regions = views.regions.map((region, i) => ({
      ...region,
      memory: oracle?.mirrored(region.memory, i) ?? region.memory,
    }));
    return this.#make.makeDriver(
      config,
      { ...views, regions },
      {
        workload: (queues, guest) => {
          const { requestBytes, segments } = config;
          const slots = queues.flatMap((queue) => queue.slots);
          const context = { guest, slots, requestBytes, segments, input: this.sent, poison: oracle !== undefined };
          this.#workload = makeWorkload(config, context);
          watchCompletions(this.#workload, (slot) => {
            if (this.marksExpected) this.unmarked.push(...oracle!.unmarked(slots[slot]!.in, requestBytes));
          });
          return this.#workload;
        },
        now: () => this.inline.ticks,
        recordLatency: () => {},
        ...this.#outside.driver,
      },
    );
  }

  #makeRelay(left: shipping.RelayOutside): Relay {
    const { log, relay } = this.#outside;
    const wrapLog = log === undefined ? {} : { wrapLog: () => log };
    return this.#make.makeRelay(this.config, relayViews(this.arena), { ...wrapLog, ...relay, ...left });
  }

  #makeDevice(takesOver: boolean): Device {
    const { device } = this.#outside;
    const model = device?.model ?? (this.config.device === "net" ? new NetDevice() : new NullDevice());
    return this.#make.makeDevice(this.config, deviceViews(deviceShare(this.arena)), { ...device, model, takesOver });
  }

  #seatAll(): void {
    for (const name of SEATS) this.#seat(name).occupant = this[name];
  }

  #seat(name: SeatName): Seat {
    return this.#seats[SEATS.indexOf(name)]!;
  }

  #bellOf(name: SeatName): Doorbell {
    return this.#bells[bellNumbers(this.config.placement)[name]]!;
  }
}

/** Whether the relay sees what a device writes under this path, and marks it. */
export function isLogged({ path, dirtyLog }: Pick<MachineConfig, "path" | "dirtyLog">): boolean {
  return dirtyLog && (path === "svq" || path === "used-only");
}

/** Calls `look` for a slot at the moment at which the driver learns that its request is done. */
export function watchCompletions(workload: Workload, look: (slot: number) => void): void {
  const finish = workload.finish.bind(workload);
  workload.finish = (number, slot, usedLength) => {
    look(slot);
    return finish(number, slot, usedLength);
  };
}

function makeWorkload(config: MachineConfig, context: WorkloadContext): Workload {
  if (config.device === "blk") return new BlkWorkload(context);
  return config.device === "net" ? new NetWorkload(context) : new NullWorkload(context, config.nullRequests);
}
