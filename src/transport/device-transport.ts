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

/** Status bits that read back as written; the others wait for the device. */
const STEP_BITS = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FAILED;

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
    /** 1 while an answer is "later". */
    pending: 0,
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

  /** Shows the device to its driver: features, number of queues, largest queue size. */
  offer(features: bigint, queueSizeMax: number): void {
    this.#memory.write32(this.#base + R.deviceFeatures, Number(BigInt.asIntN(32, features)));
    this.#memory.write32(this.#base + R.deviceFeatures + 4, Number(BigInt.asIntN(32, features >> 32n)));
    for (let queue = 0; queue < this.queueCount; queue++) {
      this.#memory.publish16(this.#queue(queue) + Q.queueSizeMax, queueSizeMax);
    }
    this.#memory.publish16(this.#base + R.numQueues, this.queueCount);
    this.#tell();
  }

  /** Handles what the driver changed since the last call; true when it did anything. One observe when there is nothing. */
  poll(side: DeviceSide): boolean {
    const { state } = this;
    const version = this.#memory.observe16(this.#base + R.driverVersion);
    if (version === state.seen && state.pending === 0) return false;
    const news = version !== state.seen;
    state.seen = version;
    return this.#process(side) || news;
  }

  /** The features the driver accepted. */
  accepted(): bigint {
    const low = this.#memory.read32(this.#base + R.driverFeatures) >>> 0;
    const high = this.#memory.read32(this.#base + R.driverFeatures + 4) >>> 0;
    return (BigInt(high) << 32n) | BigInt(low);
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
    const written = this.#memory.observe16(this.#base + R.statusWritten);
    state.pending = 0;
    if (written === 0) return this.#processReset(side);
    const fresh = written & ~state.shown;
    if ((fresh & VIRTIO_CONFIG_S_FEATURES_OK) !== 0)
      return this.#settle(side.negotiate(this.accepted()), written, VIRTIO_CONFIG_S_FEATURES_OK);
    if (this.#suspendable(written)) return this.#settle(side.suspend(), written, VIRTIO_CONFIG_S_SUSPEND);
    if (!this.#processQueueResets(side)) return false;
    if (this.#resuming(written)) return this.#settle(side.resume(), written, VIRTIO_CONFIG_S_DRIVER_OK);
    if (this.#startable(fresh)) return this.#settle(side.start(), written, VIRTIO_CONFIG_S_DRIVER_OK);
    this.#answer(written, state.shown | (written & STEP_BITS));
    return true;
  }

  #processReset(side: DeviceSide): boolean {
    if (side.reset() === "later") return this.#later();
    for (let queue = 0; queue < this.queueCount; queue++) {
      this.#memory.publish16(this.#queue(queue) + Q.fault, 0);
      this.#memory.publish16(this.#queue(queue) + Q.queueReset, 0);
    }
    this.#answer(0, 0);
    return true;
  }

  #processQueueResets(side: DeviceSide): boolean {
    for (let queue = 0; queue < this.queueCount; queue++) {
      const at = this.#queue(queue) + Q.queueReset;
      if (this.#memory.observe16(at) === 0) continue;
      if (side.resetQueue(queue) === "later") return this.#later();
      this.#memory.publish16(at, 0);
      this.#tell();
    }
    return true;
  }

  /** SUSPEND counts only once initialisation is complete (SUSP-07). */
  #suspendable(written: number): boolean {
    const { shown } = this.state;
    return (written & VIRTIO_CONFIG_S_SUSPEND) !== 0 && (shown & VIRTIO_CONFIG_S_SUSPEND) === 0 && this.live();
  }

  /** DRIVER_OK counts only after FEATURES_OK (INIT-01). */
  #startable(fresh: number): boolean {
    const { shown } = this.state;
    const agreed = (shown & VIRTIO_CONFIG_S_FEATURES_OK) !== 0 && (shown & VIRTIO_CONFIG_S_SUSPEND) === 0;
    return agreed && (fresh & VIRTIO_CONFIG_S_DRIVER_OK) !== 0;
  }

  #resuming(written: number): boolean {
    return (written & VIRTIO_CONFIG_S_SUSPEND) === 0 && (this.state.shown & VIRTIO_CONFIG_S_SUSPEND) !== 0;
  }

  #settle(answer: Answer, written: number, bit: number): boolean {
    if (answer === "later") return this.#later();
    let status = (this.state.shown | (written & STEP_BITS)) & ~bit;
    if (answer === "done") status |= bit;
    if (bit === VIRTIO_CONFIG_S_SUSPEND && answer === "done") status &= ~VIRTIO_CONFIG_S_DRIVER_OK;
    if (bit === VIRTIO_CONFIG_S_DRIVER_OK && answer === "done") status &= ~VIRTIO_CONFIG_S_SUSPEND;
    this.#answer(written, status);
    return true;
  }

  #later(): false {
    this.state.pending = 1;
    return false;
  }

  #answer(written: number, status: number): void {
    if (this.state.answered === written && this.state.shown === status) return;
    this.state.answered = written;
    this.#show(status);
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
