import type { Device } from "../../device/device.js";
import type { CountedMemory } from "../../dirty/counted-memory.js";
import type { Driver } from "../../driver/driver.js";
import { type Arena, bellNumbers } from "../../machine/arena.js";
import { guestLayout, makeDevice, makeDriver, makeRelay } from "../../machine/assemble.js";
import type { MachineConfig } from "../../machine/config.js";
import { InlineMachine } from "../../machine/inline.js";
import { deviceShare, deviceViews, doorbells, driverShare, driverViews, relayViews } from "../../machine/views.js";
import { assert } from "../../memory/assert.js";
import type { DenseRam } from "../../memory/guest-ram.js";
import { RealMemory } from "../../memory/real-memory.js";
import type { Role } from "../../memory/role.js";
import { type Relay, SWITCH } from "../../relay/relay.js";
import type { RingState } from "../../ring/ring-state.js";
import { DeviceTransport } from "../../transport/device-transport.js";
import type { WritePort } from "../../vfio/dma.js";
import { FillDevice, FillWorkload } from "./fill-workload.js";
import { PortMemory } from "./port-memory.js";

/** The ports of the three parties. */
export interface MachinePorts {
  readonly vcpu: WritePort;
  readonly vmm: WritePort;
  readonly device: WritePort;
}

/** Turns in which a machine that was asked for something has to have done it. */
const TURNS_MAX = 100_000;
/** Requests of one job: more than any migration sees. */
const REQUESTS = 2 ** 40;

/** Driver, relay and device of the shipping classes on one thread, with a choke point in front of each one's RAM. */
export class GuestMachine {
  readonly config: MachineConfig;
  /** The guest's vCPUs do not run. */
  paused = false;
  readonly #ports: MachinePorts;
  readonly #sloppy: boolean;
  readonly #log: CountedMemory;
  readonly #driver: Driver;
  readonly #inline: InlineMachine;
  readonly #seats: Role[] = [];
  readonly #driverMemory: readonly PortMemory[];
  #arena: Arena;
  #relay!: Relay;
  #device!: Device;

  /** `log`: where the relay marks, which has to be of the arena's size. */
  constructor(config: MachineConfig, arena: Arena, ports: MachinePorts, log: CountedMemory, sloppy: boolean) {
    this.config = config;
    this.#arena = arena;
    this.#ports = ports;
    this.#log = log;
    this.#sloppy = sloppy;
    const views = driverViews(driverShare(arena));
    this.#driverMemory = views.regions.map(({ memory, gpa }) => new PortMemory(memory, ports.vcpu, gpa));
    this.#driver = this.#makeDriver(views);
    this.#plugIn(undefined);
    this.#inline = this.#makeInline();
    this.#driver.begin({ pass: 0, first: 0, count: REQUESTS });
    this.run(2000);
  }

  /** Requests that came back. */
  get completed(): number {
    return this.#driver.state.completed;
  }

