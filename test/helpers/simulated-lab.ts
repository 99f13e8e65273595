import type { Device } from "../../src/device/device.js";
import { NetDevice } from "../../src/device/net-device.js";
import { NullDevice } from "../../src/device/null-device.js";
import type { Driver } from "../../src/driver/driver.js";
import { NetWorkload } from "../../src/driver/net-workload.js";
import { NullWorkload } from "../../src/driver/null-workload.js";
import type { Workload } from "../../src/driver/workload.js";
import { IOTLB_TABLE_BYTES } from "../../src/iova/iotlb.js";
import { arenaMap, IOTLB_OFFSETS } from "../../src/machine/arena.js";
import { guestLayout, makeDevice, makeDriver, makeRelay } from "../../src/machine/assemble.js";
import type { MachineConfig } from "../../src/machine/config.js";
import type { Role } from "../../src/memory/role.js";
import type { SharedMemory } from "../../src/memory/shared-memory.js";
import { randomDrains } from "../../src/memory/simulated/random-drains.js";
import { SimulatedMachine } from "../../src/memory/simulated/simulated-machine.js";
import { SimulatedMemory } from "../../src/memory/simulated/simulated-memory.js";
import type { MemoryModel } from "../../src/memory/simulated/store-buffer.js";
import type { Relay } from "../../src/relay/relay.js";
import { COUNTER_BLOCK_BYTES } from "../../src/telemetry/counters.js";
import { driverAccounts, shadowAccounts } from "./accounting.js";
import { isLogged, SMALL, watchCompletions } from "./inline-machine.js";

const PARTIES = ["driver", "relay", "device"] as const;
/** A party of the lab. */
export type Party = (typeof PARTIES)[number];

/** How a run in simulated memory is to be. */
export interface LabOptions {
  readonly config: Partial<MachineConfig>;
  readonly model: MemoryModel;
  readonly seed: number;
  readonly publish?: "release" | "seq_cst";
  readonly owners?: boolean;
  /** Stands between a party and its memory. */
  readonly wrap?: (memory: SharedMemory, party: Party) => SharedMemory;
  /** Stands in for a role. */
  readonly wrapRole?: (role: Role) => Role;
  /** Called before each turn of the outermost level, for what a test does in between. */
  readonly each?: (lab: { readonly relay: Relay; readonly draw: (limit: number) => number }) => void;
}

/** What came of a run: "fine", or the first thing that was wrong. */
export interface LabResult {
  readonly verdict: string;
  readonly accesses: number;
  /** Times a party acted in the midst of another's step. */
  readonly preemptions: number;
}

/** Runs a machine over simulated memory: parties interrupt each other at any access and wake by bells only. */
export function runLab(options: LabOptions): LabResult {
  const lab = new Lab(options);
  let verdict = "fine";
  try {
    verdict = lab.run();
  } catch (error) {
    verdict = String(error);
  }
  return { verdict, accesses: lab.accesses, preemptions: lab.preemptions };
}

const STEPS_MAX = 40_000;

class Lab {
  accesses = 0;
  preemptions = 0;
  readonly #options: LabOptions;
  readonly #config: MachineConfig;
  readonly #machine: SimulatedMachine;
  readonly #driver: Driver;
  readonly #relay: Relay;
  readonly #device: Device;
  readonly #workload: Workload;
  readonly #input: Uint8Array;
  readonly #roles: Readonly<Record<Party, Role>>;
  readonly #active = new Set<Party>();
  readonly #asleep = new Set<Party>();
  readonly #log: SimulatedMemory;
  #unmarked = "";
  #random: number;
  #steps = 0;

  constructor(options: LabOptions) {
    const { seed, model, publish = "release", owners = true } = options;
    this.#options = options;
    this.#random = Math.imul(seed, 0x9e37_79b1) | 1;
    this.#config = { ...SMALL, ramBytes: 2 ** 16, requestBytes: 80, seed, ...options.config };
    this.#input = Uint8Array.from({ length: 1000 }, (_, i) => (i * 31 + seed) & 0xff);
    const drainPolicy = randomDrains(seed, 0.3);
    this.#machine = new SimulatedMachine({ parties: PARTIES, model, publish, owners, drainPolicy });
    const memories = this.#memories();
    this.#log = memories["dirty log"]!;
    let workload!: Workload;
    const layouts = guestLayout(this.#config);
    this.#driver = makeDriver(this.#config, this.#views(memories, "driver"), {
      workload: (_, guest) => {
        const slots = layouts.flatMap((layout) => layout.slots);
        const { requestBytes, segments, device, nullRequests } = this.#config;
        const context = { guest, slots, requestBytes, segments, input: this.#input, poison: true };
        workload = device === "net" ? new NetWorkload(context) : new NullWorkload(context, nullRequests);
        watchCompletions(workload, (slot) => this.#judgeMarks(slots[slot]!.in >>> 12));
        return workload;
      },
      now: () => 0,
      recordLatency: () => {},
    });
    this.#workload = workload;
    this.#relay = makeRelay(this.#config, {
      ...this.#views(memories, "relay"),
      shadowRings: this.#port(memories["shadow rings"]!, "relay"),
      deviceRegisters: this.#port(memories["device registers"]!, "relay"),
      iotlb: this.#port(memories["iotlb"]!, "relay"),
      log: this.#port(memories["dirty log"]!, "relay"),
    });
    const deviceViews = this.#views(memories, "device");
    this.#device = makeDevice(
      this.#config,
      {
        ...deviceViews,
        backings: [...deviceViews.regions.map(({ memory }) => memory), this.#port(memories["shadow rings"]!, "device")],
        deviceRegisters: this.#port(memories["device registers"]!, "device"),
        iotlb: this.#port(memories["iotlb"]!, "device"),
        iotlbTable: { buffer: new ArrayBuffer(IOTLB_TABLE_BYTES), offset: 0 },
      },
      { model: this.#config.device === "net" ? new NetDevice() : new NullDevice() },
    );
    const wrap = options.wrapRole ?? ((role: Role) => role);
    this.#roles = { driver: wrap(this.#driver), relay: wrap(this.#relay), device: wrap(this.#device) };
    this.#machine.onAccess = ({ party }) => this.#interrupt(party as Party);
  }

