import { BackEnd } from "../../src/daemon/data/back-end.js";
import { FdLoop } from "../../src/daemon/data/fd-loop.js";
import { GuestTable } from "../../src/daemon/data/guest-table.js";
import { DirtyLog, logBytes } from "../../src/dirty/dirty-log.js";
import { VHOST_F_LOG_ALL } from "../../src/layout/vhost.js";
import * as vu from "../../src/layout/vhost-user.js";
import {
  VIRTIO_BLK_S_OK,
  VIRTIO_BLK_T_GET_ID,
  VIRTIO_BLK_T_IN,
  VIRTIO_BLK_T_OUT,
} from "../../src/layout/virtio-blk.js";
import { featureBit, VIRTIO_F_VERSION_1 } from "../../src/layout/virtio-config.js";
import { VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC, VRING_DESC } from "../../src/layout/virtio-ring.js";
import { gpa, highHalf, lowHalf } from "../../src/memory/address.js";
import type { Place } from "../../src/memory/guest-memory.js";
import { RealMemory } from "../../src/memory/real-memory.js";
import { DriverRing, writeDescriptor } from "../../src/ring/driver-ring.js";
import { clearRings } from "../../src/ring/vring-areas.js";
import { EventFdNotifier } from "../../src/sys/event-fd.js";
import type { OwnedFd } from "../../src/sys/fd.js";
import { type Mapping, map } from "../../src/sys/mapping.js";
import { createMemfd } from "../../src/sys/memfd.js";
import { check, libc } from "../../src/sys/native.js";
import { encodeMemRegion, encodeMemTable, type MemRegion } from "../../src/vhost-user/memory-regions.js";
import {
  decodeVringState,
  encodeBits,
  encodeLog,
  encodeVringAddr,
  encodeVringFile,
  encodeVringState,
} from "../../src/vhost-user/payloads.js";

/** Guest memory: where, how much, and whether its file can become shorter. */
export interface RamSpec {
  readonly at: number;
  readonly bytes: number;
  readonly sealed?: boolean;
}

/** What a front end is to be like. */
export interface FrontOptions {
  readonly path: string;
  readonly queues?: number;
  readonly num?: number;
  /** Requests in flight on each queue. */
  readonly depth?: number;
  readonly dataBytes?: number;
  readonly eventIdx?: boolean;
  readonly indirect?: boolean;
  readonly ram?: readonly RamSpec[];
  /** Guest addresses of the rings, and of the buffers. */
  readonly ringAt?: number;
  readonly bufferAt?: number;
  /** Tells memory region by region. */
  readonly slots?: boolean;
  readonly timeoutMs?: number;
}

/** Two regions; the file of the first, where the rings are, can become shorter: see TestFront.shorten. */
export const RAM_THAT_SHRINKS: readonly RamSpec[] = [
  { at: 0, bytes: 1 << 20, sealed: false },
  { at: 2 ** 32, bytes: 8 << 20 },
];

const GIB = 2 ** 30;
/** User addresses differ from guest addresses, and by another distance for each region. */
const USER_AT = 0x7000_0000_0000;
const RING_BYTES = 0x4000;
const SLOT_BYTES = 0x4000;
const STATUS_AT = 64;
const DATA_AT = 0x1000;
const TABLE_AT = 0x3000;
const SECTOR_BYTES = 512;

interface Slot {
  readonly index: number;
  /** What the slot's sectors hold; 0 before the first write. */
  tag: number;
  write: boolean;
}

/** One queue of a guest. */
export class FrontQueue {
  readonly ring: DriverRing;
  readonly kick = EventFdNotifier.create();
  call = EventFdNotifier.create();
  readonly free: Slot[];
  readonly busy = new Map<number, Slot>();
  base = 0;
  done = 0;

  constructor(ring: DriverRing, slots: Slot[]) {
    this.ring = ring;
    this.free = slots;
  }
}

