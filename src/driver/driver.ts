import { featureBit, VIRTIO_F_VERSION_1 } from "../layout/virtio-config.js";
import { VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC } from "../layout/virtio-ring.js";
import { assert } from "../memory/assert.js";
import type { Notifier } from "../memory/bell.js";
import type { GuestMemory } from "../memory/guest-memory.js";
import type { Parts, Role } from "../memory/role.js";
import { type Accounting, DriverRing } from "../ring/driver-ring.js";
import { faultReason, PeerFault } from "../ring/peer-fault.js";
import { clearRings, type VringAreas } from "../ring/vring-areas.js";
import { COUNTERS } from "../telemetry/counters.js";
import { DRIVER_PHASES, type DriverTransport } from "../transport/driver-transport.js";
import { hasFeature } from "../transport/features.js";
import { DriverQueue } from "./driver-queue.js";
import type { QueueLayout } from "./guest-layout.js";
import type { Workload } from "./workload.js";

/** What a driver is made of. */
export interface DriverParts {
  readonly transport: DriverTransport;
  readonly guest: GuestMemory;
  readonly layouts: readonly QueueLayout[];
  readonly num: number;
  readonly workload: Workload;
  /** Requests in flight at most, in each queue. */
  readonly depth: number;
  /** Requests submitted together. */
  readonly batch: number;
  /** Whether to accept EVENT_IDX and INDIRECT_DESC when they are offered. */
  readonly eventIdx: boolean;
  readonly indirect: boolean;
  /** Tells the device that chains are available; one for each queue. */
  readonly kicks: readonly Pick<Notifier, "signal">[];
  readonly counters: Float64Array;
  /** Time in nanoseconds, for latencies. */
  readonly now: () => number;
  /** Takes each request's time from submission to completion, in nanoseconds. */
  readonly recordLatency: (ns: number) => void;
}

/** A run of requests to do: numbers `first` to `first + count − 1` of a pass. */
export interface Job {
  readonly pass: number;
  readonly first: number;
  readonly count: number;
}

/** How a job ended. */
export interface JobResult {
  readonly requests: number;
  /** Requests that never came back. */
  readonly lost: number;
  /** Completions of requests that were not outstanding. */
  readonly duplicated: number;
  /** Requests that the device said it could not do. */
  readonly refused: number;
  /** What broke the device, if anything. */
  readonly fault: string | undefined;
}

/** The guest's driver: initialises the device, submits requests, takes back and checks what was done. */
export class Driver implements Role {
  readonly name = "driver";
  readonly state = {
    /** 1 while there is a job. */
    working: 0,
    pass: 0,
    first: 0,
    count: 0,
    submitted: 0,
    completed: 0,
    duplicated: 0,
    refused: 0,
  };
  /** What broke the device or a queue, if anything. */
  fault: string | undefined;
  readonly #parts: DriverParts;
  #queues: DriverQueue[] = [];

  constructor(parts: DriverParts) {
    this.#parts = parts;
  }

  /** Whether requests can be submitted. */
  get live(): boolean {
    return this.#queues.length > 0;
  }

  /** Whether a device that could not be used was given up. */
  get failed(): boolean {
    return this.fault !== undefined || this.#parts.transport.state.phase === DRIVER_PHASES.failed;
  }

  /** Begins a job; the one before has ended. */
  begin(job: Job): void {
    assert(this.state.working === 0, "one job at a time");
    if (job.first === 0) this.#parts.workload.begin(job.pass);
    Object.assign(this.state, job, { working: 1, submitted: 0, completed: 0, duplicated: 0, refused: 0 });
  }

  /** Ends the job and says what came of it; requests that are still out count as lost. */
  end(): JobResult {
    const { state } = this;
    state.working = 0;
    return {
      requests: state.completed,
      lost: state.count - state.completed,
      duplicated: state.duplicated,
      refused: state.refused,
      fault: this.fault,
    };
  }

  /** Whether every request of the job has come back. */
  get done(): boolean {
    return this.state.completed === this.state.count;
  }