  /** Runs one pass to its end and judges it. */
  run(): string {
    const { requestCount } = this.#workload;
    this.#driver.begin({ pass: 1, first: 0, count: requestCount });
    while (!this.#driver.done && !this.#driver.failed) {
      this.#options.each?.({ relay: this.#relay, draw: (limit) => this.#draw(limit) });
      const party = PARTIES[this.#draw(3)]!;
      if (this.#mayRun(party)) this.#turn(party);
      else if (this.#nobodyMoves()) return `asleep with ${requestCount - this.#driver.state.completed} requests out`;
      if (++this.#steps > STEPS_MAX) return "never done";
    }
    return this.#judge();
  }

  #judge(): string {
    const { lost, duplicated, refused, fault } = this.#driver.end();
    if (lost + duplicated + refused > 0 || fault !== undefined) {
      return `${lost} lost, ${duplicated} doubled, ${refused} refused, ${fault ?? "no fault"}`;
    }
    if (this.#relay.faults.length > 0) return String(this.#relay.faults[0]);
    if (this.#config.device === "net" && Buffer.compare(this.#workload.received, this.#input) !== 0)
      return "other bytes";
    const accounts = [...driverAccounts(this.#driver.parts()), ...shadowAccounts(this.#relay.parts())];
    const problem = accounts.flatMap(({ problems }) => problems)[0];
    return problem ?? (this.#unmarked === "" ? "fine" : this.#unmarked);
  }

  /** At each completion the page of the buffer has been marked, since the completion before of the same slot. */
  #judgeMarks(page: number): void {
    if (!isLogged(this.#config)) return;
    const at = (page >>> 5) * 4;
    const bit = 1 << (page & 31);
    if ((this.#log.peek32(at) & bit) === 0) this.#unmarked = `page ${page} was used and is not marked`;
    this.#log.poke32(at, this.#log.peek32(at) & ~bit);
  }

  /** One go of a party: takes its ring, steps, and when there was nothing to do arms and perhaps falls asleep. */
  #turn(party: Party): void {
    const role = this.#roles[party];
    this.#active.add(party);
    this.#asleep.delete(party);
    try {
      this.#machine.bell(party).take();
      if (!role.step() && role.arm()) this.#asleep.add(party);
    } finally {
      this.#active.delete(party);
    }
  }

  #mayRun(party: Party): boolean {
    if (this.#active.has(party)) return false;
    return !this.#asleep.has(party) || this.#machine.bell(party).pending;
  }

  /** Nobody can run, not even once all that is stored has become visible. */
  #nobodyMoves(): boolean {
    if (PARTIES.some((party) => this.#mayRun(party))) return false;
    this.#machine.drainAll();
    return true;
  }

  /** Before an access of one party, another one may have a go. */
  #interrupt(party: Party): undefined {
    this.accesses += 1;
    if (this.#draw(12) !== 0) return undefined;
    const other = PARTIES[this.#draw(3)]!;
    if (other === party || !this.#mayRun(other)) return undefined;
    this.preemptions += 1;
    this.#turn(other);
    return undefined;
  }

  #memories(): Record<string, SimulatedMemory> {
    const zeroed = ["guest registers", "device registers", "notifiers", "iotlb", "dirty log"];
    return Object.fromEntries(
      arenaMap(this.#config)
        .filter(({ name }) => name !== "bells" && name !== "counters")
        .map(({ name, bytes }) => {
          const size = name === "iotlb" ? IOTLB_OFFSETS.table : bytes;
          const fill = zeroed.includes(name) ? { fill: 0 } : {};
          return [name, new SimulatedMemory(this.#machine, size, { name, ...fill })];
        }),
    );
  }

  #views(memories: Record<string, SimulatedMemory>, party: Party) {
    const regions = arenaMap(this.#config).filter(({ gpa }) => gpa !== undefined);
    return {
      regions: regions.map(({ name, gpa, bytes }) => ({
        gpa: gpa!,
        bytes,
        memory: this.#port(memories[name]!, party),
      })),
      guestRegisters: this.#port(memories["guest registers"]!, party),
      notifiers: this.#port(memories["notifiers"]!, party),
      bells: this.#machine.ringers(party),
      counters: new Float64Array(COUNTER_BLOCK_BYTES / 8),
    };
  }

  #port(memory: SimulatedMemory, party: Party): SharedMemory {
    const port = memory.port(party);
    return this.#options.wrap?.(port, party) ?? port;
  }

  #draw(limit: number): number {
    let x = this.#random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#random = x | 0;
    return (Math.imul(x, 0x85eb_ca6b) >>> 8) % limit;
  }
}