/** A guest without a machine: a vhost-user front end with several queues, regions of memory, and a dirty log. */
export class TestFront {
  readonly back: BackEnd;
  readonly table = new GuestTable();
  readonly queues: readonly FrontQueue[];
  /** Pages that the device was allowed to write since the log was last taken, used rings included. */
  readonly written = new Set<number>();
  log: DirtyLog | undefined;
  readonly #options: Required<FrontOptions>;
  readonly #loop = new FdLoop();
  #logMapping: Mapping | undefined;
  #tag = 1;
  submitted = 0;
  features = 0n;

  constructor(options: FrontOptions) {
    const ram = [
      { at: 0, bytes: 1 << 20 },
      { at: 4 * GIB, bytes: 8 << 20 },
    ];
    this.#options = {
      queues: 1,
      num: 64,
      depth: 8,
      dataBytes: 4096,
      eventIdx: false,
      indirect: false,
      ram,
      ringAt: 0,
      bufferAt: 4 * GIB,
      slots: false,
      timeoutMs: 10_000,
      ...options,
    };
    this.table.replace(...ramOf(this.#options.ram));
    const { path, timeoutMs, queues } = this.#options;
    this.queues = Array.from({ length: queues }, (_, queue) => this.#queue(queue));
    this.back = BackEnd.connect({ path, timeoutMs, onSent: () => {} });
    try {
      this.#agree();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Agrees on features again, with these besides. */
  setFeatures(more: bigint): void {
    const { eventIdx, indirect } = this.#options;
    const bits = [VIRTIO_F_VERSION_1, vu.VHOST_USER_F_PROTOCOL_FEATURES];
    if (eventIdx) bits.push(VIRTIO_RING_F_EVENT_IDX);
    if (indirect) bits.push(VIRTIO_RING_F_INDIRECT_DESC);
    const set = bits.reduce((all, bit) => all | featureBit(bit), 0n) & this.features;
    this.back.tell(vu.VHOST_USER_SET_FEATURES, encodeBits(set | more));
  }

  /** Tells of all memory in one message. */
  tellTable(): void {
    const { regions } = this.table;
    this.back.tell(
      vu.VHOST_USER_SET_MEM_TABLE,
      encodeMemTable(regions.map(({ region }) => region)),
      regions.map(({ fd }) => fd),
    );
  }

  tellRegion(region: MemRegion, fd: OwnedFd): void {
    this.back.tell(vu.VHOST_USER_ADD_MEM_REG, encodeMemRegion(region), [fd]);
  }

  /** Starts a queue where it stopped. */
  start(index: number): void {
    const { back } = this;
    const queue = this.queues[index]!;
    back.tell(vu.VHOST_USER_SET_VRING_NUM, encodeVringState({ index, num: this.#options.num }));
    back.tell(vu.VHOST_USER_SET_VRING_BASE, encodeVringState({ index, num: queue.base }));
    this.tellAddress(index);
    this.tellCall(index);
    this.tellKick(index);
    this.enable(index, true);
  }

  tellKick(index: number): void {
    const { kick } = this.queues[index]!;
    this.back.tell(vu.VHOST_USER_SET_VRING_KICK, encodeVringFile({ index, hasFd: true }), [kick.owned]);
  }

  enable(index: number, on: boolean): void {
    this.back.tell(vu.VHOST_USER_SET_VRING_ENABLE, encodeVringState({ index, num: Number(on) }));
  }

  /** Tells where a queue is, and with `log` where its used ring is logged. */
  tellAddress(index: number, log?: number): void {
    const { desc, avail, used } = this.#areas(index);
    const at = (address: number) => this.userOf(address);
    const addr = { index, log, desc: at(desc), avail: at(avail), used: at(used) };
    this.back.tell(vu.VHOST_USER_SET_VRING_ADDR, encodeVringAddr(addr));
  }

  tellCall(index: number): void {
    const { call } = this.queues[index]!;
    this.back.tell(vu.VHOST_USER_SET_VRING_CALL, encodeVringFile({ index, hasFd: true }), [call.owned]);
  }

  /** Puts another call in the place of the one there is. */
  replaceCall(index: number): void {
    const queue = this.queues[index]!;
    const call = EventFdNotifier.create();
    this.#loop.watch(call.fd, () => {}, "edge");
    const old = queue.call;
    queue.call = call;
    this.tellCall(index);
    old.close();
  }

  /** Stops a queue; returns the next entry that the device would take. */
  stop(index: number): number {
    const { num } = decodeVringState(this.back.ask(vu.VHOST_USER_GET_VRING_BASE, encodeVringState({ index, num: 0 })));
    this.queues[index]!.base = num;
    return num;
  }

  startAll(): this {
    for (const index of this.queues.keys()) this.start(index);
    return this;
  }

  stopAll(): void {
    for (const index of this.queues.keys()) this.stop(index);
  }

  /** Gives a new, empty log of `bytes` bytes, or of as many as are needed. */
  setLog(bytes = logBytes(this.table.memory.end)): DirtyLog | undefined {
    const fd = createMemfd("test-log", bytes);
    const mapping = map(fd, bytes, 0, { prot: "read-write" });
    this.back.ask(vu.VHOST_USER_SET_LOG_BASE, encodeLog({ mmapSize: bytes, mmapOffset: 0 }), [fd]);
    fd.close();
    const old = this.log;
    this.log = new DirtyLog(new RealMemory(mapping.windows[0]!.buffer), 0, bytes * 8 * 4096);
    // What is in the old one is taken once the answer is here.
    this.#lastTaken = old === undefined ? new Set() : this.#taken(old);
    this.#logMapping?.unmap();
    this.#logMapping = mapping;
    return this.log;
  }

  #lastTaken = new Set<number>();

  /** Starts to log, as QEMU does it: log, features, addresses. */
  startLogging(): void {
    this.setLog();
    this.setFeatures(featureBit(VHOST_F_LOG_ALL));
    for (const index of this.queues.keys()) this.tellAddress(index, this.#areas(index).used);
  }

  stopLogging(): void {
    this.setFeatures(0n);
    for (const index of this.queues.keys()) this.tellAddress(index);
  }

  /** The pages that are marked, in logs that were replaced too, taken. */
  takeMarks(): Set<number> {
    const marks = new Set([...this.#lastTaken, ...this.#taken(this.log!)]);
    this.#lastTaken = new Set();
    return marks;
  }

  #taken(log: DirtyLog): Set<number> {
    const bitmap = new Uint32Array(Math.ceil(log.pageCount / 32));
    log.take(bitmap);
    const pages = new Set<number>();
    bitmap.forEach((word, at) => {
      for (let bit = 0; bit < 32; bit++) if ((word >>> bit) & 1) pages.add(at * 32 + bit);
    });
    return pages;
  }

  /** Offers requests on a queue in all free slots, at most `most`; returns how many. */
  submit(index: number, most = Number.POSITIVE_INFINITY): number {
    const queue = this.queues[index]!;
    let count = 0;
    for (; count < most && queue.free.length > 0; count++) {
      const slot = queue.free.shift()!;
      slot.write = slot.tag === 0 || (this.#tag * 7919) % 3 !== 0;
      if (slot.write) slot.tag = this.#tag++;
      else this.#tag++;
      this.#offer(index, queue, slot);
    }
    this.submitted += count;
    if (count > 0 && queue.ring.publishAvail()) queue.kick.signal();
    return count;
  }

  /** Takes back what is done on a queue, checked; returns how many. */
  reap(index: number): number {
    const queue = this.queues[index]!;
    let count = 0;
    while (queue.ring.takeUsed()) {
      const slot = queue.busy.get(queue.ring.used.id);
      if (slot === undefined) throw new Error(`queue ${index} returns a head twice`);
      queue.busy.delete(queue.ring.used.id);
      this.#check(index, slot);
      queue.free.push(slot);
      queue.done += 1;
      count += 1;
    }
    return count;
  }

  /** Waits until all that was offered is done; throws when that takes too long. */
  settle(): void {
    const endMs = performance.now() + this.#options.timeoutMs;
    for (;;) {
      for (const index of this.queues.keys()) this.reap(index);
      if (this.queues.every(({ busy }) => busy.size === 0)) return;
      if (performance.now() > endMs)
        throw new Error(`requests stay out: ${this.queues.map(({ busy }) => busy.size).join(" ")}`);
      this.#sleep();
    }
  }

  /** Does about `count` requests over all queues with all slots busy; `between` is called after each round. */
  load(count: number, between: (done: number) => void = () => {}): void {
    const before = this.submitted;
    let endMs = performance.now() + this.#options.timeoutMs;
    while (this.submitted - before < count) {
      let moved = 0;
      for (const index of this.queues.keys()) moved += this.submit(index) + this.reap(index);
      between(this.submitted - before);
      if (moved > 0) endMs = performance.now() + this.#options.timeoutMs;
      if (performance.now() > endMs) throw new Error(`after ${this.submitted - before} requests nothing moves`);
      if (moved === 0) this.#sleep();
    }
    this.settle();
  }

  /** How many requests the device has carried out, this one included. */
  executed(): number {
    const queue = this.queues[0]!;
    const slot = queue.free.shift()!;
    const place = this.#place(this.#slotAt(0, slot));
    this.#offer(0, queue, { ...slot, write: false }, VIRTIO_BLK_T_GET_ID);
    queue.busy.clear();
    if (queue.ring.publishAvail()) queue.kick.signal();
    const endMs = performance.now() + this.#options.timeoutMs;
    while (!queue.ring.takeUsed()) {
      if (performance.now() > endMs) throw new Error("the device does not say how much it did");
      this.#sleep();
    }
    queue.free.push(slot);
    this.submitted += 1;
    return place.memory.read32(place.offset + DATA_AT) >>> 0;
  }

  /** Takes all bytes of a region's file away, as no front end that is in its senses would. */
  shorten(region: number): void {
    check("ftruncate", libc.ftruncate(this.table.regions[region]!.fd.fd, 0));
  }

  /** Where a guest address is for the front end. */
  userOf(address: number): number {
    const found = this.table.regions.find(
      ({ region }) => address >= region.guestPhysAddr && address < region.guestPhysAddr + region.memorySize,
    )!;
    return found.region.userspaceAddr + (address - found.region.guestPhysAddr);
  }

  close(): void {
    this.back.close();
    this.#loop.close();
    for (const { kick, call } of this.queues) {
      kick.close();
      call.close();
    }
    this.#logMapping?.unmap();
    this.table.clear();
  }

  #agree(): void {
    const { back } = this;
    this.features = back.askBits(vu.VHOST_USER_GET_FEATURES);
    const protocol = back.askBits(vu.VHOST_USER_GET_PROTOCOL_FEATURES);
    const wanted = [
      vu.VHOST_USER_PROTOCOL_F_REPLY_ACK,
      vu.VHOST_USER_PROTOCOL_F_LOG_SHMFD,
      vu.VHOST_USER_PROTOCOL_F_MQ,
    ];
    if (this.#options.slots) wanted.push(vu.VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
    back.agree(protocol & wanted.reduce((set, bit) => set | featureBit(bit), 0n));
    back.tell(vu.VHOST_USER_SET_OWNER);
    this.setFeatures(0n);
    if (this.#options.slots) for (const { region, fd } of this.table.regions) this.tellRegion(region, fd);
    else this.tellTable();
  }

  #areas(queue: number) {
    const start = this.#options.ringAt + queue * RING_BYTES;
    return { desc: start, avail: start + 0x2000, used: start + 0x3000 };
  }

  #queue(index: number): FrontQueue {
    const { num, eventIdx, depth } = this.#options;
    const { desc, avail, used } = this.#areas(index);
    const [d, a, u] = [this.#place(desc, num * 16), this.#place(avail, 1024), this.#place(used, 4096)];
    const areas = {
      num,
      descMemory: d.memory,
      desc: d.offset,
      availMemory: a.memory,
      avail: a.offset,
      usedMemory: u.memory,
      used: u.offset,
    };
    clearRings(areas);
    const slots = Array.from({ length: depth }, (_, slot) => ({ index: slot, tag: 0, write: false }));
    const queue = new FrontQueue(new DriverRing(areas, { eventIdx }), slots);
    this.#loop.watch(queue.call.fd, () => {}, "edge");
    return queue;
  }

  #place(address: number, bytes = 16): Place {
    const place = this.table.memory.locate(address, bytes);
    if (place === undefined) throw new Error(`no memory at ${address}`);
    return place;
  }

  #slotAt(queue: number, slot: Slot): number {
    return this.#options.bufferAt + (queue * this.#options.depth + slot.index) * SLOT_BYTES;
  }

  #offer(index: number, queue: FrontQueue, slot: Slot, type = slot.write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN): void {
    const { dataBytes, depth, indirect } = this.#options;
    const at = this.#slotAt(index, slot);
    const { memory } = this.table;
    const header = new RealMemory(new ArrayBuffer(16));
    const sector = (index * depth + slot.index) * (dataBytes / SECTOR_BYTES);
    header.write32(0, type);
    header.write32(8, lowHalf(sector));
    header.write32(12, highHalf(sector));
    const bytes = new Uint8Array(16);
    header.copyOut(0, bytes);
    memory.copyIn(at, bytes);
    memory.copyIn(at + STATUS_AT, Uint8Array.of(0xff));
    memory.copyIn(at + DATA_AT, pattern(slot.write ? slot.tag : 0xdead, dataBytes));
    const segments = [
      { address: at, bytes: 16, deviceWritable: false },
      { address: at + DATA_AT, bytes: dataBytes, deviceWritable: type !== VIRTIO_BLK_T_OUT },
      { address: at + STATUS_AT, bytes: 1, deviceWritable: true },
    ];
    for (const { address, bytes: length, deviceWritable } of segments) {
      if (deviceWritable) for (let p = address; p < address + length; p += 4096) this.written.add(Math.floor(p / 4096));
    }
    this.written.add(this.#areas(index).used / 4096);
    queue.busy.set(indirect ? this.#offerTable(queue, at + TABLE_AT, segments) : queue.ring.addChain(segments), slot);
  }

  #offerTable(queue: FrontQueue, address: number, segments: Parameters<DriverRing["addChain"]>[0]): number {
    const { memory, offset } = this.#place(address, 4096);
    segments.forEach((segment, i) => {
      const more = i + 1 < segments.length;
      writeDescriptor(memory, offset + i * VRING_DESC.size, segment, more, more ? i + 1 : 0);
    });
    return queue.ring.addIndirect(address, segments.length);
  }

  #check(index: number, slot: Slot): void {
    const at = this.#slotAt(index, slot);
    const status = new Uint8Array(1);
    this.table.memory.copyOut(at + STATUS_AT, status);
    if (status[0] !== VIRTIO_BLK_S_OK) throw new Error(`queue ${index}: a request with status ${status[0]}`);
    if (slot.write) return;
    const { dataBytes } = this.#options;
    const got = new Uint8Array(dataBytes);
    this.table.memory.copyOut(at + DATA_AT, got);
    if (Buffer.compare(got, pattern(slot.tag, dataBytes)) !== 0) {
      throw new Error(`queue ${index}: slot ${slot.index} reads other data than was written`);
    }
  }

  /** Sleeps until a call, or a moment. */
  #sleep(): void {
    for (const { ring } of this.queues) if (!ring.arm()) return;
    this.#loop.turn(200);
    for (const { ring } of this.queues) ring.disarm();
  }
}

/** Memory in files of its own. */
export function ramOf(ram: readonly RamSpec[]): [MemRegion[], OwnedFd[]] {
  const regions = ram.map(({ at, bytes }, i) => ({
    guestPhysAddr: gpa(at),
    memorySize: bytes,
    userspaceAddr: USER_AT + at + i * 64 * GIB,
    mmapOffset: 0,
  }));
  return [regions, ram.map(({ bytes, sealed = true }, i) => createMemfd(`test-ram-${i}`, bytes, { sealed }))];
}

function pattern(tag: number, bytes: number): Uint8Array {
  const data = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at += 4) data.writeUInt32LE((Math.imul(tag, 2654435761) + at) >>> 0, at);
  return data;
}
