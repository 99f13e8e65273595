import type { DirtyLog } from "../dirty/dirty-log.js";
import type { IotlbServer } from "../iova/iotlb-server.js";
import { VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC } from "../layout/virtio-ring.js";
import type { Notifier } from "../memory/bell.js";
import type { GuestMemory } from "../memory/guest-memory.js";
import type { Parts } from "../memory/role.js";
import type { Accounting } from "../ring/driver-ring.js";
import { faultCode, faultReason, PeerFault } from "../ring/peer-fault.js";
import { checkedRingState, type RingState } from "../ring/ring-state.js";
import { COUNTERS } from "../telemetry/counters.js";
import type { DeviceTransport } from "../transport/device-transport.js";
import type { DriverTransport, QueueSetup } from "../transport/driver-transport.js";
import { hasFeature } from "../transport/features.js";
import type { AddressPlan } from "./address-plan.js";
import type { DataPath, DataPathName } from "./data-path.js";
import type { MarkPolicy } from "./guest-marks.js";
import type { QueueNotifiers } from "./passthrough.js";
import { buildPath, type PathContext, queueAddresses, type ShadowRing } from "./paths.js";
import { ShadowVirtqueue } from "./shadow-virtqueue.js";

/** What the relay keeps for one queue. */
interface RelayQueueParts {
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
  /** Where the guest's rings stand, by queue, when this relay takes over from another. */
  readonly ringStates?: readonly RingState[] | undefined;
}

/** The relay's queues: which path each is on, where the guest's ring stood when it began, and which are broken. */
export class RelayQueues {
  /** Faults that broke a queue, for reports. */
  readonly faults: PeerFault[] = [];
  readonly #parts: RelayParts;
  #paths: (DataPath | undefined)[];
  #bases: RingState[];
  /** Paths of broken queues that the device still has. */
  #dying: (DataPath | undefined)[];
  /** By queue: 1 once it is broken, until the guest resets the device. */
  readonly #broken: Int32Array;

  constructor(parts: RelayParts) {
    this.#parts = parts;
    this.#paths = parts.queues.map(() => undefined);
    this.#dying = parts.queues.map(() => undefined);
    this.#bases = parts.queues.map((_, queue) => parts.ringStates?.[queue] ?? { lastAvailIdx: 0, usedIdx: 0 });
    this.#broken = new Int32Array(parts.queues.length);
  }

  /** Forgets everything, once the device has been reset: what it wrote to chains in flight stays, and is marked. */
  reset(): void {
    for (const path of [...this.#paths, ...this.#dying]) path?.abandon();
    this.#paths = this.#paths.map(() => undefined);
    this.#dying = this.#dying.map(() => undefined);
    this.#bases = this.#bases.map(() => ({ lastAvailIdx: 0, usedIdx: 0 }));
    this.#broken.fill(0);
  }

  /** Sets every enabled queue of the device up for a path, and builds what runs between. */
  enable(path: DataPathName, plan: AddressPlan): void {
    const { deviceSide, guestSide } = this.#parts;
    for (let queue = 0; queue < this.#paths.length; queue++) {
      const setup = guestSide.queueSetup(queue);
      if (setup === undefined || this.#broken[queue] === 1) continue;
      this.#paths[queue] = undefined;
      this.#guarded(queue, () => {
        const context = this.#context(queue, setup, path, plan);
        this.#paths[queue] = buildPath(context);
        deviceSide.enableQueue(queue, queueAddresses(context));
        return true;
      });
    }
  }

  /** Wires the notifications of a path; attaching signals once, so nothing from before is lost. */
  attach(path: DataPathName): void {
    const { bells, queues } = this.#parts;
    const relayTakesKicks = path === "svq" || path === "notify";
    for (const { notifiers, err } of queues) {
      err.attach(bells.driver);
      notifiers.deviceKick.attach(bells.device);
      notifiers.deviceCall.attach(bells.relay);
      notifiers.guestCall.attach(bells.driver);
      notifiers.guestKick.attach(relayTakesKicks ? bells.relay : bells.device);
    }
  }

  /** Moves what there is to move on every queue; only used buffers while `draining`. */
  move(draining: boolean): boolean {
    let moved = false;
    for (let queue = 0; queue < this.#paths.length; queue++) {
      const path = this.#paths[queue];
      if (path === undefined) {
        if (this.#dying[queue] !== undefined) this.#bury(queue);
        continue;
      }
      try {
        if (draining ? path.drain() : path.step()) moved = true;
      } catch (error) {
        this.#break(queue, error);
      }
    }
    return moved;
  }

  /** Arms every queue; true when sleeping is safe. */
  arm(): boolean {
    let safe = true;
    for (let queue = 0; queue < this.#paths.length; queue++) {
      safe = this.#guarded(queue, () => this.#paths[queue]?.arm() ?? true) && safe;
    }
    return safe;
  }

  /** Ends every path at a suspended device: returns what was used, takes back what was never fetched. */
  stop(): void {
    const { deviceSide, guestSide } = this.#parts;
    // A queue that the device gave up has no base to go on from.
    this.passOnFaults();
    for (let queue = 0; queue < this.#paths.length; queue++) {
      this.#guarded(queue, () => {
        const path = this.#paths[queue];
        if (path === undefined) return true;
        path.drain();
        const size = guestSide.queueSetup(queue)?.size ?? 0;
        this.#bases[queue] = path.stop(checkedRingState(deviceSide.queueBase(queue), size));
        return true;
      });
      deviceSide.resetQueue(queue);
    }
  }

