import * as vu from "../../layout/vhost-user.js";
import {
  VIRTIO_BLK_OUTHDR,
  VIRTIO_BLK_S_OK,
  VIRTIO_BLK_SECTOR_BYTES,
  VIRTIO_BLK_T_IN,
  VIRTIO_BLK_T_OUT,
} from "../../layout/virtio-blk.js";
import { featureBit, VIRTIO_F_VERSION_1 } from "../../layout/virtio-config.js";
import { VIRTIO_RING_F_EVENT_IDX } from "../../layout/virtio-ring.js";
import { gpa, highHalf, lowHalf, PAGE_BYTES } from "../../memory/address.js";
import { assert } from "../../memory/assert.js";
import { RealMemory } from "../../memory/real-memory.js";
import { DriverRing } from "../../ring/driver-ring.js";
import { clearRings, vringBytes, vringOffsets } from "../../ring/vring-areas.js";
import { EventFdNotifier } from "../../sys/event-fd.js";
import type { OwnedFd } from "../../sys/fd.js";
import { type Mapping, map } from "../../sys/mapping.js";
import { createMemfd } from "../../sys/memfd.js";
import { hasFeature } from "../../transport/features.js";
import { encodeMemTable, type MemRegion } from "../../vhost-user/memory-regions.js";
import {
  decodeVringState,
  encodeBits,
  encodeVringAddr,
  encodeVringFile,
  encodeVringState,
} from "../../vhost-user/payloads.js";
import { BackEnd, BackEndLost } from "./back-end.js";
import { FdLoop } from "./fd-loop.js";

/** What a front end of our own is to do. */
export interface BlkFrontOptions {
  readonly path: string;
  readonly timeoutMs: number;
  /** Entries of the ring. */
  readonly num: number;
  /** Requests that can be in flight. */
  readonly depth: number;
  /** The most bytes of a request. */
  readonly requestBytes: number;
  readonly eventIdx: boolean;
}

/** A request: sectors to read or to write, and where its data is meanwhile. */
export interface BlkRequest {
  readonly write: boolean;
  readonly sector: number;
  readonly bytes: number;
}

/** Guest memory begins here for the guest, and here for its front end: three address spaces that differ. */
const GUEST_AT = 0x4000_0000;
const USER_AT = 0x5000_0000_0000;
const QUEUE = 0;

/**
 * A guest of one queue without a virtual machine: a vhost-user front end for a block device, as QEMU is one.
 *
 * For tests and measurements of whatever stands behind the socket: a back end, or the relay in front of it.
 */
export class BlkFront {
  readonly ring: DriverRing;
  readonly memory: RealMemory;
  readonly #options: BlkFrontOptions;
  readonly #back: BackEnd;
  readonly #loop = new FdLoop();
  readonly #ram: OwnedFd;
  readonly #mapping: Mapping;
  readonly #kick = EventFdNotifier.create();
  readonly #call = EventFdNotifier.create();
  readonly #offsets: { readonly desc: number; readonly avail: number; readonly used: number };
  readonly #slotsAt: number;
  readonly #slotBytes: number;
  readonly #slotOfHead: Int32Array;
  #base = 0;

