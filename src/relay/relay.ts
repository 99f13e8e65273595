import type { DirtyLog } from "../dirty/dirty-log.js";
import type { IotlbServer } from "../iova/iotlb-server.js";
import {
  featureBit,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_SUSPEND,
  VIRTIO_F_VERSION_1,
} from "../layout/virtio-config.js";
import { VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC } from "../layout/virtio-ring.js";
import { assert } from "../memory/assert.js";
import type { Notifier } from "../memory/bell.js";
import type { GuestMemory } from "../memory/guest-memory.js";
import type { Parts, Role } from "../memory/role.js";
import type { Accounting } from "../ring/driver-ring.js";
import { faultCode, faultReason, PeerFault } from "../ring/peer-fault.js";
import { checkedRingState, type RingState } from "../ring/ring-state.js";
import { COUNTERS } from "../telemetry/counters.js";
import type { Answer, DeviceSide, DeviceTransport } from "../transport/device-transport.js";
import { DRIVER_PHASES, type DriverTransport, type QueueSetup } from "../transport/driver-transport.js";
import { type FeatureRefusal, hasFeature, shadowableFeatures } from "../transport/features.js";
import type { AddressPlan } from "./address-plan.js";
import type { DataPath, DataPathName } from "./data-path.js";
import type { MarkPolicy } from "./guest-marks.js";
import type { QueueNotifiers } from "./passthrough.js";
import { buildPath, type PathContext, queueAddresses, type ShadowRing } from "./paths.js";
import { ShadowVirtqueue } from "./shadow-virtqueue.js";

/** Which EventFd a device signals for used buffers: the guest's own. */
export const CALL_GUEST = 0;
/** Which EventFd a device signals for used buffers: the one the relay polls. */
export const CALL_RELAY = 1;

/** What the relay keeps for one queue. */
export interface RelayQueueParts {
  readonly notifiers: QueueNotifiers;
  /** Signalled when the queue breaks. */
  readonly err: Notifier;
  readonly shadow: ShadowRing;
}

/** What a relay is made of. */
export interface RelayParts {
  /** The relay as the guest's device. */
  readonly guestSide: DeviceTransport;
  /** The relay as the device's driver. */
  readonly deviceSide: DriverTransport;
  readonly iotlb: IotlbServer;
  readonly guestMemory: GuestMemory;
  readonly queues: readonly RelayQueueParts[];
  /** Numbers of the bells of the parties, for attaching notifications. */
  readonly bells: { readonly driver: number; readonly relay: number; readonly device: number };
  /** Makes the device's address space for a data path. */
  readonly plan: (path: DataPathName) => AddressPlan;
  readonly queueSizeMax: number;
  readonly log: DirtyLog | undefined;
  readonly markPolicy: MarkPolicy;
  readonly counters: Float64Array;
}