  /** Breaks for the guest what the device has given up; true when there was anything. */
  passOnFaults(): boolean {
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

  /** Whether every queue of the device has been reset. */
  areReset(): boolean {
    return this.#paths.every((_, queue) => this.#parts.deviceSide.queueIsReset(queue));
  }

  /** Where the descriptors of each shadow ring are. */
  accounting(): Accounting[] {
    return this.#paths.flatMap((path) => (path instanceof ShadowVirtqueue ? [path.accounting()] : []));
  }

  /** All that outlives a step. */
  parts(): Parts[] {
    const paths = this.#paths.flatMap((path) => (path === undefined ? [] : [path.parts()]));
    return [{ state: {}, tables: [this.#broken] }, ...paths];
  }

  #context(queue: number, setup: QueueSetup, path: DataPathName, plan: AddressPlan): PathContext {
    const { queues, guestMemory, log, markPolicy, counters, guestSide } = this.#parts;
    const features = guestSide.accepted();
    return {
      path,
      queue,
      setup,
      base: this.#bases[queue]!,
      plan,
      shadow: queues[queue]!.shadow,
      notifiers: queues[queue]!.notifiers,
      guestMemory,
      log,
      markPolicy,
      counters,
      eventIdx: hasFeature(features, VIRTIO_RING_F_EVENT_IDX),
      indirect: hasFeature(features, VIRTIO_RING_F_INDIRECT_DESC),
    };
  }

  /** Does something that a peer can make fail: the queue then ends, and that is no work left to do. */
  #guarded(queue: number, act: () => boolean): boolean {
    try {
      return act();
    } catch (error) {
      this.#break(queue, error);
      return true;
    }
  }

  /** Ends one queue over a peer's fault; the others go on. */
  #break(queue: number, error: unknown): void {
    if (!(error instanceof PeerFault)) throw error;
    this.#dying[queue] = this.#paths[queue];
    this.#paths[queue] = undefined;
    this.#broken[queue] = 1;
    this.faults.push(error);
    this.#parts.counters[COUNTERS.faults]! += 1;
    this.#parts.guestSide.breakQueue(queue, faultCode(error.reason));
    this.#parts.queues[queue]!.err.signal();
    this.#parts.deviceSide.resetQueue(queue);
  }

  /** Gives up a broken queue once the device can no longer write for it. */
  #bury(queue: number): void {
    if (!this.#parts.deviceSide.queueIsReset(queue)) return;
    this.#dying[queue]!.abandon();
    this.#dying[queue] = undefined;
  }
}
