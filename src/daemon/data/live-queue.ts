import type { DirtyLog } from "../../dirty/dirty-log.js";
import type { IovaTree } from "../../iova/iova-tree.js";
import * as vu from "../../layout/vhost-user.js";
import { descTableBytes } from "../../layout/virtio-ring.js";
import { u16 } from "../../memory/shared-memory.js";
import { GuestMarks } from "../../relay/guest-marks.js";
import { buildPath } from "../../relay/paths.js";
import { lostAtUsedIdx } from "../../relay/shadow-books.js";
import type { ShadowVirtqueue } from "../../relay/shadow-virtqueue.js";
import { PeerFault } from "../../ring/peer-fault.js";
import type { RingState } from "../../ring/ring-state.js";
import { nap } from "../../sys/deadline.js";
import { EventFdNotifier } from "../../sys/event-fd.js";
import { COUNTERS } from "../../telemetry/counters.js";
import type { QueueSetup } from "../../transport/driver-transport.js";
import { encodeVringAddr, encodeVringState } from "../../vhost-user/payloads.js";
import type { RingSession } from "../../vhost-user/session.js";
import type { BackEnd } from "./back-end.js";
import type { FdLoop, Watch } from "./fd-loop.js";
import { guestSetup, guestUsedIdx } from "./guest-ring.js";
import type { GuestTable } from "./guest-table.js";
import type { Patience, Wait } from "./patience.js";
import { tellFile, tellRing } from "./ring-messages.js";
import type { ShadowRegion } from "./shadow-region.js";
import { askVringBase } from "./vring-base.js";

/** Between two looks at a ring of which nobody tells when it moves: the queue is being stopped. */
const NAP_MS = 1;
const CHAINS_LEFT = "the back end keeps chains that it fetched";

/** What a queue needs of its device to start. */
export interface QueueGround {
  readonly back: BackEnd;
  readonly loop: FdLoop;
  readonly table: GuestTable;
  readonly shadow: ShadowRegion;
  readonly tree: IovaTree;
  /** Where the shadow rings are for the back end; undefined on passthrough. */
  readonly shadowAt: number | undefined;
  readonly shadowNum: number;
  readonly log: DirtyLog | undefined;
  readonly eventIdx: boolean;
  readonly indirect: boolean;
  /** Whether the back end has queues enabled by message, rather than by their kick. */
  readonly canEnable: boolean;
  readonly patience: Patience;
}

/**
 * One queue of a device behind vhost-user: what the front end said of it, its notifications, and its data path.
 *
 * It starts at the back end and stops there as a whole. In between a shadow queue is moved by step(); a queue on
 * passthrough has the guest's own eventfds and needs nobody.
 */
export class LiveQueue {
  readonly index: number;
  readonly session: RingSession;
  readonly counters = new Float64Array(Object.keys(COUNTERS).length);
  kick: EventFdNotifier | undefined;
  call: EventFdNotifier | undefined;
  err: EventFdNotifier | undefined;
  /** Why the queue is broken, until the front end stops it. */
  broken: string | undefined;
  /** The shadow virtqueue, while one is in between. */
  path: ShadowVirtqueue | undefined;
  /** Whether the back end has started it. */
  live = false;
  /** Chains that were given up and that no guest which goes on at its used index offers again. */
  lostCount = 0;
  #marks: GuestMarks | undefined;
  /** Where in guest memory writes to the used ring are logged. */
  #usedAt = 0;
  /** By how much the guest's used index was ahead of its available one at the start: 0, or 2^16 less what was lost. */
  #usedAhead = 0;
  #deviceKick: EventFdNotifier | undefined;
  #deviceCall: EventFdNotifier | undefined;
  #watches: Watch[] = [];

  constructor(index: number, session: RingSession) {
    this.index = index;
    this.session = session;
  }

  /** System calls made to notify. */
  get signals(): number {
    return this.counters[COUNTERS.relayKicks]! + this.counters[COUNTERS.relayCalls]!;
  }

  /** Where the guest's ring stands while a shadow queue is in between; undefined on passthrough. */
  get state(): ShadowVirtqueue["state"] | undefined {
    return this.path?.state;
  }

