import {
  featureBit,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_SUSPEND,
  VIRTIO_F_VERSION_1,
} from "../layout/virtio-config.js";
import { VIRTIO_RING_F_EVENT_IDX } from "../layout/virtio-ring.js";
import { assert } from "../memory/assert.js";
import type { Parts, Role } from "../memory/role.js";
import type { Accounting } from "../ring/driver-ring.js";
import type { PeerFault } from "../ring/peer-fault.js";
import { COUNTERS } from "../telemetry/counters.js";
import type { Answer, DeviceSide } from "../transport/device-transport.js";
import { DRIVER_PHASES } from "../transport/driver-transport.js";
import { type FeatureRefusal, hasFeature, shadowableFeatures } from "../transport/features.js";
import type { AddressPlan } from "./address-plan.js";
import type { DataPathName } from "./data-path.js";
import { type RelayParts, RelayQueues } from "./relay-queues.js";
import { type ShadowRefusal, shadowRefusals } from "./shadow-refusals.js";

/** Where a change of data path stands. */
export const SWITCH = {
  none: 0,
  /** Waiting for the device to rest; used buffers still flow. */
  suspending: 1,
  /** Waiting for queue resets and for the IOTLB to be empty. */
  resetting: 2,
  /** Waiting for the device to run again. */
  resuming: 3,
} as const;

/**
 * The relay: the guest's device and the device's driver at once, with a data path for each queue between them.
 *
 * Its data path can change while it runs (requestPath): the device is suspended, what it used is returned, what it
 * never fetched is taken back, and it starts again on other rings at the index the guest's ring has reached.
 */
export class Relay implements Role, DeviceSide {
  readonly name = "relay";
  readonly state = {
    /** One of SWITCH. */
    switching: SWITCH.none as number,
    /** 1 once the guest was shown the device. */
    offered: 0,
    /** 1 while the paths move descriptors. */
    running: 0,
  };
  /** Features of the device that the guest is not offered. */
  refusals: readonly FeatureRefusal[] = [];
  readonly #parts: RelayParts;
  #path: DataPathName;
  #wanted: DataPathName;
  /** Whether the address space is to be planned anew. */
  #remap = false;
  #plan: AddressPlan;
  readonly #queues: RelayQueues;

  constructor(parts: RelayParts, path: DataPathName) {
    this.#parts = parts;
    this.#path = path;
    this.#wanted = path;
    this.#plan = parts.plan(path);
    this.#queues = new RelayQueues(parts);
  }

  /** The data path in use. */
  get path(): DataPathName {
    return this.#path;
  }

  /** Whether a change of data path or address space is under way or asked for. */
  get switching(): boolean {
    return this.state.switching !== SWITCH.none || this.#wanted !== this.#path || this.#remap;
  }

  /** Faults that broke a queue, for reports. */
  get faults(): readonly PeerFault[] {
    return this.#queues.faults;
  }

