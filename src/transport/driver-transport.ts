import {
  VIRTIO_CONFIG_S_ACKNOWLEDGE,
  VIRTIO_CONFIG_S_DRIVER,
  VIRTIO_CONFIG_S_DRIVER_OK,
  VIRTIO_CONFIG_S_FAILED,
  VIRTIO_CONFIG_S_FEATURES_OK,
  VIRTIO_CONFIG_S_NEEDS_RESET,
  VIRTIO_CONFIG_S_SUSPEND,
} from "../layout/virtio-config.js";
import { highHalf, lowHalf } from "../memory/address.js";
import type { Bell } from "../memory/bell.js";
import type { Parts } from "../memory/role.js";
import { type SharedMemory, u16 } from "../memory/shared-memory.js";
import { QUEUE_REGISTERS as Q, queueRegisters, DEVICE_REGISTERS as R } from "./registers.js";

/** How a driver sets up one queue. */
export interface QueueSetup {
  readonly size: number;
  /** Addresses as the device is to use them. */
  readonly desc: number;
  readonly avail: number;
  readonly used: number;
  /** Where the device starts: both 0 on a fresh ring. */
  readonly lastAvailIdx: number;
  readonly usedIdx: number;
  /** Number of the EventFd the device signals. */
  readonly call: number;
  readonly alwaysCall: boolean;
}

/** How far a driver has come with the eight steps of initialisation (VIRTIO 1.3, 3.1.1). */
export const DRIVER_PHASES = {
  /** Waiting for the device to be there and to read back status 0. */
  reset: 0,
  /** ACKNOWLEDGE and DRIVER are set; the offered features can be read. */
  features: 1,
  /** FEATURES_OK is written; waiting for it to read back. */
  negotiating: 2,
  /** Features are agreed; queues can be set up. */
  agreed: 3,
  /** DRIVER_OK is written; waiting for it to read back. */
  starting: 4,
  /** The device is live. */
  live: 5,
  /** Given up: FAILED is written, and only a reset leads out. */
  failed: 6,
} as const;

/** The driver's side of a virtio device: goes through the eight steps without ever blocking. */
export class DriverTransport {
  readonly state = {
    /** One of DRIVER_PHASES. */
    phase: DRIVER_PHASES.reset as number,
    /** What was written to the status register last. */
    written: 0,
    /** Version of the driver's registers. */
    version: 0,
    /** 1 once the reset that comes first was written. */
    begun: 0,
  };
  readonly #memory: SharedMemory;
  readonly #base: number;
  readonly #peer: Bell;

  /** Reaches the registers at `base`; `peer` wakes the device. */
  constructor(memory: SharedMemory, base: number, peer: Bell) {
    this.#memory = memory;
    this.#base = base;
    this.#peer = peer;
  }

  /** Starts over with a reset (step 1); takes effect as the device answers. */
  reset(): void {
    this.state.phase = DRIVER_PHASES.reset;
    this.state.begun = 1;
    this.#writeStatus(0);
  }

  /** Goes on to reading the features (steps 1 to 3); true when it moved. */
  advance(): boolean {
    const { state } = this;
    if (state.begun === 0) {
      this.reset();
      return true;
    }
    if (
      state.phase === DRIVER_PHASES.reset &&
      this.#answered() &&
      this.status() === 0 &&
      this.#memory.observe16(this.#base + R.deviceVersion) !== 0
    ) {
      this.#writeStatus(VIRTIO_CONFIG_S_ACKNOWLEDGE);
      this.#writeStatus(state.written | VIRTIO_CONFIG_S_DRIVER);
      state.phase = DRIVER_PHASES.features;
      return true;
    }
    if (state.phase === DRIVER_PHASES.negotiating && this.#answered()) {
      this.#settle(VIRTIO_CONFIG_S_FEATURES_OK, DRIVER_PHASES.agreed);
      return true;
    }
    if (state.phase === DRIVER_PHASES.starting && this.#answered()) {
      this.#settle(VIRTIO_CONFIG_S_DRIVER_OK, DRIVER_PHASES.live);
      return true;
    }
    return false;
  }

  /** The features the device offers (step 4). */
  offered(): bigint {
    return this.#readFeatures(R.deviceFeatures);
  }

  /** Accepts features and sets FEATURES_OK (steps 4 and 5). */
  negotiate(features: bigint): void {
    this.#memory.write32(this.#base + R.driverFeatures, Number(BigInt.asIntN(32, features)));
    this.#memory.write32(this.#base + R.driverFeatures + 4, Number(BigInt.asIntN(32, features >> 32n)));
    this.state.phase = DRIVER_PHASES.negotiating;
    this.#writeStatus(this.state.written | VIRTIO_CONFIG_S_FEATURES_OK);
  }

  /** Sets DRIVER_OK (step 8). */
  start(): void {
    this.state.phase = DRIVER_PHASES.starting;
    this.#writeStatus(this.state.written | VIRTIO_CONFIG_S_DRIVER_OK);
  }