/** Where a change of data path stands. */
const SWITCH = {
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
  /** Faults that broke a queue, for reports. */
  readonly faults: PeerFault[] = [];
  readonly #parts: RelayParts;
  #path: DataPathName;
  #wanted: DataPathName;
  #plan: AddressPlan;
  #paths: (DataPath | undefined)[];
  #bases: RingState[];
  /** By queue: 1 once it is broken, until the guest resets the device. */
  readonly #broken: Int32Array;

  constructor(parts: RelayParts, path: DataPathName) {
    this.#parts = parts;
    this.#path = path;
    this.#wanted = path;
    this.#plan = parts.plan(path);
    this.#paths = parts.queues.map(() => undefined);
    this.#bases = parts.queues.map(() => ({ lastAvailIdx: 0, usedIdx: 0 }));
    this.#broken = new Int32Array(parts.queues.length);
  }

  /** The data path in use. */
  get path(): DataPathName {
    return this.#path;
  }

  /** Whether a change of data path is under way or asked for. */
  get switching(): boolean {
    return this.state.switching !== SWITCH.none || this.#wanted !== this.#path;
  }

  /** Asks for another data path; step() carries it out, under load if there is any. */
  requestPath(path: DataPathName): void {
    this.#wanted = path;
  }

  step(): boolean {
    const { deviceSide, guestSide, iotlb } = this.#parts;
    let moved = deviceSide.advance();
    if (this.state.offered === 0) return this.#offer() || moved;
    moved = guestSide.poll(this) || moved;
    moved = iotlb.poll(this.#plan.tree) || moved;
    if (this.switching) moved = this.#switch() || moved;
    if (this.state.running === 1) moved = this.#move() || moved;
    // Here as in arm(): a thread that polls never arms.
    if (!moved && this.state.running === 1 && this.state.switching === SWITCH.none) moved = this.#passOnFaults();
    return moved;
  }

  arm(): boolean {
    const { state } = this;
    if (this.#parts.iotlb.waiting()) return false;
    if (state.running === 0) return true;
    // The device rings when it answers, but not when it has taken in an invalidation: look for that until it has.
    if (state.switching === SWITCH.resetting) return this.#parts.iotlb.drained() && !this.#devicesForgot();
    // What the device used until its answer is drained after that.
    if (state.switching !== SWITCH.none) return true;
    if (this.switching) return false;
    let safe = !this.#passOnFaults();
    for (const [queue, path] of this.#paths.entries())
      safe = this.#guarded(queue, () => path?.arm() ?? true, true) && safe;
    return safe;
  }

  /** Where the descriptors of each shadow ring are. */
  accounting(): Accounting[] {
    return this.#paths.flatMap((path) => (path instanceof ShadowVirtqueue ? [path.accounting()] : []));
  }

  /** All that outlives a step. */
  parts(): Parts[] {
    const { guestSide, deviceSide } = this.#parts;
    const paths = this.#paths.flatMap((path) => (path === undefined ? [] : [path.parts()]));
    return [{ state: this.state, tables: [this.#broken] }, guestSide.parts(), deviceSide.parts(), ...paths];
  }

  // The guest's device: what the guest writes to its status register.

  reset(): Answer {
    const { deviceSide } = this.#parts;
    this.#paths = this.#paths.map(() => undefined);
    this.#broken.fill(0);
    this.state.running = 0;
    this.state.switching = SWITCH.none;
    if (deviceSide.state.phase > DRIVER_PHASES.features) deviceSide.reset();
    return deviceSide.state.phase === DRIVER_PHASES.features ? "done" : "later";
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
      this.#bases = this.#bases.map(() => ({ lastAvailIdx: 0, usedIdx: 0 }));
      this.#enableQueues();
      deviceSide.start();
    }
    if (deviceSide.state.phase === DRIVER_PHASES.failed) return "refused";
    if (deviceSide.state.phase !== DRIVER_PHASES.live) return "later";
    this.#attach();
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
    return true;
  }

  #move(): boolean {
    const draining = this.state.switching !== SWITCH.none;
    let moved = false;
    for (let queue = 0; queue < this.#paths.length; queue++) {
      const path = this.#paths[queue];
      if (path === undefined) continue;
      try {
        if (draining ? path.drain() : path.step()) moved = true;
      } catch (error) {
        this.#break(queue, error);
      }
    }
    return moved;
  }

  #guarded(queue: number, act: () => boolean, broken: boolean): boolean {
    try {
      return act();
    } catch (error) {
      this.#break(queue, error);
      return broken;
    }
  }

  /** Ends one queue over a peer's fault; the others go on. */
  #break(queue: number, error: unknown): void {
    if (!(error instanceof PeerFault)) throw error;
    this.#paths[queue] = undefined;
    this.#broken[queue] = 1;
    this.faults.push(error);
    this.#parts.counters[COUNTERS.faults]! += 1;
    this.#parts.guestSide.breakQueue(queue, faultCode(error.reason));
    this.#parts.queues[queue]!.err.signal();
  }

  /** Breaks for the guest what the device has given up; true when there was anything. */
  #passOnFaults(): boolean {
    const { deviceSide } = this.#parts;
    let any = false;
    if (!deviceSide.needsReset()) return any;
    for (let queue = 0; queue < this.#paths.length; queue++) {
      const code = deviceSide.queueFault(queue);
      if (code === 0 || this.#paths[queue] === undefined) continue;
      this.#break(queue, new PeerFault(faultReason(code), "the device gave the queue up"));
      any = true;
    }
    return any;
  }

  /** One step of a change of data path; true when it got further. */
  #switch(): boolean {
    const { state } = this;
    const { deviceSide } = this.#parts;
    switch (state.switching) {
      case SWITCH.none:
        if (state.running === 0) return false;
        deviceSide.suspend();
        state.switching = SWITCH.suspending;
        return true;
      case SWITCH.suspending:
        if (!deviceSide.suspended()) return false;
        this.#stopPaths();
        state.switching = SWITCH.resetting;
        return true;
      case SWITCH.resetting:
        if (!this.#devicesForgot()) return false;
        this.#path = this.#wanted;
        this.#plan = this.#parts.plan(this.#path);
        this.#enableQueues();
        deviceSide.resume();
        state.switching = SWITCH.resuming;
        return true;
      default:
        if (!deviceSide.running()) return false;
        this.#attach();
        state.switching = SWITCH.none;
        this.#parts.counters[COUNTERS.switches]! += 1;
        return true;
    }
  }

  #stopPaths(): void {
    const { deviceSide, iotlb } = this.#parts;
    // A queue that the device gave up has no base to go on from.
    this.#passOnFaults();
    for (const [queue, path] of this.#paths.entries()) {
      this.#guarded(
        queue,
        () => {
          if (path === undefined) return false;
          path.drain();
          const size = this.#parts.guestSide.queueSetup(queue)?.size ?? 0;
          this.#bases[queue] = path.stop(checkedRingState(deviceSide.queueBase(queue), size));
          return true;
        },
        false,
      );
      deviceSide.resetQueue(queue);
    }
    assert(iotlb.invalidateAll(), "the IOTLB channel is empty while the device rests");
  }

  #devicesForgot(): boolean {
    const { deviceSide, iotlb, queues } = this.#parts;
    return iotlb.drained() && queues.every((_, queue) => deviceSide.queueIsReset(queue));
  }

  /** Sets every queue of the device up for the present path and builds what runs between. */
  #enableQueues(): void {
    const { deviceSide, queues, guestSide } = this.#parts;
    for (let queue = 0; queue < queues.length; queue++) {
      const setup = guestSide.queueSetup(queue);
      if (setup === undefined || this.#broken[queue] === 1) continue;
      this.#paths[queue] = undefined;
      this.#guarded(
        queue,
        () => {
          const context = this.#context(queue, setup);
          this.#paths[queue] = buildPath(context);
          deviceSide.enableQueue(queue, queueAddresses(context));
          return true;
        },
        false,
      );
    }
  }

  #context(queue: number, setup: QueueSetup): PathContext {
    const { queues, guestMemory, log, markPolicy, counters, deviceSide, guestSide } = this.#parts;
    const features = guestSide.accepted();
    assert(deviceSide.state.phase >= DRIVER_PHASES.agreed, "features are agreed before queues are set up");
    return {
      path: this.#path,
      queue,
      setup,
      base: this.#bases[queue]!,
      plan: this.#plan,
      shadow: queues[queue]!.shadow,
      notifiers: queues[queue]!.notifiers,
      guestMemory,
      log,
      markPolicy,
      counters,
      eventIdx: hasFeature(features, VIRTIO_RING_F_EVENT_IDX),
      indirect: hasFeature(features, VIRTIO_RING_F_INDIRECT_DESC),
      callGuest: CALL_GUEST,
      callRelay: CALL_RELAY,
    };
  }

  /** Wires the notifications of the present path; attaching signals once, so nothing from before is lost. */
  #attach(): void {
    const { bells, queues } = this.#parts;
    const relayTakesKicks = this.#path === "svq" || this.#path === "notify";
    for (const { notifiers, err } of queues) {
      err.attach(bells.driver);
      notifiers.deviceKick.attach(bells.device);
      notifiers.deviceCall.attach(bells.relay);
      notifiers.guestCall.attach(bells.driver);
      notifiers.guestKick.attach(relayTakesKicks ? bells.relay : bells.device);
    }
  }
}

/** Features the relay accepts for itself, whatever the guest accepts. */
const RELAY_FEATURES =
  featureBit(VIRTIO_F_ACCESS_PLATFORM) | featureBit(VIRTIO_F_RING_RESET) | featureBit(VIRTIO_F_SUSPEND);