  /**
   * Asks for another data path, which step() carries out; false when the features agreed on do not allow it.
   *
   * A device has to be able to rest, and to give a queue back (SUSPEND, RING_RESET); others are not asked to.
   */
  requestPath(path: DataPathName): boolean {
    const eventIdx = hasFeature(this.#parts.guestSide.accepted(), VIRTIO_RING_F_EVENT_IDX);
    if (path === "used-only" && eventIdx) return false;
    if (path !== this.#path && !this.#canSwitch()) return false;
    this.#wanted = path;
    return true;
  }

  /** Why the shadow virtqueue cannot be put in the way now, each reason by its name; none when it can. */
  shadowRefusals(): ShadowRefusal[] {
    const { deviceSide, guestSide } = this.#parts;
    return shadowRefusals({
      accepted: guestSide.accepted(),
      offered: deviceSide.offered(),
      running: this.state.running,
    });
  }

  /**
   * Asks for a new plan of the device's address space (VHOST_SET_MEM_TABLE), which step() carries out.
   *
   * In the same way as a change of path, so that no chain is in flight while its mapping goes; false when the device
   * cannot rest.
   */
  requestRemap(): boolean {
    if (!this.#canSwitch()) return false;
    this.#remap = true;
    return true;
  }

  step(): boolean {
    const { deviceSide, guestSide, iotlb } = this.#parts;
    let moved = deviceSide.advance();
    if (this.state.offered === 0) return this.#offer() || moved;
    moved = guestSide.poll(this) || moved;
    moved = iotlb.poll(this.#plan.tree) || moved;
    if (this.switching) moved = this.#switch() || moved;
    if (this.state.running === 1) moved = this.#queues.move(this.state.switching !== SWITCH.none) || moved;
    // Here as in arm(): a thread that polls never arms.
    if (!moved && this.state.running === 1 && this.state.switching === SWITCH.none) moved = this.#queues.passOnFaults();
    return moved;
  }

  arm(): boolean {
    const { state } = this;
    if (this.#parts.iotlb.waiting()) return false;
    if (state.running === 0) return true;
    // The device rings when it answers, but not when it has taken in an invalidation: look for that until it has.
    if (state.switching === SWITCH.resetting) return this.#parts.iotlb.drained() && !this.#deviceForgot();
    // What the device used until its answer is drained after that.
    if (state.switching !== SWITCH.none) return true;
    if (this.switching) return false;
    return !this.#queues.passOnFaults() && this.#queues.arm();
  }

  /** Where the descriptors of each shadow ring are. */
  accounting(): Accounting[] {
    return this.#queues.accounting();
  }

  /** All that outlives a step. */
  parts(): Parts[] {
    const { guestSide, deviceSide } = this.#parts;
    return [{ state: this.state, tables: [] }, guestSide.parts(), deviceSide.parts(), ...this.#queues.parts()];
  }

  // The guest's device: what the guest writes to its status register.

  reset(): Answer {
    const { deviceSide } = this.#parts;
    this.state.running = 0;
    this.state.switching = SWITCH.none;
    if (deviceSide.state.phase > DRIVER_PHASES.features) deviceSide.reset();
    if (deviceSide.state.phase !== DRIVER_PHASES.features) return "later";
    this.#queues.reset();
    return "done";
  }

  negotiate(features: bigint): Answer {
    const { deviceSide } = this.#parts;
    if (deviceSide.state.phase === DRIVER_PHASES.features) {
      const { offered } = shadowableFeatures(deviceSide.offered(), this.#path === "used-only");
      if ((features & ~offered) !== 0n || !hasFeature(features, VIRTIO_F_VERSION_1)) return "refused";
      deviceSide.negotiate(features | (deviceSide.offered() & RELAY_FEATURES));
    }
    if (deviceSide.state.phase === DRIVER_PHASES.failed) return "refused";
    return deviceSide.state.phase === DRIVER_PHASES.agreed ? "done" : "later";
  }

  start(): Answer {
    const { deviceSide } = this.#parts;
    if (deviceSide.state.phase === DRIVER_PHASES.agreed) {
      this.#queues.enable(this.#path, this.#plan);
      deviceSide.start();
    }
    if (deviceSide.state.phase === DRIVER_PHASES.failed) return "refused";
    if (deviceSide.state.phase !== DRIVER_PHASES.live) return "later";
    this.#queues.attach(this.#path);
    this.state.running = 1;
    return "done";
  }

  /** Not offered to the guest: never asked for. */
  suspend(): Answer {
    return "refused";
  }

  resume(): Answer {
    return "refused";
  }

  resetQueue(): Answer {
    return "refused";
  }

  #offer(): boolean {
    const { deviceSide, guestSide, queueSizeMax } = this.#parts;
    if (deviceSide.state.phase !== DRIVER_PHASES.features) return false;
    const { offered, refused } = shadowableFeatures(deviceSide.offered(), this.#path === "used-only");
    this.refusals = refused;
    this.state.offered = 1;
    guestSide.offer(offered, queueSizeMax);
    // A device of an older time is of no use (FEAT-07): the guest, which is shown the same, gives up as well.
    if (!hasFeature(offered, VIRTIO_F_VERSION_1)) deviceSide.fail();
    return true;
  }

  /** Whether the device can rest and give its queues back, once features are agreed; before that nothing needs it. */
  #canSwitch(): boolean {
    const { deviceSide } = this.#parts;
    if (this.state.running === 0) return true;
    return (deviceSide.offered() & SWITCH_FEATURES) === SWITCH_FEATURES;
  }

  /** One step of a change of data path; true when it got further. */
  #switch(): boolean {
    const { state } = this;
    const { deviceSide, iotlb, plan, counters } = this.#parts;
    switch (state.switching) {
      case SWITCH.none:
        if (state.running === 0) return false;
        deviceSide.suspend();
        state.switching = SWITCH.suspending;
        return true;
      case SWITCH.suspending:
        if (!deviceSide.suspended()) return false;
        this.#queues.stop();
        assert(iotlb.invalidateAll(), "the IOTLB channel is empty while the device rests");
        state.switching = SWITCH.resetting;
        return true;
      case SWITCH.resetting:
        if (!this.#deviceForgot()) return false;
        this.#remap = false;
        this.#path = this.#wanted;
        this.#plan = plan(this.#path);
        this.#queues.enable(this.#path, this.#plan);
        deviceSide.resume();
        state.switching = SWITCH.resuming;
        return true;
      default:
        if (!deviceSide.running()) return false;
        this.#queues.attach(this.#path);
        state.switching = SWITCH.none;
        counters[COUNTERS.switches]! += 1;
        return true;
    }
  }

  #deviceForgot(): boolean {
    return this.#parts.iotlb.drained() && this.#queues.areReset();
  }
}

/** Features by which a device can be moved to other rings. */
const SWITCH_FEATURES = featureBit(VIRTIO_F_RING_RESET) | featureBit(VIRTIO_F_SUSPEND);
/** Features the relay accepts for itself, whatever the guest accepts. */
const RELAY_FEATURES = featureBit(VIRTIO_F_ACCESS_PLATFORM) | SWITCH_FEATURES;
