import type { Behaviour } from "../../device/completions.js";
import type { DeviceModel } from "../../device/device-model.js";
import { NetDevice } from "../../device/net-device.js";
import { logBytes } from "../../dirty/dirty-log.js";
import { guestRegions } from "../../machine/arena.js";
import { addressPlan } from "../../machine/assemble.js";
import type { MachineConfig } from "../../machine/config.js";
import { AllAsleep, TooManySteps } from "../../machine/inline.js";
import { PAGE_BYTES } from "../../memory/address.js";
import type { Notifier } from "../../memory/bell.js";
import type { RunCounts } from "./fault-kind.js";
import { SwappableLog } from "./swappable-log.js";
import { type Choose, choices } from "./variations.js";
import { type RoleMakers, WholeMachine } from "./whole-machine.js";

/** Which way a notification goes. */
export type Direction = "kick" | "call";

/** What came of a run. */
export interface Verdict {
  /** Requests that never came back, or not with the bytes that were sent. */
  readonly lost: number;
  /** Completions of requests that were not outstanding. */
  readonly duplicated: number;
  /** Pages that changed and that no mark told of in time. */
  readonly missedDirtyPages: number;
  /** Whether it ended in sleep, or not at all, with work to do. */
  readonly hung: boolean;
  /** Sleeps that ended by their time limit and found work. */
  readonly timeouts: number;
  /** Sentences about all that was not as it should be. */
  readonly what: readonly string[];
}

/** Steps of a run at most; a run without a fault takes a few hundred. */
const STEPS_MAX = 50_000;
/** Steps that a run which slept for no reason is given to show whether its requests are there. */
const REVIVED_STEPS_MAX = 5_000;

/** How far a remap moves all addresses: so little that each was another mapping's before. */
const MOVED_BYTES = 5 * PAGE_BYTES;

interface Pending {
  readonly due: () => boolean;
  readonly act: () => void;
  /** Whether the run goes on until it has come. */
  readonly awaited: boolean;
}

/** One run of a whole machine, with a place for each fault to strike, and its verdict. */
export class FaultRun {
  readonly machine: WholeMachine;
  readonly log: SwappableLog;
  /** How the device returns what it serves from now on. */
  readonly behaviour: { -readonly [Name in keyof Behaviour]: Behaviour[Name] };
  /** Choices of a fault that its position leaves open. */
  readonly choose: Choose;
  /** Added to the driver's clock. */
  clockOffsetNs = 0;
  /** How often the device's address space was moved. */
  remaps = 0;
  /** Number of the pass under way; a guest that boots anew begins the next. */
  pass = 0;
  /** Sleeps that may end by their time limit. */
  timeoutsMax = 0;
  /** Called instead of a signal, with its number among those of its direction and among all. */
  onSignal: (direction: Direction, number: number, ofAll: number, deliver: () => void) => void = (...args) => args[3]();
  /** Called before the device serves a request. */
  onRequest: (number: number) => void = (number) => this.#delay(number);
  readonly #counts = { kicks: 0, calls: 0, requests: 0 };
  #turns = 0;
  #timeouts = 0;
  #pending: Pending[] = [];

