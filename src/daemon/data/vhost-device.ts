import type { DirtyLog } from "../../dirty/dirty-log.js";
import { VHOST_F_LOG_ALL } from "../../layout/vhost.js";
import * as vu from "../../layout/vhost-user.js";
import { VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC } from "../../layout/virtio-ring.js";
import { PeerFault } from "../../ring/peer-fault.js";
import type { OwnedFd } from "../../sys/fd.js";
import { hasFeature } from "../../transport/features.js";
import type { MemRegion } from "../../vhost-user/memory-regions.js";
import { encodeBits, encodeLog, encodeVringState, type LogArea, type VringAddr } from "../../vhost-user/payloads.js";
import { newSession, type Session } from "../../vhost-user/session.js";
import { type BackEnd, BackEndLost, BackEndRefused } from "./back-end.js";
import type { Datapath, DeviceGround, PathInUse, Pause } from "./device-events.js";
import { DeviceLog } from "./device-log.js";
import { BackMemory, type DeviceMemory, passthroughMemory, shadowMemory } from "./device-memory.js";
import { withoutData } from "./dropped-marks.js";
import { type FeatureOffer, offerFeatures } from "./feature-offer.js";
import { GuestTable } from "./guest-table.js";
import { LiveQueue, type QueueGround } from "./live-queue.js";
import { PathChoice } from "./path-choice.js";
import { ShadowRegion } from "./shadow-region.js";
import { isPeerTrouble } from "./trouble.js";

const PAUSES_KEPT = 64;

/**
 * A device between a front end and a back end: its features, its memory, its queues, and which path they are on.
 *
 * What the relay's role is to threads this is to vhost-user: queues start and stop one by one, as the front end says,
 * and a change of path or of memory stops them all in between, where the guest's rings stand. Lives as long as one
 * connection of the front end.
 */
export class VhostDevice {
  readonly session: Session;
  readonly offer: FeatureOffer;
  readonly table = new GuestTable();
  readonly queues: readonly LiveQueue[];
  readonly back: BackEnd;
  /** The last times during which the guest's queues stood still, newest last. */
  readonly pauses: Pause[] = [];
  switches = 0;
  faults = 0;
  readonly #ground: DeviceGround;
  readonly #shadow: ShadowRegion;
  readonly #choice: PathChoice;
  readonly #memory = new BackMemory();
  readonly #log = new DeviceLog();

  /** Asks the back end what it has; throws BackEndLost. The connection is this device's from then on. */
  constructor(back: BackEnd, ground: DeviceGround) {
    this.back = back;
    this.#ground = ground;
    this.offer = offerFeatures(back, ground.options);
    this.#choice = new PathChoice(ground.options.datapath, this.offer.backLogs);
    this.session = newSession(this.offer);
    this.#shadow = new ShadowRegion(this.offer.ringCount);
    this.queues = this.session.rings.map((ring, index) => new LiveQueue(index, ring));
  }

  /** Whether the front end has asked for a log of what is written. */
  get logging(): boolean {
    return hasFeature(this.session.featuresAcked ?? 0n, VHOST_F_LOG_ALL);
  }

  /** The data path in use. */
  get path(): PathInUse {
    return this.#choice.current;
  }

  /** What the back end sees of memory; undefined before there is any. */
  get memory(): DeviceMemory | undefined {
    return this.#memory.current;
  }

  /** Whether a message enables queues; without protocol features their kick does. */
  get queuesAreEnabledByMessage(): boolean {
    const acked = hasFeature(this.session.featuresAcked ?? 0n, vu.VHOST_USER_F_PROTOCOL_FEATURES);
    return acked || this.session.protocolFeaturesAcked !== undefined;
  }

