import {
  VIRTIO_CONFIG_S_ACKNOWLEDGE,
  VIRTIO_CONFIG_S_DRIVER,
  VIRTIO_CONFIG_S_DRIVER_OK,
  VIRTIO_CONFIG_S_FAILED,
  VIRTIO_CONFIG_S_FEATURES_OK,
  VIRTIO_CONFIG_S_NEEDS_RESET,
  VIRTIO_CONFIG_S_SUSPEND,
} from "../layout/virtio-config.js";
import { joinHalves } from "../memory/address.js";
import type { Bell } from "../memory/bell.js";
import type { Parts } from "../memory/role.js";
import { type SharedMemory, u16 } from "../memory/shared-memory.js";
import type { QueueSetup } from "./driver-transport.js";
import { QUEUE_REGISTERS as Q, queueRegisters, DEVICE_REGISTERS as R } from "./registers.js";

/** What comes before FEATURES_OK (VIRTIO 1.3, 3.1.1). */
const BEGUN_BITS = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
/** Status bits that read back as written; the others wait for the device. */
const STEP_BITS = BEGUN_BITS | VIRTIO_CONFIG_S_FAILED;

/** What a device still owes its driver, without any news from it. */
const OWED = {
  nothing: 0,
  /** Another look: a request was answered, and another may stand beside it. */
  look: 1,
  /** The end of a request whose answer was "later". */
  answer: 2,
} as const;

/** The answer to a request that may take several steps. */
export type Answer = "done" | "later" | "refused";

/** What a device does when its driver changes a register; each call may be repeated until it is "done". */
export interface DeviceSide {
  /** Drops everything; no ring access once it is done (RESET-02). */
  reset(): Answer;
  /** Judges the accepted features; "refused" leaves FEATURES_OK clear. */
  negotiate(features: bigint): Answer;
  /** Starts every enabled queue (DRIVER_OK was set). */
  start(): Answer;
  /** Finishes what was taken, then rests; stores each queue's base (SUSP-14). */
  suspend(): Answer;
  /** Goes on after a suspension, with queues that may have been reset and set up anew. */
  resume(): Answer;
  /** Drops one queue (VIRTIO 1.3, 2.6.1). */
  resetQueue(queue: number): Answer;
}

/** The device's side of a virtio device: shows what it offers and answers what the driver writes. */
export class DeviceTransport {
  readonly queueCount: number;
  readonly state = {
    /** Driver version handled last. */
    seen: 0,
    /** Version of the device's registers. */
    version: 0,
    /** Status as it reads back. */
    shown: 0,
    /** Written status that `shown` answers. */
    answered: 0,
    /** Written status that is being answered. */
    handling: 0,
    /** One of OWED. */
    pending: OWED.nothing as number,
    /** Features as the driver had written them when it set FEATURES_OK: two halves, as int32. */
    featuresLow: 0,
    featuresHigh: 0,
    /** 1 while it has yet to answer, for a device that is gone, what the driver had written up to FEATURES_OK. */
    takingOver: 0,
  };
  readonly #memory: SharedMemory;
  readonly #base: number;
  readonly #peer: Bell;

  /** Owns the registers at `base` for `queueCount` queues; `peer` wakes the driver. */
  constructor(memory: SharedMemory, base: number, peer: Bell, queueCount: number) {
    this.#memory = memory;
    this.#base = base;
    this.#peer = peer;
    this.queueCount = queueCount;
  }

  /**
   * Goes on for a device that is gone, with the driver it had: its steps are taken again, as it wrote them.
   *
   * Call it before offer(). Without it a device is found as after power-on, and its driver has to begin anew.
   */
  takeOver(): void {
    this.state.takingOver = 1;
  }

  /** Shows the device to its driver: features, number of queues, largest queue size. */
  offer(features: bigint, queueSizeMax: number): void {
    this.#memory.write32(this.#base + R.deviceFeatures, Number(BigInt.asIntN(32, features)));
    this.#memory.write32(this.#base + R.deviceFeatures + 4, Number(BigInt.asIntN(32, features >> 32n)));
    for (let queue = 0; queue < this.queueCount; queue++) {
      this.#memory.publish16(this.#queue(queue) + Q.queueSizeMax, queueSizeMax);
    }
    this.#memory.publish16(this.#base + R.numQueues, this.queueCount);
    // What is there now was shown by the device before it.
    if (this.state.takingOver === 0) this.#memory.publish16(this.#base + R.statusShown, 0);
    this.#tell();
  }