  /** Gives up: sets FAILED; no more messages but a reset (INIT-04, INIT-05). */
  fail(): void {
    this.state.phase = DRIVER_PHASES.failed;
    this.#writeStatus(this.state.written | VIRTIO_CONFIG_S_FAILED);
  }

  /** The largest size the device accepts for a queue; 0 when it has no such queue. */
  queueSizeMax(queue: number): number {
    return this.#memory.observe16(this.#queue(queue) + Q.queueSizeMax);
  }

  /** Writes a queue's registers and enables it (step 7, or after a queue reset). */
  enableQueue(queue: number, setup: QueueSetup): void {
    const at = this.#queue(queue);
    for (const name of ["desc", "avail", "used"] as const) {
      this.#memory.write32(at + Q[name], lowHalf(setup[name]));
      this.#memory.write32(at + Q[name] + 4, highHalf(setup[name]));
    }
    this.#memory.publish16(at + Q.queueSize, setup.size);
    this.#memory.publish16(at + Q.lastAvailIdx, setup.lastAvailIdx);
    this.#memory.publish16(at + Q.usedIdx, setup.usedIdx);
    this.#memory.publish16(at + Q.call, setup.call);
    this.#memory.publish16(at + Q.alwaysCall, setup.alwaysCall ? 1 : 0);
    this.#memory.publish16(at + Q.queueEnable, 1);
    this.#tell();
  }

  /** Asks for a queue reset (VIRTIO 1.3, 2.6.1); done when queueIsReset(). */
  resetQueue(queue: number): void {
    this.#memory.publish16(this.#queue(queue) + Q.queueEnable, 0);
    this.#memory.publish16(this.#queue(queue) + Q.queueReset, 1);
    this.#tell();
  }

  /** Whether the reset of a queue has taken effect; the driver must verify it before it reuses the memory. */
  queueIsReset(queue: number): boolean {
    return this.#memory.observe16(this.#queue(queue) + Q.queueReset) === 0;
  }

  /** Asks the device to finish what it has taken and to rest (VIRTIO 1.4, device suspend); done when suspended(). */
  suspend(): void {
    this.#writeStatus(this.state.written | VIRTIO_CONFIG_S_SUSPEND);
  }

  /** Ends a suspension; done when running(). */
  resume(): void {
    this.#writeStatus(this.state.written & ~VIRTIO_CONFIG_S_SUSPEND);
  }

  /** Whether the device rests: SUSPEND reads back 1 and DRIVER_OK 0. */
  suspended(): boolean {
    const status = this.status();
    return this.#answered() && (status & VIRTIO_CONFIG_S_SUSPEND) !== 0 && (status & VIRTIO_CONFIG_S_DRIVER_OK) === 0;
  }

  /** Whether the device runs: DRIVER_OK reads back 1 and SUSPEND 0. */
  running(): boolean {
    const status = this.status();
    return this.#answered() && (status & VIRTIO_CONFIG_S_DRIVER_OK) !== 0 && (status & VIRTIO_CONFIG_S_SUSPEND) === 0;
  }

  /** The status as the device shows it. */
  status(): number {
    return this.#memory.observe16(this.#base + R.statusShown) & 0xff;
  }

  /** Whether the device has given up (DEVICE_NEEDS_RESET). */
  needsReset(): boolean {
    return (this.status() & VIRTIO_CONFIG_S_NEEDS_RESET) !== 0;
  }

  /** Fault code that broke a queue; 0 while it is whole. */
  queueFault(queue: number): number {
    return this.#memory.observe16(this.#queue(queue) + Q.fault);
  }

  /** Where a stopped or suspended queue stands (VHOST_GET_VRING_BASE). */
  queueBase(queue: number): { lastAvailIdx: number; usedIdx: number } {
    const at = this.#queue(queue);
    return {
      lastAvailIdx: this.#memory.observe16(at + Q.lastAvailIdx),
      usedIdx: this.#memory.observe16(at + Q.usedIdx),
    };
  }

  /** All that outlives a step. */
  parts(): Parts {
    return { state: this.state, tables: [] };
  }

  #settle(bit: number, phase: number): void {
    if ((this.status() & bit) !== 0) this.state.phase = phase;
    else this.fail();
  }

  #answered(): boolean {
    return this.#memory.observe16(this.#base + R.statusShown) >>> 8 === this.state.written;
  }

  #writeStatus(status: number): void {
    this.state.written = status;
    this.#memory.publish16(this.#base + R.statusWritten, status);
    this.#tell();
  }

  #tell(): void {
    this.state.version = u16(this.state.version + 1);
    this.#memory.publish16(this.#base + R.driverVersion, this.state.version);
    this.#peer.ring();
  }

  #readFeatures(at: number): bigint {
    const low = this.#memory.read32(this.#base + at) >>> 0;
    const high = this.#memory.read32(this.#base + at + 4) >>> 0;
    return (BigInt(high) << 32n) | BigInt(low);
  }

  #queue(queue: number): number {
    return this.#base + queueRegisters(queue);
  }
}