  /** Moves what there is to move on all queues; true when there was any. */
  step(): boolean {
    let moved = false;
    for (const queue of this.queues) {
      if (queue.path !== undefined && this.#guarded(queue, () => queue.step())) moved = true;
    }
    return moved;
  }

  /** Asks all peers to notify; true when sleeping is safe. */
  arm(): boolean {
    let safe = true;
    for (const queue of this.queues) {
      if (queue.path !== undefined && !this.#guarded(queue, () => queue.arm())) safe = false;
    }
    return safe;
  }

  /** Agrees on protocol features, with the back end too as far as they are its own. */
  setProtocolFeatures(accepted: bigint): void {
    this.session.protocolFeaturesAcked = accepted;
    if (this.offer.backHasProtocol) this.back.agree(this.offer.protocolForBackEnd(accepted));
    // The shadow rings take one of the back end's.
    this.session.memSlots = Math.max(1, this.offer.backSlots(this.back, accepted) - 1);
  }

  /** Agrees on features, with the back end too as far as they are its own; starts and ends logging while queues run. */
  setFeatures(accepted: bigint): void {
    const { back, offer, session, logging: before } = this;
    session.featuresAcked = accepted;
    const running = session.rings.some((ring) => ring.running);
    if (!running && session.protocolFeaturesAcked === undefined && offer.backHasProtocol) {
      back.agree(offer.protocolForBackEnd(0n));
    }
    const backLogs = this.#choice.backCanLog && this.#choice.target(this.logging) === "passthrough";
    if (!running || backLogs) {
      back.tell(vu.VHOST_USER_SET_FEATURES, encodeBits(offer.forBackEnd(accepted, backLogs)));
    }
    if (this.logging === before) return;
    this.#ground.events.logging(this.logging);
    this.#takePath(this.logging ? "logging started" : "logging stopped");
    // Afterwards: what a path that ends still returns is marked as long as anybody logs.
    this.#spreadLog();
  }

  /** Changes guest memory, by these regions or by fewer, with all queues stopped; throws what `change` throws. */
  changeMemory(regions: readonly MemRegion[], change: () => void): void {
    this.#log.demandRegions(regions);
    this.#paused("memory", () => {
      change();
      this.session.regions = this.table.regions.map(({ region }) => region);
      this.#install();
    });
  }

  /** Where a queue's areas are; while it runs, only where its used ring is logged may change. */
  setAddress(queue: LiveQueue, addr: VringAddr): void {
    this.#log.demandUsedRing(addr.log, queue.session.num);
    queue.session.addr = addr;
    if (!queue.live) return;
    queue.forwardAddress(this.back);
    if (queue.logsElsewhere(addr.log)) this.#restart([queue]);
  }

  /** Starts a queue that has been kicked for the first time. */
  startQueue(queue: LiveQueue): void {
    if (this.memory === undefined) this.#install();
    queue.session.running = true;
    queue.broken = undefined;
    try {
      // Its size may have changed since its address was checked.
      this.#log.demandUsedRing(queue.session.addr?.log, queue.session.num);
      queue.start(this.#queueGround());
    } catch (error) {
      if (!isPeerTrouble(error)) throw error;
      this.#break(queue, error);
    }
  }

  /** Stops a queue; its session then says where the guest's ring stands. */
  stopQueue(queue: LiveQueue): void {
    queue.session.running = false;
    queue.session.kick = false;
    if (queue.live) this.#guarded(queue, () => queue.stop(this.#queueGround()) !== undefined);
  }

  /** Stops all queues. */
  stopAll(): void {
    for (const queue of this.queues) this.stopQueue(queue);
  }

  /** Asks for a data path; returns for how long the queues stood still. Throws MessageFault when it cannot be. */
  setPath(wanted: Datapath, why: string): number {
    this.#choice.ask(wanted, this.logging);
    return this.#takePath(why);
  }

  /** Puts the dirty log elsewhere; throws MappingFault, and MessageFault when it does not cover guest memory. */
  setLog(area: LogArea, fd: OwnedFd): void {
    try {
      if (this.#choice.backCanLog) this.back.ask(vu.VHOST_USER_SET_LOG_BASE, encodeLog(area), [fd]);
      this.#log.replace(area, fd, this.table.memory.end, this.session.rings, () => this.#spreadLog());
    } finally {
      fd.close();
    }
  }

  /** Returns what the back end has used and gives up the rest: for a peer that is gone. */
  close(): void {
    for (const queue of this.queues) queue.giveUp();
    this.back.close();
    this.table.clear();
    this.#log.close();
    this.#shadow.close();
  }

  /** Goes over to the path to be on; returns for how long the queues stood still. */
  #takePath(why: string): number {
    const [from, target] = [this.path, this.#choice.target(this.logging)];
    if (target === from) return 0;
    const pauseNs = this.#paused(why, () => {
      this.#choice.current = target;
      this.#install();
    });
    this.switches += 1;
    this.#ground.events.pathChanged(from, target, why, pauseNs);
    return pauseNs;
  }