  /** Moves what there is to move; true when there was any. Throws PeerFault. */
  step(): boolean {
    if (this.path === undefined) return false;
    return this.session.enabled ? this.path.step() : this.path.drain();
  }

  /** Asks guest and back end to notify; true when sleeping is safe. Throws PeerFault. */
  arm(): boolean {
    if (this.path === undefined) return true;
    const safe = this.path.arm();
    // What the guest offers to a disabled queue stays where it is, and is no reason to be awake.
    return this.session.enabled ? safe : !this.path.drain();
  }

  /** Starts the queue where the session says, with a shadow ring or the guest's own; throws PeerFault, BackEndLost. */
  start(ground: QueueGround): void {
    const setup = guestSetup(ground.table, this.session);
    this.#usedAhead = u16(guestUsedIdx(ground.table, setup) - this.session.base);
    // From the first message on the back end may have started it, whatever becomes of the others.
    this.live = true;
    this.lostCount = 0;
    if (ground.shadowAt === undefined) this.#startGuestRing(ground);
    else this.#startShadow(ground, setup, ground.shadowAt);
    const enable = encodeVringState({ index: this.index, num: Number(this.session.enabled) });
    if (ground.canEnable) ground.back.tell(vu.VHOST_USER_SET_VRING_ENABLE, enable);
    // What was kicked or called for while nobody was there.
    this.kick?.signal();
    this.call?.signal();
  }

