import { u16 } from "../../memory/shared-memory.js";
import { inflightRecordBytes } from "../../relay/inflight-record.js";
import { DirtyStamps } from "../oracles/dirty-stamps.js";
import { Violation } from "../oracles/violation.js";
import type { Bench, Ground } from "../rig/ground.js";
import { NaiveDevice } from "../rig/naive-device.js";
import { NaiveGuest } from "../rig/naive-guest.js";
import { type RelayUnderTest, relayParts } from "../rig/relay-under-test.js";
import { WatchedMemory } from "../rig/watched-memory.js";
import { SPACE, World } from "../rig/world.js";
import type { TimelineStep } from "../trace/timeline.js";
import { CrashJudge, Killed, RECORD_SPACE } from "./crash-judge.js";
import type { CrashRelays } from "./crash-relays.js";
import { CrashStory } from "./crash-story.js";
import { type CrashPoint, elementsOf, type Scenario, STEPS, type Step, setupOf, WRITTEN_BYTES } from "./scenario.js";

/** More turns than anybody needs to come to rest. */
const TURNS_MAX = 64;

/** What came of a run. */
export interface CrashRun {
  /** The first thing that was wrong. */
  readonly violation: Violation | undefined;
  /** Relays that died. */
  readonly deaths: number;
  /** Stores of the last relay, up to its end; of one that took over, those of its recovery and its first turn. */
  readonly stores: number;
  /** What happened, when it was asked for. */
  readonly steps: readonly TimelineStep[];
}

/** Runs a scenario once; each relay dies at its point, the one after the last goes on; with `told`, step by step. */
export function runCrash(
  scenario: Scenario,
  kills: readonly CrashPoint[],
  relays: CrashRelays,
  bench: Bench,
  told = false,
): CrashRun {
  return new Run(scenario, kills, relays, bench, told).run();
}

class Run {
  readonly #scenario: Scenario;
  readonly #kills: readonly CrashPoint[];
  readonly #relays: CrashRelays;
  readonly #ground: Ground;
  readonly #world: World;
  readonly #stamps: DirtyStamps;
  readonly #judge: CrashJudge;
  readonly #guest: NaiveGuest;
  readonly #record: WatchedMemory;
  #device: NaiveDevice;
  #relay: RelayUnderTest | undefined;
  #deaths = 0;
  #offered = 0;
  #asleep = false;
  /** The other sides sleep until they are told. */
  #kicked = false;
  #called = false;
  #recoveryStores = 0;
  readonly #story: CrashStory | undefined;

  constructor(scenario: Scenario, kills: readonly CrashPoint[], relays: CrashRelays, bench: Bench, told: boolean) {
    this.#scenario = scenario;
    this.#kills = kills;
    this.#relays = relays;
    const setup = setupOf(scenario);
    this.#ground = bench.ground(setup.shadowNum);
    this.#world = new World(setup, this.#ground);
    this.#stamps = new DirtyStamps(this.#world, this.#ground);
    const bytes = new ArrayBuffer(inflightRecordBytes(setup.num));
    this.#record = new WatchedMemory(bytes, RECORD_SPACE);
    this.#judge = new CrashJudge(this.#world, this.#stamps, new Uint8Array(bytes));
    this.#story = told ? new CrashStory(this.#world, () => this.#device) : undefined;
    const watch = this.#story?.over(this.#judge) ?? this.#judge;
    for (const memory of [...this.#ground.memories, this.#record]) memory.watch = watch;
    this.#guest = new NaiveGuest(this.#world, this.#stamps);
    this.#device = this.#newDevice();
  }

  run(): CrashRun {
    let violation: Violation | undefined;
    try {
      // It asks to be called for the first that is used.
      this.#guest.reap();
      this.#live();
      for (const step of STEPS) this.#do(step);
      this.#settle();
      this.#end();
    } catch (error) {
      // What a relay throws of its own is a finding as well.
      violation = error instanceof Violation ? error : new Violation("O8", 36, `it threw ${String(error)}`);
    }
    const stores = this.#recoveryStores || this.#judge.stores;
    return { violation, deaths: this.#deaths, stores, steps: this.#story?.steps ?? [] };
  }

  #do(step: Step): void {
    switch (step) {
      case "offer":
        for (let i = 0; i < this.#scenario.chains; i++) this.#offer();
        this.#publish();
        break;
      case "offer-one":
        this.#offer();
        this.#publish();
        break;
      case "relay":
        this.#untilAsleep();
        break;
      case "take":
        this.#take();
        break;
      case "use-last":
        this.#device.use(this.#device.held.length - 1, WRITTEN_BYTES);
        this.#publishUsed();
        break;
      case "use-rest":
        while (this.#device.use(this.#device.held.length - 1, WRITTEN_BYTES));
        this.#publishUsed();
        break;
      case "harvest":
        this.#stamps.harvest();
        break;
      case "reap":
        this.#reap();
    }
  }

  /** A relay begins: the first, or one that takes over. */
  #live(): void {
    const recovering = this.#deaths > 0;
    this.#judge.life(this.#kills[this.#deaths], recovering);
    this.#asleep = false;
    const parts = relayParts(this.#world, this.#ground, {
      kick: () => {
        this.#kicked = true;
      },
      call: () => {
        this.#called = true;
      },
    });
    this.#attempt(() => {
      this.#relay = recovering ? this.#relays.restart(parts, this.#record) : this.#relays.start(parts, this.#record);
      if (!recovering) return;
      this.#judge.recovered();
      this.#relay.step();
      this.#recoveryStores = this.#judge.stores;
    });
  }