  /** `seed` is that of the choices; the config has its own. */
  constructor(config: MachineConfig, seed: number, make: Partial<RoleMakers> = {}) {
    const { order, delaySteps, deviceBatch } = config;
    const last = guestRegions(config.ramBytes, config.hole).at(-1)!;
    this.behaviour = { order, delaySteps, batch: deviceBatch, seed: config.seed };
    this.choose = choices(seed);
    this.log = new SwappableLog(logBytes(last.gpa + last.bytes));
    this.machine = new WholeMachine(config, {
      inputBytes: (config.depth + 2) * config.requestBytes,
      judged: true,
      log: this.log,
      make,
      driver: { wrapKick: this.#wrap("kick"), now: () => this.machine.inline.ticks + this.clockOffsetNs },
      relay: {
        wrapKick: this.#wrap("kick"),
        wrapCall: this.#wrap("call"),
        plan: (path) => addressPlan(this.#movedConfig(config), path),
      },
      device: { wrapCall: this.#wrap("call"), behaviour: this.behaviour, model: this.#model() },
    });
  }

  /** What there was in the run so far. */
  get counts(): RunCounts {
    return { steps: this.machine.inline.ticks, ...this.#counts };
  }

  /** Does something between two steps, once so many were taken. */
  at(step: number, act: () => void): void {
    this.when(() => this.machine.inline.ticks >= step, act);
  }

  /** Does something between two steps, once a condition holds; the run does not end before. */
  when(due: () => boolean, act: () => void): void {
    this.#pending.push({ due, act, awaited: true });
  }

  /** Does something some turns later, of which sleepers take none; when the run has ended, not at all. */
  later(turns: number, act: () => void): void {
    const turn = this.#turns + turns;
    this.#pending.push({ due: () => this.#turns >= turn, act, awaited: false });
  }

  /** Gives the driver all requests of a pass to do. */
  begin(): void {
    this.machine.driver.begin({ pass: this.pass, first: 0, count: this.machine.requestCount });
  }

  /** Runs to the end, and judges. */
  run(): Verdict {
    this.begin();
    this.machine.inline.wake();
    const end = this.#untilEnd();
    if (end !== undefined) this.#revive();
    return this.#judge(end);
  }

  /** Why it did not end as it should; undefined when it did. */
  #untilEnd(): string | undefined {
    const { inline } = this.machine;
    for (;;) {
      try {
        inline.run(() => this.#turn(), STEPS_MAX);
        this.machine.settle();
        return undefined;
      } catch (error) {
        if (!(error instanceof AllAsleep && this.#timeouts < this.timeoutsMax)) return String(error);
        this.#timeouts += 1;
        const found = this.machine.timeout();
        if (found.length === 0) return "everybody sleeps and nobody has work";
      }
    }
  }

  /** Called before each turn; true when all is done. */
  #turn(): boolean {
    this.#turns += 1;
    // What one of them adds is looked at in the next turn.
    const pending = this.#pending;
    this.#pending = [];
    const left = pending.filter((each) => {
      const due = each.due();
      if (due) each.act();
      return !due;
    });
    this.#pending = [...left, ...this.#pending];
    const { driver, relay } = this.machine;
    if (driver.failed) return true;
    return driver.done && !relay.switching && !this.#pending.some(({ awaited }) => awaited);
  }

  /** Wakes everybody again and again: what comes back now was late, what does not is lost. */
  #revive(): void {
    const { inline, driver } = this.machine;
    for (let left = REVIVED_STEPS_MAX; left > 0; left -= 100) {
      try {
        inline.wake();
        inline.run(() => driver.done || driver.failed, 100);
        return;
      } catch (error) {
        if (!(error instanceof AllAsleep || error instanceof TooManySteps)) return;
      }
    }
  }

  #judge(end: string | undefined): Verdict {
    const { machine } = this;
    const what = end === undefined ? [] : [end];
    const { lost, duplicated, refused, fault } = machine.driver.end();
    if (lost > 0) what.push(`${lost} requests never came back`);
    if (duplicated > 0) what.push(`${duplicated} completions of requests that were not outstanding`);
    if (refused > 0) what.push(`${refused} requests came back unserved`);
    if (fault !== undefined) what.push(`the driver gave up: ${fault}`);
    what.push(...machine.relay.faults.map(({ message }) => `the relay gave a queue up: ${message}`));
    const spoilt = lost + refused === 0 && Buffer.compare(machine.received(), machine.sent) !== 0 ? 1 : 0;
    if (spoilt > 0) what.push("a request came back with other bytes than it was sent with");
    const missed = new Set(machine.unmarked);
    if (end === undefined) what.push(...this.#settled(missed));
    if (missed.size > 0) what.push(`pages not marked in time: ${[...missed].join(", ")}`);
    return {
      lost: lost + refused + spoilt,
      duplicated,
      missedDirtyPages: missed.size,
      hung: end !== undefined,
      timeouts: this.#timeouts,
      what,
    };
  }

  /** Judges RAM and books of a machine at rest; adds to the pages that were missed. */
  #settled(missed: Set<number>): string[] {
    const { machine } = this;
    const oracle = machine.oracle!;
    oracle.sync();
    if (machine.marksExpected) for (const page of oracle.missing()) missed.add(page);
    machine.unmarked.length = 0;
    return [...machine.bookProblems(), ...oracle.strays().map((place) => `stray write: ${place}`)];
  }

  #wrap(direction: Direction): (inner: Notifier) => Notifier {
    return (inner) => ({
      signal: () => {
        const { kicks, calls } = this.#counts;
        this.#counts[`${direction}s`] += 1;
        this.onSignal(direction, direction === "kick" ? kicks : calls, kicks + calls, () => inner.signal());
      },
      take: () => inner.take(),
      attach: (waiter) => inner.attach(waiter),
      detach: () => inner.detach(),
    });
  }

  #model(): DeviceModel {
    const inner = new NetDevice();
    return {
      name: inner.name,
      features: inner.features,
      serve: (request) => {
        this.onRequest(this.#counts.requests);
        this.#counts.requests += 1;
        return inner.serve(request);
      },
      close: () => inner.close(),
    };
  }

  /** A device out of order lets every third request be overtaken, so that all faults meet holes in the rings. */
  #delay(number: number): void {
    const { order, delaySteps } = this.machine.config;
    if (order === "out-of-order") this.behaviour.delaySteps = number % 3 === 0 ? delaySteps * 6 : delaySteps;
  }

  /** The same machine with its guest RAM elsewhere for the device, and cut differently. */
  #movedConfig(config: MachineConfig): MachineConfig {
    if (this.remaps === 0) return config;
    const mappings = [1, 5, 40][this.remaps % 3]!;
    return { ...config, apertureFirst: config.apertureFirst + this.remaps * MOVED_BYTES, mappings };
  }
}
