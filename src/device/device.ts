import type { Iotlb } from "../iova/iotlb.js";
import { VHOST_ACCESS_RO, VHOST_ACCESS_RW } from "../layout/vhost.js";
import { VIRTIO_F_VERSION_1 } from "../layout/virtio-config.js";
import {
  availRingBytes,
  descTableBytes,
  QUEUE_SIZE_MAX,
  usedRingBytes,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from "../layout/virtio-ring.js";
import type { Notifier } from "../memory/bell.js";
import type { Parts, Role } from "../memory/role.js";
import type { SharedMemory } from "../memory/shared-memory.js";
import type { TableReader } from "../ring/chain.js";
import { DeviceRing } from "../ring/device-ring.js";
import { faultCode, PeerFault } from "../ring/peer-fault.js";
import { COUNTERS } from "../telemetry/counters.js";
import type { Answer, DeviceSide, DeviceTransport } from "../transport/device-transport.js";
import type { QueueSetup } from "../transport/driver-transport.js";
import { DEVICE_RING_FEATURES, hasFeature } from "../transport/features.js";
import { type Behaviour, Completions } from "./completions.js";
import type { DeviceModel } from "./device-model.js";
import { MappedChain, type WriteWitness } from "./mapped-chain.js";

/** What a device is made of. */
export interface DeviceParts {
  readonly transport: DeviceTransport;
  readonly iotlb: Iotlb;
  readonly model: DeviceModel;
  readonly behaviour: Behaviour;
  /** By number in a queue's `call` register; one list for each queue. */
  readonly calls: readonly (readonly Pick<Notifier, "signal">[])[];
  readonly counters: Float64Array;
  readonly witness?: WriteWitness | undefined;
  /** Stands between the device and a used ring, for fault injection. */
  readonly wrapUsed?: ((memory: SharedMemory, used: number, num: number) => SharedMemory) | undefined;
}

/** One running queue. */
interface DeviceQueue {
  readonly ring: DeviceRing;
  readonly completions: Completions;
  readonly call: Pick<Notifier, "signal">;
  /** True while the chain in `ring.chain` waits for a translation. */
  stalled: boolean;
}

/** The device: takes chains, serves them by DMA through its IOTLB, returns them as its behaviour says. */
export class Device implements Role, DeviceSide {
  readonly name = "device";
  readonly state = {
    /** 1 while queues may be processed. */
    running: 0,
    /** 1 while no new chains are taken. */
    suspending: 0,
  };
  readonly #parts: DeviceParts;
  readonly #request: MappedChain;
  readonly #queues: (DeviceQueue | undefined)[];
  readonly #readTable: TableReader;

  constructor(parts: DeviceParts) {
    this.#parts = parts;
    this.#request = new MappedChain(parts.iotlb, parts.witness);
    this.#queues = Array.from({ length: parts.transport.queueCount }, () => undefined);
    this.#readTable = (address, target) => this.#fetchTable(address, target);
    parts.transport.offer(DEVICE_RING_FEATURES | parts.model.features, QUEUE_SIZE_MAX);
  }

  step(): boolean {
    const { transport, iotlb } = this.#parts;
    let moved = iotlb.poll();
    moved = transport.poll(this) || moved;
    if (this.state.running === 0) return moved;
    for (let number = 0; number < this.#queues.length; number++) {
      const queue = this.#queues[number];
      if (queue === undefined) continue;
      try {
        if (this.#process(queue)) moved = true;
      } catch (error) {
        this.#break(number, error);
      }
    }
    return moved;
  }

  arm(): boolean {
    if (this.state.running === 0) return true;
    let safe = true;
    for (const [number, queue] of this.#queues.entries()) {
      if (queue === undefined) continue;
      // A chain that waits for a translation is woken by the relay's answer; a delayed one by nobody.
      if (queue.completions.state.count > 0) safe = false;
      if (queue.stalled) continue;
      try {
        safe = (queue.ring.arm() || this.#parts.iotlb.state.missing === 1) && safe;
      } catch (error) {
        this.#break(number, error);
      }
    }
    return safe;
  }

  /** All that outlives a step. */
  parts(): Parts[] {
    const queues = this.#queues.flatMap((queue) =>
      queue === undefined ? [] : [queue.ring.parts(), queue.completions.parts()],
    );
    return [{ state: this.state, tables: [] }, this.#parts.transport.parts(), ...queues];
  }

  // What the driver writes to the status register.

  reset(): Answer {
    this.#queues.fill(undefined);
    this.#parts.iotlb.clear();
    this.state.running = 0;
    this.state.suspending = 0;
    return "done";
  }

  negotiate(features: bigint): Answer {
    const offered = DEVICE_RING_FEATURES | this.#parts.model.features;
    return (features & ~offered) === 0n && hasFeature(features, VIRTIO_F_VERSION_1) ? "done" : "refused";
  }

  start(): Answer {
    for (let number = 0; number < this.#queues.length; number++) {
      if (this.#queues[number] !== undefined) continue;
      if (this.#startQueue(number) === "later") return "later";
    }
    this.state.running = 1;
    this.state.suspending = 0;
    return "done";
  }

  /** Takes no more chains; done when all that were taken are returned. */
  suspend(): Answer {
    this.state.suspending = 1;
    for (const [number, queue] of this.#queues.entries()) {
      if (queue === undefined) continue;
      if (queue.stalled || queue.completions.state.count > 0) return "later";
      const { lastAvailIdx, usedIdx } = queue.ring.state;
      this.#parts.transport.storeBase(number, lastAvailIdx, usedIdx);
    }
    this.state.running = 0;
    return "done";
  }

  resume(): Answer {
    return this.start();
  }

  resetQueue(queue: number): Answer {
    this.#queues[queue] = undefined;
    return "done";
  }

  /** Takes what is available, serves it, returns what is due; at most a queue's worth. */
  #process(queue: DeviceQueue): boolean {
    const { ring, completions } = queue;
    ring.disarm();
    completions.tick();
    let moved = false;
    let idle = true;
    for (let budget = ring.areas.num; budget > 0; budget--) {
      if (!queue.stalled && !this.#take(queue.ring)) break;
      queue.stalled = !this.#serve(queue);
      if (queue.stalled) break;
      moved = true;
      idle = budget > 1;
    }
    if (completions.ready(idle || this.state.suspending === 1)) moved = this.#return(queue) || moved;
    return moved;
  }

  /** Takes the next good chain; bad ones that cost only themselves are returned on the way. */
  #take(ring: DeviceRing): boolean {
    if (this.state.suspending === 1) return false;
    for (let budget = ring.areas.num; budget > 0; budget--) {
      try {
        return ring.takeAvail();
      } catch (error) {
        if (!(error instanceof PeerFault && error.outcome === "quarantine")) throw error;
        ring.quarantine();
        this.#parts.counters[COUNTERS.quarantined]! += 1;
      }
    }
    return false;
  }

  /** Serves the chain that was taken; false while it waits for a translation. */
  #serve({ ring, completions }: DeviceQueue): boolean {
    const { model, counters } = this.#parts;
    const { chain } = ring;
    let length = 0;
    try {
      if (!this.#request.map(chain)) return false;
      length = model.serve(this.#request);
    } catch (error) {
      if (!(error instanceof PeerFault && error.outcome === "quarantine")) throw error;
      counters[COUNTERS.quarantined]! += 1;
    }
    counters[COUNTERS.requests]! += 1;
    completions.add(chain.head, length);
    return true;
  }

  #return({ ring, completions, call }: DeviceQueue): boolean {
    const { counters } = this.#parts;
    while (completions.next()) ring.addUsed(completions.head, completions.length);
    if (ring.unpublished === 0) return false;
    counters[COUNTERS.usedBatches]! += 1;
    if (ring.publishUsed()) {
      counters[COUNTERS.calls]! += 1;
      call.signal();
    }
    return true;
  }

  #startQueue(number: number): Answer {
    const { transport, calls, behaviour } = this.#parts;
    const setup = transport.queueSetup(number);
    if (setup === undefined) return "done";
    try {
      const ring = this.#ring(setup);
      if (ring === undefined) return "later";
      const call = calls[number]![setup.call]!;
      this.#queues[number] = { ring, completions: new Completions(setup.size, behaviour), call, stalled: false };
    } catch (error) {
      this.#break(number, error);
    }
    return "done";
  }

  /** Finds a ring through the IOTLB; undefined on a miss. Each area lies in one mapping. */
  #ring(setup: QueueSetup): DeviceRing | undefined {
    const { transport, wrapUsed } = this.#parts;
    const { size } = setup;
    const desc = this.#area(setup.desc, descTableBytes(size), VHOST_ACCESS_RO);
    const avail = desc && this.#area(setup.avail, availRingBytes(size), VHOST_ACCESS_RO);
    const used = avail && this.#area(setup.used, usedRingBytes(size), VHOST_ACCESS_RW);
    if (desc === undefined || avail === undefined || used === undefined) return undefined;
    const usedMemory = wrapUsed?.(used.memory, used.offset, size) ?? used.memory;
    const areas = {
      num: size,
      descMemory: desc.memory,
      desc: desc.offset,
      availMemory: avail.memory === used.memory ? usedMemory : avail.memory,
      avail: avail.offset,
      usedMemory,
      used: used.offset,
    };
    const features = transport.accepted();
    const ringFeatures = {
      eventIdx: hasFeature(features, VIRTIO_RING_F_EVENT_IDX),
      indirect: hasFeature(features, VIRTIO_RING_F_INDIRECT_DESC),
    };
    return new DeviceRing(areas, ringFeatures, this.#readTable, setup, setup.alwaysCall);
  }

  #area(address: number, bytes: number, perm: number): { memory: SharedMemory; offset: number } | undefined {
    const { iotlb } = this.#parts;
    const found = iotlb.translate(address, perm);
    if (found === "miss") return undefined;
    if (found !== "ok" || iotlb.bytes < bytes)
      throw new PeerFault("ring-outside-memory", `${bytes} bytes at ${address}`);
    return { memory: iotlb.memory, offset: iotlb.offset };
  }

  #fetchTable(address: number, target: Uint8Array): "ok" | "miss" | "unmapped" {
    const { iotlb } = this.#parts;
    let done = 0;
    while (done < target.length) {
      const found = iotlb.translate(address + done, VHOST_ACCESS_RO);
      if (found !== "ok") return found === "miss" ? "miss" : "unmapped";
      const bytes = Math.min(target.length - done, iotlb.bytes);
      iotlb.memory.copyOut(iotlb.offset, target.subarray(done, done + bytes));
      done += bytes;
    }
    return "ok";
  }

  #break(number: number, error: unknown): void {
    if (!(error instanceof PeerFault)) throw error;
    this.#queues[number] = undefined;
    this.#parts.counters[COUNTERS.faults]! += 1;
    this.#parts.transport.breakQueue(number, faultCode(error.reason));
  }
}