  /**
   * Stops the queue at the back end, returns what it has used, takes back what it never fetched.
   *
   * Returns where the guest's ring stands, which the session then says too. With `handOver`, somebody else takes the
   * guest's ring over, and nobody may still be at work on it. Throws PeerFault, BackEndLost; what the back end may have
   * written is then marked.
   */
  stop(ground: QueueGround, handOver = false): RingState {
    this.#unwatch();
    this.live = false;
    // From here on the relay looks by itself.
    this.path?.hush();
    const base = askVringBase(ground.back, this.index, this.path === undefined ? this.call : this.#deviceCall);
    const wait = ground.patience.begin();
    const state =
      this.path === undefined
        ? this.#letFinish(ground.table, base, handOver ? wait : undefined)
        : this.#takeBack(this.path, base, wait);
    this.path = undefined;
    this.session.base = state.lastAvailIdx;
    return state;
  }

  /** Gives the queue up: whatever its back end may have written is marked, and where it stood is the base. */
  abandon(): void {
    this.#unwatch();
    this.live = false;
    this.path?.abandon();
    // As vhost's users do when a base is lost: what was used is known, what was in flight is not.
    if (this.path !== undefined) this.session.base = this.path.state.guestUsedIdx;
    if (this.path !== undefined) this.lostCount += lostAtUsedIdx(this.path.parts());
    this.path = undefined;
  }

  /** Puts marks elsewhere, or nowhere, from the next batch on. */
  setLog(log: DirtyLog | undefined): void {
    if (this.#marks !== undefined) this.#marks.log = log;
  }

  /** Whether marks of its used ring are made elsewhere than where they are to be from now on. */
  logsElsewhere(log: number | undefined): boolean {
    return this.path !== undefined && log !== undefined && log !== this.#usedAt;
  }

  /** Tells a back end that works on the guest's ring where to log it. */
  forwardAddress(back: BackEnd): void {
    if (this.live && this.path === undefined) {
      back.tell(vu.VHOST_USER_SET_VRING_ADDR, encodeVringAddr(this.session.addr!));
    }
  }

  /** Tells the back end of a new call of the guest's, where it signals that itself. */
  forwardCall(back: BackEnd): void {
    if (this.live && this.path === undefined) tellFile(back, vu.VHOST_USER_SET_VRING_CALL, this.index, this.call);
  }

  /** Returns what a back end that is gone has used, abandons the rest, and closes all descriptors. */
  giveUp(): void {
    try {
      this.path?.drain();
    } catch (error) {
      // What is wrong with the rest no longer matters.
      if (!(error instanceof PeerFault)) throw error;
    }
    this.abandon();
    for (const notifier of [this.kick, this.call, this.err, this.#deviceKick, this.#deviceCall]) notifier?.close();
    this.kick = this.call = this.err = this.#deviceKick = this.#deviceCall = undefined;
  }

  /** The back end works on the guest's ring, with the guest's own notifications. */
  #startGuestRing({ back }: QueueGround): void {
    const { num, addr, base } = this.session;
    tellRing(back, { num, base, addr: addr!, call: this.call, kick: this.kick });
  }

  /** The back end works on a ring of the relay's. */
  #startShadow(ground: QueueGround, setup: QueueSetup, shadowAt: number): void {
    const { back, loop, shadow, shadowNum } = ground;
    const { index } = this;
    const num = Math.max(setup.size, shadowNum);
    const place = shadow.place(index);
    const path = this.#shadowQueue(ground, setup, num);
    const desc = shadowAt + place.driverArea.offset;
    const addr = {
      index,
      log: undefined,
      desc,
      avail: desc + descTableBytes(num),
      used: shadowAt + place.deviceArea.offset,
    };
    tellRing(back, { num, base: 0, addr, call: this.#deviceCall, kick: this.#deviceKick });
    this.path = path;
    // Nothing is read of an eventfd: what it reports is a reason to look at the rings.
    this.#watches = [this.kick, this.#deviceCall].flatMap((bell) => (bell ? [loop.watch(bell.fd, look, "edge")] : []));
  }

  #shadowQueue(ground: QueueGround, setup: QueueSetup, num: number): ShadowVirtqueue {
    const { table, shadow, log, tree, eventIdx, indirect } = ground;
    this.#deviceKick ??= EventFdNotifier.create();
    this.#deviceCall ??= EventFdNotifier.create();
    this.#usedAt = this.session.addr!.log ?? setup.used;
    this.#marks = new GuestMarks(log, "all-writable", this.#usedAt, setup.size, this.counters);
    const usedIdx = guestUsedIdx(table, setup);
    return buildPath({
      path: "svq",
      queue: this.index,
      setup,
      base: { lastAvailIdx: setup.lastAvailIdx, usedIdx },
      plan: { tree, rings: [] },
      shadow: { memory: shadow.memory, place: shadow.place(this.index), num },
      notifiers: {
        guestKick: NOBODY,
        guestCall: { ...NOBODY, signal: () => this.call?.signal() },
        deviceKick: this.#deviceKick,
        deviceCall: this.#deviceCall,
      },
      guestMemory: table.memory,
      log,
      marks: this.#marks,
      markPolicy: "all-writable",
      counters: this.counters,
      eventIdx,
      indirect,
    }) as ShadowVirtqueue;
  }

  /** Waits until the back end has returned what it fetched, then takes the rest back by identity. */
  #takeBack(path: ShadowVirtqueue, base: number, wait: Wait): RingState {
    try {
      // Posted receive buffers never complete: only what was fetched is waited for.
      for (;;) {
        path.drain();
        const unfetched = u16(path.state.shadowAvailIdx - base);
        if (unfetched === path.inFlight) return path.stop({ lastAvailIdx: base, usedIdx: base });
        if (unfetched > path.inFlight) throw new PeerFault("used-idx-overrun", `the back end stops at ${base}`);
        if (!nap(NAP_MS, wait)) throw new PeerFault("used-idx-overrun", CHAINS_LEFT);
      }
    } catch (error) {
      this.abandon();
      throw error;
    }
  }

  /** Waits until a back end that worked on the guest's ring has returned there what it fetched. */
  #letFinish(table: GuestTable, base: number, wait: Wait | undefined): RingState {
    this.session.base = base;
    const setup = guestSetup(table, this.session);
    while (wait !== undefined && u16(guestUsedIdx(table, setup) - base) !== this.#usedAhead) {
      if (!nap(NAP_MS, wait)) throw new PeerFault("used-idx-overrun", CHAINS_LEFT);
    }
    return { lastAvailIdx: base, usedIdx: base };
  }

  #unwatch(): void {
    for (const watch of this.#watches) watch.stop();
    this.#watches = [];
  }
}

const NOBODY = { signal() {}, take: () => false, attach() {}, detach() {} };

function look(): void {}