  /** Does something with all live queues stopped; returns how long that took. */
  #paused(why: string, change: () => void): number {
    const start = performance.now();
    const live = this.queues.filter((queue) => queue.live);
    this.#restart(live, change);
    const ns = Math.round((performance.now() - start) * 1e6);
    if (live.length > 0) this.pauses.push({ ns, why });
    if (this.pauses.length > PAUSES_KEPT) this.pauses.shift();
    return ns;
  }

  /** Stops queues, and starts again those that could be stopped, where they stood. */
  #restart(queues: readonly LiveQueue[], meanwhile: () => void = () => {}): void {
    for (const queue of queues) this.#guarded(queue, () => queue.stop(this.#queueGround(), true) !== undefined);
    try {
      meanwhile();
    } catch (error) {
      // A queue that ran has nowhere to go on: the guest would wait, and nobody would say for what.
      if (error instanceof BackEndRefused && queues.length > 0) throw new BackEndLost(error.message);
      this.#startAgain(queues);
      throw error;
    }
    this.#startAgain(queues);
  }

  #startAgain(queues: readonly LiveQueue[]): void {
    for (const queue of queues) if (queue.broken === undefined) this.startQueue(queue);
  }

  /** Tells the back end what memory there is on the path in use. */
  #install(): void {
    const { table, path } = this;
    this.#memory.install(this.back, undefined);
    if (table.regions.length === 0) return;
    const [shadow, policy] = [this.#shadow, this.#ground.options.iovaPolicy];
    const next = path === "svq" ? shadowMemory(table, shadow, policy) : passthroughMemory(table, shadow);
    this.#memory.install(this.back, next);
  }

  #queueGround(): QueueGround {
    const features = this.session.featuresAcked ?? 0n;
    if (this.memory === undefined) throw new PeerFault("ring-outside-memory", "there is no guest memory");
    return {
      ...this.memory,
      back: this.back,
      loop: this.#ground.loop,
      table: this.table,
      shadow: this.#shadow,
      shadowNum: this.#ground.options.shadowQueueSize,
      log: this.#dirtyLog(),
      eventIdx: hasFeature(features, VIRTIO_RING_F_EVENT_IDX),
      indirect: hasFeature(features, VIRTIO_RING_F_INDIRECT_DESC),
      canEnable: this.offer.backHasProtocol,
      patience: this.#ground.patience,
    };
  }

  #spreadLog(): void {
    for (const queue of this.queues) queue.setLog(this.#dirtyLog());
  }

  #dirtyLog(): DirtyLog | undefined {
    if (!this.logging) return undefined;
    return this.#ground.options.fault === "drop-marks" ? withoutData(this.#log.all) : this.#log.all;
  }

  /** Does something that a peer can make fail: that queue then stands still, and the others go on. */
  #guarded(queue: LiveQueue, act: () => boolean): boolean {
    try {
      return act();
    } catch (error) {
      if (!(error instanceof PeerFault)) throw error;
      this.#break(queue, error);
      return true;
    }
  }

  #break(queue: LiveQueue, fault: Error): void {
    this.faults += 1;
    queue.broken = fault.message;
    // Marked after the back end has let go of the queue: until then it may write.
    if (queue.live) this.back.ask(vu.VHOST_USER_GET_VRING_BASE, encodeVringState({ index: queue.index, num: 0 }));
    queue.abandon();
    queue.err?.signal();
    this.#ground.events.queueBroken(queue.index, fault.message);
  }
}