  /** Connects and agrees on features; throws SocketPathError, BackEndLost. */
  constructor(options: BlkFrontOptions) {
    this.#options = options;
    const { num, depth, requestBytes } = options;
    this.#slotsAt = pages(vringBytes(num));
    this.#slotBytes = PAGE_BYTES + pages(requestBytes);
    const bytes = this.#slotsAt + depth * this.#slotBytes;
    this.#ram = createMemfd("svq-front", bytes);
    this.#mapping = map(this.#ram, bytes, 0, { prot: "read-write" });
    this.memory = new RealMemory(this.#mapping.windows[0]!.buffer);
    this.#offsets = vringOffsets(num, 0);
    const { desc, avail, used } = this.#offsets;
    const { memory } = this;
    const areas = { num, descMemory: memory, desc, availMemory: memory, avail, usedMemory: memory, used };
    clearRings(areas);
    this.ring = new DriverRing(areas, options);
    this.#slotOfHead = new Int32Array(num);
    this.#back = BackEnd.connect({ path: options.path, timeoutMs: options.timeoutMs, onSent: () => {} });
    this.#agree(bytes);
    this.#loop.watch(this.#call.fd, () => {}, "edge");
  }

  /** Starts the queue where it stopped last, at 0 the first time. */
  start(): void {
    const [back, index] = [this.#back, QUEUE];
    const at = (offset: number) => USER_AT + offset;
    const { desc, avail, used } = this.#offsets;
    back.tell(vu.VHOST_USER_SET_VRING_NUM, encodeVringState({ index, num: this.#options.num }));
    back.tell(vu.VHOST_USER_SET_VRING_BASE, encodeVringState({ index, num: this.#base }));
    const addr = { index, log: undefined, desc: at(desc), avail: at(avail), used: at(used) };
    back.tell(vu.VHOST_USER_SET_VRING_ADDR, encodeVringAddr(addr));
    back.tell(vu.VHOST_USER_SET_VRING_CALL, encodeVringFile({ index, hasFd: true }), [this.#call.owned]);
    back.tell(vu.VHOST_USER_SET_VRING_KICK, encodeVringFile({ index, hasFd: true }), [this.#kick.owned]);
    back.tell(vu.VHOST_USER_SET_VRING_ENABLE, encodeVringState({ index, num: 1 }));
  }

  /** Stops the queue; returns the next available entry that the device would take. */
  stop(): number {
    const state = encodeVringState({ index: QUEUE, num: 0 });
    this.#back.tell(vu.VHOST_USER_SET_VRING_ENABLE, state);
    this.#base = decodeVringState(this.#back.ask(vu.VHOST_USER_GET_VRING_BASE, state)).num;
    return this.#base;
  }

  /** The data of a slot: what a write takes from, and what a read leaves there. */
  data(slot: number, bytes: number): Uint8Array {
    const window = this.#mapping.windows[0]!.buffer;
    return new Uint8Array(window, this.#slotAt(slot) + PAGE_BYTES, bytes);
  }

  /** Offers a request in a slot that has none; publish() makes it visible. */
  submit(slot: number, { write, sector, bytes }: BlkRequest): void {
    assert(bytes <= this.#options.requestBytes && bytes % VIRTIO_BLK_SECTOR_BYTES === 0, "a request fits its slot");
    const at = this.#slotAt(slot);
    const { memory } = this;
    const { type, ioprio, sector: sectorAt } = VIRTIO_BLK_OUTHDR.offsets;
    memory.write32(at + type, write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN);
    memory.write32(at + ioprio, 0);
    memory.write32(at + sectorAt, lowHalf(sector));
    memory.write32(at + sectorAt + 4, highHalf(sector));
    memory.write16(at + STATUS_AT, 0xff);
    const head = this.ring.addChain([
      { address: GUEST_AT + at, bytes: VIRTIO_BLK_OUTHDR.size, deviceWritable: false },
      { address: GUEST_AT + at + PAGE_BYTES, bytes, deviceWritable: !write },
      { address: GUEST_AT + at + STATUS_AT, bytes: 1, deviceWritable: true },
    ]);
    this.#slotOfHead[head] = slot;
  }

  /** Makes what was submitted visible, and kicks if the device asks for it. */
  publish(): void {
    if (this.ring.publishAvail()) this.#kick.signal();
  }

  /** The slot of the next request that is done, undefined when there is none; throws Error when it failed. */
  reap(): number | undefined {
    if (!this.ring.takeUsed()) return undefined;
    const slot = this.#slotOfHead[this.ring.used.id]!;
    const status = this.memory.read16(this.#slotAt(slot) + STATUS_AT) & 0xff;
    if (status !== VIRTIO_BLK_S_OK) throw new Error(`the device answers a request with status ${status}`);
    return slot;
  }

  /** Waits until something may be done; throws BackEndLost when nothing is in time. */
  wait(): void {
    this.ring.disarm();
    if (!this.ring.arm()) return;
    const waits = performance.now() + this.#options.timeoutMs;
    this.#loop.turn(this.#options.timeoutMs);
    if (performance.now() >= waits) throw new BackEndLost("no request is done in time");
  }

  /**
   * Does requests with `depth` of them in flight, in the order of `next`, which gives undefined at the end.
   *
   * `done` is told of each, in the order in which they come back.
   */
  run(next: (slot: number) => BlkRequest | undefined, done: (slot: number) => void = () => {}): number {
    const free = Array.from({ length: this.#options.depth }, (_, slot) => slot);
    let [count, inFlight, ended] = [0, 0, false];
    while (!ended || inFlight > 0) {
      while (!ended && free.length > 0) {
        const request = next(free.at(-1)!);
        ended = request === undefined;
        if (request === undefined) break;
        this.submit(free.pop()!, request);
        inFlight += 1;
      }
      this.publish();
      for (let slot = this.reap(); slot !== undefined; slot = this.reap()) {
        done(slot);
        free.push(slot);
        inFlight -= 1;
        count += 1;
      }
      if (inFlight > 0 && (ended || free.length === 0)) this.wait();
    }
    return count;
  }

  /** Ends the connection and gives everything back. */
  close(): void {
    this.#back.close();
    this.#loop.close();
    this.#kick.close();
    this.#call.close();
    this.#mapping.unmap();
    this.#ram.close();
  }

  #agree(bytes: number): void {
    const back = this.#back;
    const features = back.askBits(vu.VHOST_USER_GET_FEATURES);
    assert(hasFeature(features, vu.VHOST_USER_F_PROTOCOL_FEATURES), "the device has protocol features");
    const protocol = back.askBits(vu.VHOST_USER_GET_PROTOCOL_FEATURES);
    back.agree(protocol & featureBit(vu.VHOST_USER_PROTOCOL_F_REPLY_ACK));
    back.tell(vu.VHOST_USER_SET_OWNER);
    const wanted = [VIRTIO_F_VERSION_1, vu.VHOST_USER_F_PROTOCOL_FEATURES, VIRTIO_RING_F_EVENT_IDX];
    const bits = wanted.slice(0, this.#options.eventIdx ? 3 : 2).reduce((set, bit) => set | featureBit(bit), 0n);
    back.tell(vu.VHOST_USER_SET_FEATURES, encodeBits(features & bits));
    const region: MemRegion = {
      guestPhysAddr: gpa(GUEST_AT),
      memorySize: bytes,
      userspaceAddr: USER_AT,
      mmapOffset: 0,
    };
    back.tell(vu.VHOST_USER_SET_MEM_TABLE, encodeMemTable([region]), [this.#ram]);
  }

  #slotAt(slot: number): number {
    return this.#slotsAt + slot * this.#slotBytes;
  }
}

/** Behind the header of a request, on its page. */
const STATUS_AT = 64;

function pages(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}