  /** Lets the relay do something; when it dies of it, another takes over. */
  #attempt(what: () => void): void {
    try {
      what();
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
      this.#deaths += 1;
      this.#relay = undefined;
      this.#story?.died();
      this.#resetDevice();
      this.#live();
    }
  }

  /** A device whose relay is dead goes on for a while; then it is reset, and its shadow ring with it. */
  #resetDevice(): void {
    this.#stamps.harvest();
    this.#device.take();
    while (this.#device.use(0, WRITTEN_BYTES));
    this.#device.publish();
    this.#ground.sheets[SPACE.shadow]!.clear();
    this.#device = this.#newDevice();
    this.#kicked = false;
  }

  #newDevice(): NaiveDevice {
    // It follows the rules, so that wherever it writes it may.
    return new NaiveDevice(this.#world, this.#stamps, { mayWrite: () => true });
  }

  #offer(): void {
    const { num, start } = this.#world.setup;
    const elements = elementsOf(this.#offered);
    // The relay may be far behind only if it lost chains: then there may be no descriptors left.
    if (!this.#guest.offer(elements, this.#scenario.form)) return;
    this.#story?.did("guest", "offers a chain");
    const slot = u16(start + this.#offered) & (num - 1);
    this.#judge.exposed.set(this.#world.get16(this.#world.guestRing.avail + 4 + slot * 2), elements);
    this.#offered += 1;
  }

  #publish(): boolean {
    const kick = this.#guest.publish();
    if (kick) this.#asleep = false;
    return kick;
  }

  #publishUsed(): void {
    if (this.#device.publish()) this.#asleep = false;
    this.#story?.did("device", "returns what it used");
  }

  #take(): boolean {
    if (!this.#kicked) return false;
    this.#kicked = false;
    const taken = this.#device.take();
    this.#story?.did("device", "takes what it was kicked for");
    return taken;
  }

  #reap(): boolean {
    if (!this.#called) return false;
    this.#called = false;
    const reaped = this.#guest.reap();
    this.#story?.did("guest", "reaps what it was called for");
    return reaped;
  }

  #untilAsleep(): void {
    for (let turn = 0; !this.#asleep; turn++) {
      if (turn === TURNS_MAX) throw new Violation("O7", 38, "it never sleeps");
      this.#attempt(() => {
        this.#judge.turn();
        const moved = this.#relay!.step();
        this.#asleep = !moved && this.#relay!.arm();
      });
    }
  }

  /** Everybody goes on until nobody has been told of anything. */
  #settle(): void {
    for (let moved = true; moved; ) {
      this.#untilAsleep();
      moved = this.#take();
      while (this.#device.use(0, WRITTEN_BYTES)) moved = true;
      this.#publishUsed();
      this.#untilAsleep();
      moved = this.#reap() || moved;
    }
  }

  #end(): void {
    this.#judge.ends();
    if (this.#guest.outstanding > 0) throw new Violation("O5", 25, "used, and the guest was never called");
    this.#relay!.abandon();
    this.#stamps.checkAll("at the end");
    this.#stamps.harvest();
    this.#stamps.compare();
  }
}