  /** Why it is not sane, for messages. */
  get complaint(): string {
    const { duplicated, refused } = this.#driver.state;
    return JSON.stringify({ duplicated, refused, fault: this.#driver.fault, relay: this.#relay.faults });
  }

  /** Whether every request came back once and as it had to be. */
  get sane(): boolean {
    const { duplicated, refused } = this.#driver.state;
    return duplicated === 0 && refused === 0 && !this.#driver.failed && this.#relay.faults.length === 0;
  }

  /** The relay, for changes of path. */
  get relay(): Relay {
    return this.#relay;
  }

  /** Lets everybody take turns, `turns` in all. */
  run(turns: number): void {
    this.#inline.wake();
    const end = this.#inline.ticks + turns;
    this.#inline.run(() => this.#inline.ticks >= end);
  }

  /** Asks for a data path and runs until it is there. */
  switchTo(path: "svq" | "passthrough"): void {
    const asked = this.#relay.requestPath(path);
    assert(asked, "whoever switches has asked shadowRefusals()");
    this.#until(() => !this.#relay.switching);
  }

  /** Brings relay and device to rest, with vCPUs standing still: the device has returned all it took. */
  rest(): void {
    this.paused = true;
    const asked = this.#relay.requestRemap();
    assert(asked, "the device can rest");
    this.#until(() => this.#relay.state.switching === SWITCH.resetting);
  }

  /** Goes on after rest(). */
  wake(): void {
    this.paused = false;
    this.#until(() => !this.#relay.switching);
  }

  /** Goes on after rest() in other RAM, with a relay and a device that know nothing yet. */
  moveTo(ram: DenseRam): void {
    const states = this.#ringStates();
    const { guestRegisters, notifiers, bells, counters } = this.#arena;
    const fresh = (buffer: SharedArrayBuffer) => new SharedArrayBuffer(buffer.byteLength);
    this.#arena = {
      // What the guest sees of its device goes with it; what the device was told by the last relay does not.
      guestRegisters,
      notifiers,
      bells,
      counters,
      regions: ram.blocks,
      shadowRings: fresh(this.#arena.shadowRings),
      deviceRegisters: fresh(this.#arena.deviceRegisters),
      iotlb: fresh(this.#arena.iotlb),
      log: fresh(this.#arena.log),
    };
    for (const [i, memory] of this.#driverMemory.entries()) memory.moveTo(ram.blocks[i]!.buffer);
    this.#plugIn(states);
    this.paused = false;
    for (const bell of doorbells(bells)) bell.ring();
  }

  #until(done: () => boolean): void {
    this.#inline.wake();
    for (let turn = 0; !done(); turn++) {
      assert(turn < TURNS_MAX, "a machine does what it was asked for");
      this.#relay.step();
      this.#device.step();
    }
  }

  #plugIn(ringStates: readonly RingState[] | undefined): void {
    const { vmm, device } = this.#ports;
    const log = ringStates === undefined ? this.#log : undefined;
    const relayed = relayViews(this.#arena);
    const regions = relayed.regions.map((region) => ({
      ...region,
      // A chain is marked before its used entry is written, the ring after: each store ends what belongs to one mark.
      memory: new PortMemory(region.memory, vmm, region.gpa, () => this.#log.nextMark()),
    }));
    this.#relay = makeRelay(
      this.config,
      { ...relayed, regions },
      { ringStates, ...(log === undefined ? {} : { wrapLog: () => log }) },
    );
    const seen = deviceViews(deviceShare(this.#arena));
    const backings = seen.backings.map((memory, i) => {
      const region = this.#arena.regions[i];
      // The last one holds the relay's rings, which are not guest RAM.
      return region === undefined ? memory : new PortMemory(memory, device, region.gpa);
    });
    const model = new FillDevice(this.#sloppy && ringStates === undefined);
    this.#device = makeDevice(this.config, { ...seen, backings }, { model });
  }

  #makeDriver(views: ReturnType<typeof driverViews>): Driver {
    const regions = views.regions.map((region, i) => ({ ...region, memory: this.#driverMemory[i]! }));
    const { requestBytes, segments } = this.config;
    return makeDriver(
      this.config,
      { ...views, regions },
      {
        workload: (layouts, guest) => {
          const slots = layouts.flatMap((layout) => layout.slots);
          return new FillWorkload({ guest, slots, requestBytes, segments, input: new Uint8Array(0) });
        },
        now: () => 0,
        recordLatency: () => {},
      },
    );
  }

  #makeInline(): InlineMachine {
    const bells = doorbells(this.#arena.bells);
    const numbers = bellNumbers(this.config.placement);
    this.#seats.push(
      seat(
        "driver",
        () => this.#driver,
        () => !this.paused && this.#ports.vcpu.ready(),
      ),
      seat(
        "relay",
        () => this.#relay,
        () => {
          this.#log.nextMark();
          return true;
        },
      ),
      seat(
        "device",
        () => this.#device,
        () => this.#ports.device.ready(),
      ),
    );
    const rung = (name: string) => () => bells[numbers[name as keyof typeof numbers]]!.observe();
    return new InlineMachine(
      this.#seats.map((role) => ({ role, rung: rung(role.name) })),
      this.config.seed,
    );
  }

  /** Where each of the guest's rings stands by its used index: chains are in flight from there on. */
  #ringStates(): RingState[] {
    const registers = new DeviceTransport(
      new RealMemory(this.#arena.guestRegisters),
      0,
      { ring: () => {} },
      this.config.queues,
    );
    const memory = new RealMemory(this.#arena.regions[0]!.buffer);
    return guestLayout(this.config).map(({ used }, queue) => {
      assert(registers.queueSetup(queue) !== undefined, "the guest runs when it is migrated");
      const usedIdx = memory.observe16(used + 2);
      return { lastAvailIdx: usedIdx, usedIdx };
    });
  }
}

/** A place for a role that can be replaced, and that takes its turns only when it may. */
function seat(name: string, occupant: () => Role, may: () => boolean): Role {
  // Who may not take a turn has not slept either.
  return { name, step: () => may() && occupant().step(), arm: () => may() && occupant().arm() };
}