  /** Handles what the driver changed since the last call; true when it did anything. One observe when nothing did. */
  poll(side: DeviceSide): boolean {
    const { state } = this;
    const version = this.#memory.observe16(this.#base + R.driverVersion);
    if (version === state.seen && state.pending === OWED.nothing) return false;
    const news = version !== state.seen;
    state.seen = version;
    return this.#process(side) || news;
  }

  /** The features the driver accepted with FEATURES_OK; what it writes there later counts for nothing (INIT-03). */
  accepted(): bigint {
    const { featuresLow, featuresHigh } = this.state;
    return (BigInt(featuresHigh >>> 0) << 32n) | BigInt(featuresLow >>> 0);
  }

  /** Whether DRIVER_OK reads back: queues may be processed. */
  live(): boolean {
    return (this.state.shown & VIRTIO_CONFIG_S_DRIVER_OK) !== 0;
  }

  /** A queue's registers; undefined while it is not enabled. An address of 2^53 or above reads NaN. */
  queueSetup(queue: number): QueueSetup | undefined {
    const at = this.#queue(queue);
    if (this.#memory.observe16(at + Q.queueEnable) === 0) return undefined;
    return {
      size: this.#memory.observe16(at + Q.queueSize),
      desc: joinHalves(this.#memory.read32(at + Q.desc), this.#memory.read32(at + Q.desc + 4)),
      avail: joinHalves(this.#memory.read32(at + Q.avail), this.#memory.read32(at + Q.avail + 4)),
      used: joinHalves(this.#memory.read32(at + Q.used), this.#memory.read32(at + Q.used + 4)),
      lastAvailIdx: this.#memory.observe16(at + Q.lastAvailIdx),
      usedIdx: this.#memory.observe16(at + Q.usedIdx),
      call: this.#memory.observe16(at + Q.call),
      alwaysCall: this.#memory.observe16(at + Q.alwaysCall) !== 0,
    };
  }

  /** Shows where a queue stopped (VHOST_GET_VRING_BASE). */
  storeBase(queue: number, lastAvailIdx: number, usedIdx: number): void {
    this.#memory.publish16(this.#queue(queue) + Q.lastAvailIdx, lastAvailIdx);
    this.#memory.publish16(this.#queue(queue) + Q.usedIdx, usedIdx);
  }

  /** Shows a broken queue and DEVICE_NEEDS_RESET; the driver is told (STAT-06, STAT-07). */
  breakQueue(queue: number, code: number): void {
    this.#memory.publish16(this.#queue(queue) + Q.fault, code);
    this.#show(this.state.shown | VIRTIO_CONFIG_S_NEEDS_RESET);
  }

  /** All that outlives a step. */
  parts(): Parts {
    return { state: this.state, tables: [] };
  }

  #process(side: DeviceSide): boolean {
    const { state } = this;
    const begun = state.pending === OWED.answer;
    const written = this.#memory.observe16(this.#base + R.statusWritten);
    // A request that has begun is finished before another status is looked at; only a reset goes before it.
    if (!begun || written === 0) state.handling = written;
    // The driver had waited for FEATURES_OK before it set DRIVER_OK, and is not to do so again.
    if (state.takingOver === 1) state.handling &= ~VIRTIO_CONFIG_S_DRIVER_OK;
    state.pending = begun ? OWED.look : OWED.nothing;
    if (state.handling === 0) return this.#processReset(side, written);
    // A bit counts when it is set, and only if what has to come before it is there: not later, when that comes after.
    const fresh = state.handling & ~(state.answered | state.shown);
    if (((state.handling | state.shown) & VIRTIO_CONFIG_S_FAILED) !== 0) return this.#answer(this.#withSteps(fresh));
    if (this.#agreeable(fresh)) {
      if (!begun) this.#keepFeatures();
      return this.#settle(side.negotiate(this.accepted()), fresh, VIRTIO_CONFIG_S_FEATURES_OK);
    }
    if (this.#suspendable(fresh)) return this.#settle(side.suspend(), fresh, VIRTIO_CONFIG_S_SUSPEND);
    if (!this.#processQueueResets(side)) return false;
    if (this.#resuming()) return this.#settle(side.resume(), fresh, VIRTIO_CONFIG_S_DRIVER_OK);
    if (this.#startable(fresh)) return this.#settle(side.start(), fresh, VIRTIO_CONFIG_S_DRIVER_OK);
    return this.#answer(this.#withSteps(fresh));
  }

  #processReset(side: DeviceSide, written: number): boolean {
    if (side.reset() === "later") return this.#later();
    for (let queue = 0; queue < this.queueCount; queue++) {
      this.#memory.publish16(this.#queue(queue) + Q.fault, 0);
      this.#memory.publish16(this.#queue(queue) + Q.queueReset, 0);
      this.#memory.publish16(this.#queue(queue) + Q.queueEnable, 0);
    }
    this.state.featuresLow = 0;
    this.state.featuresHigh = 0;
    this.state.pending = written === 0 ? OWED.nothing : OWED.look;
    this.#answer(0);
    return true;
  }

  #processQueueResets(side: DeviceSide): boolean {
    for (let queue = 0; queue < this.queueCount; queue++) {
      const at = this.#queue(queue) + Q.queueReset;
      if (this.#memory.observe16(at) === 0) continue;
      const answer = side.resetQueue(queue);
      if (answer === "later") return this.#later();
      // It goes on running, so it must not read as reset.
      if (answer === "refused") continue;
      this.#memory.publish16(at, 0);
      this.#tell();
    }
    return true;
  }

  /** FEATURES_OK counts only after ACKNOWLEDGE and DRIVER (INIT-01). */
  #agreeable(fresh: number): boolean {
    return (fresh & VIRTIO_CONFIG_S_FEATURES_OK) !== 0 && (this.#withSteps(fresh) & BEGUN_BITS) === BEGUN_BITS;
  }

  /** SUSPEND counts only once initialisation is complete (SUSP-07). */
  #suspendable(fresh: number): boolean {
    return (fresh & VIRTIO_CONFIG_S_SUSPEND) !== 0 && this.live();
  }

  /** DRIVER_OK counts only after FEATURES_OK (INIT-01). */
  #startable(fresh: number): boolean {
    const { shown } = this.state;
    const agreed = (shown & VIRTIO_CONFIG_S_FEATURES_OK) !== 0 && (shown & VIRTIO_CONFIG_S_SUSPEND) === 0;
    return agreed && (fresh & VIRTIO_CONFIG_S_DRIVER_OK) !== 0;
  }

  #resuming(): boolean {
    const { handling, shown } = this.state;
    return (handling & VIRTIO_CONFIG_S_SUSPEND) === 0 && (shown & VIRTIO_CONFIG_S_SUSPEND) !== 0;
  }

  /** What is shown and the steps that were taken; DRIVER only together with ACKNOWLEDGE or after it. */
  #withSteps(fresh: number): number {
    const status = this.state.shown | (fresh & STEP_BITS);
    return (status & VIRTIO_CONFIG_S_ACKNOWLEDGE) === 0 ? status & ~VIRTIO_CONFIG_S_DRIVER : status;
  }

  /** Reads what the driver accepts, once. */
  #keepFeatures(): void {
    this.state.featuresLow = this.#memory.read32(this.#base + R.driverFeatures);
    this.state.featuresHigh = this.#memory.read32(this.#base + R.driverFeatures + 4);
  }

  #settle(answer: Answer, fresh: number, bit: number): boolean {
    if (answer === "later") return this.#later();
    let status = this.#withSteps(fresh);
    if (answer === "done") {
      status |= bit;
      if (bit === VIRTIO_CONFIG_S_SUSPEND) status &= ~VIRTIO_CONFIG_S_DRIVER_OK;
      if (bit === VIRTIO_CONFIG_S_DRIVER_OK) status &= ~VIRTIO_CONFIG_S_SUSPEND;
      this.state.pending = OWED.look;
    } else if ((status & VIRTIO_CONFIG_S_SUSPEND) !== 0) {
      // It neither runs nor rests as it was asked to (SUSP-13).
      status |= VIRTIO_CONFIG_S_NEEDS_RESET;
    }
    this.#answer(status);
    return true;
  }

  #later(): false {
    this.state.pending = OWED.answer;
    return false;
  }

  /** Shows a status as the answer to what is being handled; false when it shows already. */
  #answer(status: number): boolean {
    const { state } = this;
    const takesOver = state.takingOver === 1;
    if (!takesOver && state.answered === state.handling && state.shown === status) return false;
    state.answered = state.handling;
    state.takingOver = 0;
    if (takesOver) state.pending = OWED.look;
    this.#show(status);
    return true;
  }

  #show(status: number): void {
    this.state.shown = status;
    this.#memory.publish16(this.#base + R.statusShown, (this.state.answered << 8) | (status & 0xff));
    this.#tell();
  }

  #tell(): void {
    this.state.version = u16(this.state.version + 1) || 1;
    this.#memory.publish16(this.#base + R.deviceVersion, this.state.version);
    this.#peer.ring();
  }

  #queue(queue: number): number {
    return this.#base + queueRegisters(queue);
  }
}