  step(): boolean {
    if (this.failed) return false;
    if (!this.live) return this.#initialise();
    let moved = false;
    for (const queue of this.#queues) {
      queue.ring.disarm();
      moved = this.#complete(queue) || moved;
      moved = this.#submit(queue) || moved;
    }
    // Here as in arm(): a thread that polls never arms.
    if (!moved && this.#parts.transport.needsReset()) this.#noteBrokenQueue();
    return moved;
  }

  arm(): boolean {
    let safe = true;
    for (const queue of this.#queues) safe = this.#arm(queue) && safe;
    // Until its own reset is answered the status is that of whoever drove the device before.
    if (this.live && this.#parts.transport.needsReset()) this.#noteBrokenQueue();
    return safe;
  }

  /** Where the descriptors of each ring are. */
  accounting(): Accounting[] {
    return this.#queues.map(({ ring }) => ring.accounting());
  }

  /** All that outlives a step. */
  parts(): Parts[] {
    const queues = this.#queues.flatMap((queue) => queue.parts());
    return [{ state: this.state, tables: [] }, this.#parts.transport.parts(), ...queues];
  }

  /** Goes through the eight steps (VIRTIO 1.3, 3.1.1), as far as the device has answered. */
  #initialise(): boolean {
    const { transport, workload, eventIdx, indirect } = this.#parts;
    const moved = transport.advance();
    if (transport.state.phase === DRIVER_PHASES.features) {
      let wanted = featureBit(VIRTIO_F_VERSION_1) | workload.features;
      if (eventIdx) wanted |= featureBit(VIRTIO_RING_F_EVENT_IDX);
      if (indirect) wanted |= featureBit(VIRTIO_RING_F_INDIRECT_DESC);
      const accepted = wanted & transport.offered();
      if (hasFeature(accepted, VIRTIO_F_VERSION_1)) transport.negotiate(accepted);
      else transport.fail();
      return true;
    }
    if (transport.state.phase === DRIVER_PHASES.agreed) {
      this.#setUpQueues();
      transport.start();
      return true;
    }
    if (transport.state.phase === DRIVER_PHASES.live) this.#queues = this.#makeQueues();
    return moved;
  }

  #setUpQueues(): void {
    const { transport, layouts, num } = this.#parts;
    for (const [queue, layout] of layouts.entries()) {
      clearRings(this.#areas(layout));
      const { desc, avail, used } = layout;
      transport.enableQueue(queue, {
        size: num,
        desc,
        avail,
        used,
        lastAvailIdx: 0,
        usedIdx: 0,
        call: 0,
        alwaysCall: false,
      });
    }
  }

  #makeQueues(): DriverQueue[] {
    const { layouts, kicks, depth, guest, workload, counters, transport } = this.#parts;
    const accepted = transport.offered();
    const eventIdx = this.#parts.eventIdx && hasFeature(accepted, VIRTIO_RING_F_EVENT_IDX);
    const tables = this.#parts.indirect && hasFeature(accepted, VIRTIO_RING_F_INDIRECT_DESC);
    return layouts.map(
      (layout, queue) =>
        new DriverQueue({
          ring: new DriverRing(this.#areas(layout), { eventIdx }),
          kick: kicks[queue]!,
          guest,
          workload,
          slots: layout.slots,
          firstSlot: queue * depth,
          useTables: tables && workload.chainLength > 1,
          counters,
        }),
    );
  }

  #areas({ desc, avail, used }: QueueLayout): VringAreas {
    const { guest, num } = this.#parts;
    const at = guest.locate(desc, 1)!;
    const { memory } = at;
    return {
      num,
      descMemory: memory,
      desc: at.offset,
      availMemory: memory,
      avail: at.offset + (avail - desc),
      usedMemory: memory,
      used: at.offset + (used - desc),
    };
  }

  /** Takes every used chain and judges it; at most a queue's worth. */
  #complete(queue: DriverQueue): boolean {
    const { state } = this;
    const { now, recordLatency } = this.#parts;
    let timeNs = 0;
    let budget = queue.ring.areas.num;
    for (; budget > 0; budget--) {
      try {
        const finished = queue.finish();
        if (finished === undefined) break;
        timeNs ||= now();
        recordLatency(timeNs - finished.submittedNs);
        state.completed += 1;
        if (!finished.ok) state.refused += 1;
      } catch (error) {
        this.#note(error);
        if (this.fault !== undefined) break;
      }
    }
    return budget < queue.ring.areas.num;
  }

  /** Submits as many requests as there is room for, in batches; none before a whole batch has room. */
  #submit(queue: DriverQueue): boolean {
    const { state } = this;
    const { batch, now, workload } = this.#parts;
    const left = state.count - state.submitted;
    if (state.working === 0 || left === 0 || queue.state.freeSlots < Math.min(batch, left)) return false;
    const timeNs = now();
    let added = 0;
    while (state.submitted < state.count) {
      const number = state.first + state.submitted;
      if (workload.isBarrier(number) && state.completed < state.submitted) break;
      if (!queue.offer(number, timeNs)) break;
      state.submitted += 1;
      added += 1;
      if (added % batch === 0) queue.publish();
    }
    queue.publish();
    return added > 0;
  }

  #arm({ ring }: DriverQueue): boolean {
    try {
      return ring.arm();
    } catch (error) {
      this.#note(error);
      return true;
    }
  }

  /** A used entry too many counts as a doubled one; an index that runs away breaks the queue as well. */
  #note(error: unknown): void {
    if (!(error instanceof PeerFault)) throw error;
    this.state.duplicated += 1;
    this.#parts.counters[COUNTERS.faults]! += 1;
    if (error.reason !== "used-id-unknown") this.fault = error.message;
  }

  #noteBrokenQueue(): void {
    const { transport, layouts } = this.#parts;
    for (let queue = 0; queue < layouts.length; queue++) {
      const code = transport.queueFault(queue);
      if (code !== 0) this.fault ??= `queue ${queue} needs a reset: ${faultReason(code)}`;
    }
  }
}
