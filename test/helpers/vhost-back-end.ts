/**
 * A vhost-user back end of the tests' own, as a process: a block device whose disk is in memory.
 *
 * Its argument is BackEndPlan as JSON. It says "ready" on stdout once it listens, serves one connection after the
 * other, and ends when stdin does. How it misbehaves is said for each connection by itself.
 */

import { FdLoop, type Watch } from "../../src/daemon/data/fd-loop.js";
import { guestSetup, guestUsedIdx } from "../../src/daemon/data/guest-ring.js";
import { GuestTable } from "../../src/daemon/data/guest-table.js";
import { VHOST_F_LOG_ALL } from "../../src/layout/vhost.js";
import * as vu from "../../src/layout/vhost-user.js";
import {
  VIRTIO_BLK_S_IOERR,
  VIRTIO_BLK_S_OK,
  VIRTIO_BLK_S_UNSUPP,
  VIRTIO_BLK_SECTOR_BYTES,
  VIRTIO_BLK_T_GET_ID,
  VIRTIO_BLK_T_IN,
  VIRTIO_BLK_T_OUT,
} from "../../src/layout/virtio-blk.js";
import { featureBit, VIRTIO_F_VERSION_1 } from "../../src/layout/virtio-config.js";
import { usedRingBytes, VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC } from "../../src/layout/virtio-ring.js";
import { DeviceRing } from "../../src/ring/device-ring.js";
import { EventFdNotifier } from "../../src/sys/event-fd.js";
import { closeAll, type OwnedFd } from "../../src/sys/fd.js";
import { UnixListener } from "../../src/sys/unix-listener.js";
import type { UnixSocket } from "../../src/sys/unix-socket.js";
import { encodeAck, encodeReply, type Message, MessageReader, needsReply } from "../../src/vhost-user/codec.js";
import { decodeMemRegion, decodeMemTable } from "../../src/vhost-user/memory-regions.js";
import {
  decodeBits,
  decodeVringAddr,
  decodeVringFile,
  decodeVringState,
  encodeBits,
  encodeU64,
  encodeVringState,
} from "../../src/vhost-user/payloads.js";
import { messageRule, requestName } from "../../src/vhost-user/requests.js";
import { newRing, type RingSession } from "../../src/vhost-user/session.js";

/** What is unusual about one connection; nothing by default. */
export interface BackEndManners {
  /** What happens at a request of this name, without its prefix; `nth` counts from 1. */
  readonly at?: { readonly name: string; readonly nth?: number; readonly does: BackEndDoes };
  /** Features of vhost-user that it has: all of them by default. */
  readonly without?: readonly ("protocol" | "mq" | "reply-ack" | "slots" | "event-idx" | "indirect")[];
  readonly logs?: boolean;
  /** Completes what it has in this order. */
  readonly order?: "as-offered" | "reversed";
  /** Completes a request this long after it was fetched, in milliseconds. */
  readonly lateMs?: number;
  /** Fetches and never completes requests beyond so many. */
  readonly completesAtMost?: number;
  /** Never completes the request that it fetches as this one, from 1. */
  readonly keepsOnly?: number;
  /** Fetches at most so many, so that the others are never fetched. */
  readonly fetchesAtMost?: number;
  /** Answers GET_VRING_BASE although it has requests, and completes them only then, or never. */
  readonly stops?: "clean" | "keeps" | "finishes-later";
  /** What it writes to a used ring once it has completed so many requests. */
  readonly lies?: { readonly after: number; readonly how: "repeats-id" | "wild-id" | "index-jumps" };
}

export type BackEndDoes =
  | "silence"
  | "wrong-size"
  | "close"
  | "refuse"
  | "garbage"
  | "wrong-request"
  | "with-fds"
  | "huge";

export interface BackEndPlan {
  readonly path: string;
  readonly queues: number;
  readonly diskBytes: number;
  /** The manners of the connections one after the other; those after the last behave. */
  readonly sessions?: readonly BackEndManners[];
}

interface Pending {
  readonly head: number;
  readonly dueMs: number;
  readonly run: () => number;
}

class Queue {
  readonly session: RingSession = newRing();
  ring: DeviceRing | undefined;
  kick: EventFdNotifier | undefined;
  call: EventFdNotifier | undefined;
  watch: Watch | undefined;
  pending: Pending[] = [];
  fetched = 0;
  completed = 0;
}

const SLOTS = 32;
const EMPTY = new Uint8Array(0);

class Session {
  readonly #socket: UnixSocket;
  readonly #manners: BackEndManners;
  readonly #device: Device;
  readonly #reader = new MessageReader<OwnedFd>();
  readonly #piece = new Uint8Array(4096);
  readonly #table = new GuestTable();
  readonly #queues: Queue[];
  readonly #seen = new Map<string, number>();
  #features = 0n;
  #protocol: bigint | undefined;
  readonly watch: Watch;

  constructor(socket: UnixSocket, manners: BackEndManners, device: Device) {
    this.#socket = socket;
    this.#manners = manners;
    this.#device = device;
    this.#queues = Array.from({ length: device.plan.queues }, () => new Queue());
    this.watch = device.loop.watch(socket.fd, () => this.#read());
  }

  close(): void {
    this.watch.stop();
    for (const queue of this.#queues) {
      queue.watch?.stop();
      queue.kick?.close();
      queue.call?.close();
    }
    closeAll(this.#reader.takeFds());
    this.#socket.close();
    this.#table.clear();
  }

  /** Moves all queues; returns when to come again at the latest, in milliseconds, 0 for at once. */
  step(): number {
    let waitMs = 60_000;
    for (const queue of this.#queues) waitMs = Math.min(waitMs, this.#stepQueue(queue));
    return waitMs;
  }

  #stepQueue(queue: Queue): number {
    const { ring } = queue;
    if (ring === undefined) return 60_000;
    const hasProtocol = this.#protocol !== undefined;
    if (hasProtocol && !queue.session.enabled) return 60_000;
    ring.disarm();
    this.#fetch(queue, ring);
    this.#complete(queue, ring, performance.now());
    const left = queue.pending[0];
    const waitMs = left === undefined || left.dueMs === Infinity ? 60_000 : Math.max(1, left.dueMs - performance.now());
    const full = queue.fetched >= (this.#manners.fetchesAtMost ?? Infinity);
    return ring.arm() || full ? waitMs : 0;
  }

  #fetch(queue: Queue, ring: DeviceRing): void {
    const { fetchesAtMost = Infinity, completesAtMost = Infinity, lateMs = 0, keepsOnly } = this.#manners;
    while (queue.fetched < fetchesAtMost && ring.takeAvail()) {
      const kept = queue.fetched >= completesAtMost || queue.fetched + 1 === keepsOnly;
      const dueMs = kept ? Infinity : performance.now() + lateMs;
      queue.pending.push({ head: ring.chain.head, dueMs, run: this.#device.request(ring, this.#table) });
      queue.fetched += 1;
    }
  }

  #complete(queue: Queue, ring: DeviceRing, nowMs: number): void {
    const due = queue.pending.filter(({ dueMs }) => dueMs <= nowMs);
    queue.pending = queue.pending.filter(({ dueMs }) => dueMs > nowMs);
    if (this.#manners.order === "reversed") due.reverse();
    for (const { head, run } of due) {
      ring.addUsed(head, run());
      queue.completed += 1;
      this.#lie(queue, ring, head);
    }
    if (ring.publishUsed()) queue.call?.signal();
  }

  #lie(queue: Queue, ring: DeviceRing, head: number): void {
    const { lies } = this.#manners;
    if (lies === undefined || queue.completed !== lies.after) return;
    if (lies.how === "repeats-id") ring.addUsed(head, 1);
    if (lies.how === "wild-id") ring.addUsed(0xffff_fff0, 1);
    if (lies.how === "index-jumps") ring.state.usedIdx = (ring.state.usedIdx + 3000) & 0xffff;
  }

  #read(): void {
    for (let ended = false; !ended; ) {
      const target = this.#piece.subarray(0, this.#reader.wantBytes);
      const received = this.#socket.receive(target);
      if (received.kind === "nothing") return;
      if (received.kind === "end") break;
      const { messages, fault } = this.#reader.read(target.subarray(0, received.bytes), received.fds);
      ended = fault !== undefined;
      for (const message of messages) {
        ended ||= !this.#take(message);
      }
    }
    this.#device.end(this);
  }

  #take(message: Message<OwnedFd>): boolean {
    const name = requestName(message.request).replace("VHOST_USER_", "");
    const count = (this.#seen.get(name) ?? 0) + 1;
    this.#seen.set(name, count);
    const { at } = this.#manners;
    if (at !== undefined && at.name === name && (at.nth ?? 1) === count) return this.#misbehave(at.does, message);
    try {
      const body = this.#answer(message);
      if (body !== undefined) this.#send(encodeReply(message.request, body));
      else if (this.#asked(message)) this.#send(encodeAck(message.request, true));
    } catch (error) {
      process.stderr.write(`back end: ${name}: ${(error as Error).message}\n`);
      if (this.#asked(message)) this.#send(encodeAck(message.request, false));
    }
    closeAll(message.fds);
    return true;
  }

  #asked(message: Message<OwnedFd>): boolean {
    const acks = ((this.#protocol ?? 0n) & featureBit(vu.VHOST_USER_PROTOCOL_F_REPLY_ACK)) !== 0n;
    return acks && needsReply(message);
  }

  #misbehave(does: BackEndDoes, { request, fds }: Message<OwnedFd>): boolean {
    closeAll(fds.slice(1));
    if (does === "close") closeAll(fds);
    if (does === "close") return false;
    if (does === "refuse") this.#send(encodeReply(request, new Uint8Array(8).fill(0xff)));
    if (does === "wrong-size") this.#send(encodeReply(request, new Uint8Array(9)));
    if (does === "wrong-request") this.#send(encodeReply(request + 1, new Uint8Array(8)));
    if (does === "garbage") this.#send(new Uint8Array(64).fill(0xa5));
    if (does === "huge") this.#send(encodeReply(request, new Uint8Array(8).fill(0x7f)));
    if (does === "with-fds")
      this.#socket.send(encodeReply(request, new Uint8Array(8)), [this.#device.file.owned], 1000);
    closeAll(fds);
    return true;
  }

  #send(bytes: Uint8Array): void {
    this.#socket.send(bytes, [], 1000);
  }

  #has(what: NonNullable<BackEndManners["without"]>[number]): boolean {
    return !(this.#manners.without ?? []).includes(what);
  }

  #offered(): bigint {
    const bits = [VIRTIO_F_VERSION_1];
    if (this.#has("protocol")) bits.push(vu.VHOST_USER_F_PROTOCOL_FEATURES);
    if (this.#has("event-idx")) bits.push(VIRTIO_RING_F_EVENT_IDX);
    if (this.#has("indirect")) bits.push(VIRTIO_RING_F_INDIRECT_DESC);
    if (this.#manners.logs === true) bits.push(VHOST_F_LOG_ALL);
    return bits.reduce((set, bit) => set | featureBit(bit), 0n);
  }

  #protocolOffered(): bigint {
    const bits: number[] = [vu.VHOST_USER_PROTOCOL_F_CONFIG, vu.VHOST_USER_PROTOCOL_F_RESET_DEVICE];
    if (this.#has("mq")) bits.push(vu.VHOST_USER_PROTOCOL_F_MQ);
    if (this.#has("reply-ack")) bits.push(vu.VHOST_USER_PROTOCOL_F_REPLY_ACK);
    if (this.#has("slots")) bits.push(vu.VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
    if (this.#manners.logs === true) bits.push(vu.VHOST_USER_PROTOCOL_F_LOG_SHMFD);
    return bits.reduce((set, bit) => set | featureBit(bit), 0n);
  }

  #answer({ request, payload, fds }: Message<OwnedFd>): Uint8Array | undefined {
    const state = () => {
      const { index, num } = decodeVringState(payload);
      return { queue: this.#queues[index]!, index, num };
    };
    switch (request) {
      case vu.VHOST_USER_GET_FEATURES:
        return encodeBits(this.#offered());
      case vu.VHOST_USER_GET_PROTOCOL_FEATURES:
        return encodeBits(this.#protocolOffered());
      case vu.VHOST_USER_GET_QUEUE_NUM:
        return encodeU64(this.#device.plan.queues);
      case vu.VHOST_USER_GET_MAX_MEM_SLOTS:
        return encodeU64(SLOTS);
      case vu.VHOST_USER_SET_FEATURES:
        this.#features = decodeBits(payload);
        return undefined;
      case vu.VHOST_USER_SET_PROTOCOL_FEATURES:
        this.#protocol = decodeBits(payload);
        return undefined;
      case vu.VHOST_USER_GET_CONFIG:
        return payload.map((byte, i) => (i < vu.VHOST_USER_CONFIG.size ? byte : i & 0xff));
      case vu.VHOST_USER_SET_LOG_BASE:
        return EMPTY;
      case vu.VHOST_USER_SET_MEM_TABLE: {
        this.#table.replace(
          decodeMemTable(payload),
          fds.map((fd) => fd.move()),
        );
        this.#remap();
        return undefined;
      }
      case vu.VHOST_USER_ADD_MEM_REG:
        this.#table.add(decodeMemRegion(payload), fds[0]!.move());
        this.#remap();
        return undefined;
      case vu.VHOST_USER_REM_MEM_REG:
        this.#table.remove(decodeMemRegion(payload).guestPhysAddr);
        this.#remap();
        return undefined;
      case vu.VHOST_USER_SET_VRING_NUM:
        state().queue.session.num = state().num;
        return undefined;
      case vu.VHOST_USER_SET_VRING_BASE:
        state().queue.session.base = state().num;
        return undefined;
      case vu.VHOST_USER_SET_VRING_ADDR: {
        const addr = decodeVringAddr(payload);
        this.#queues[addr.index]!.session.addr = addr;
        return undefined;
      }
      case vu.VHOST_USER_SET_VRING_ENABLE:
        state().queue.session.enabled = state().num === 1;
        return undefined;
      case vu.VHOST_USER_SET_VRING_CALL: {
        const { index, hasFd } = decodeVringFile(payload);
        const queue = this.#queues[index]!;
        queue.call?.close();
        queue.call = hasFd ? EventFdNotifier.received(fds[0]!.move()) : undefined;
        return undefined;
      }
      case vu.VHOST_USER_SET_VRING_KICK:
        this.#start(this.#queues[decodeVringFile(payload).index]!, fds[0]!);
        return undefined;
      case vu.VHOST_USER_GET_VRING_BASE:
        return encodeVringState({ index: state().index, num: this.#stop(state().queue) });
      default:
        if (messageRule(request)?.reply === "always") return encodeU64(0);
        return undefined;
    }
  }

  #start(queue: Queue, fd: OwnedFd): void {
    if (queue.ring !== undefined) this.#stop(queue);
    queue.kick = EventFdNotifier.received(fd.move());
    queue.watch = this.#device.loop.watch(queue.kick.fd, () => {}, "edge");
    if (!this.#has("protocol")) queue.session.enabled = true;
    queue.ring = this.#ringOf(queue);
  }

  #ringOf({ session }: Queue): DeviceRing {
    const { memory } = this.#table;
    const setup = guestSetup(this.#table, session);
    const at = (address: number) => {
      const place = memory.locate(address, usedRingBytes(1));
      if (place === undefined) throw new Error(`a ring at ${address} is not in memory`);
      return place;
    };
    const [desc, avail, used] = [at(setup.desc), at(setup.avail), at(setup.used)];
    const areas = {
      num: session.num,
      descMemory: desc.memory,
      desc: desc.offset,
      availMemory: avail.memory,
      avail: avail.offset,
      usedMemory: used.memory,
      used: used.offset,
    };
    const has = (bit: number) => (this.#features & featureBit(bit)) !== 0n;
    const features = { eventIdx: has(VIRTIO_RING_F_EVENT_IDX), indirect: has(VIRTIO_RING_F_INDIRECT_DESC) };
    const start = { lastAvailIdx: session.base, usedIdx: guestUsedIdx(this.#table, setup) };
    const read = (address: number, target: Uint8Array) => (memory.copyOut(address, target) ? "ok" : "unmapped");
    return new DeviceRing(areas, features, read, start);
  }

  /** Memory has moved under queues that run: a front end that knows manners stops them before. */
  #remap(): void {
    for (const queue of this.#queues) if (queue.ring !== undefined) queue.ring = undefined;
  }

  #stop(queue: Queue): number {
    const { ring, session } = queue;
    queue.watch?.stop();
    queue.kick?.close();
    queue.kick = undefined;
    if (ring === undefined) return session.base;
    const { stops = "clean" } = this.#manners;
    if (stops === "clean") this.#complete(queue, ring, Number.MAX_VALUE);
    const base = ring.state.lastAvailIdx;
    if (stops === "finishes-later") {
      const pending = queue.pending;
      queue.pending = [];
      this.#device.later(() => {
        for (const { head, run } of pending) ring.addUsed(head, run());
        ring.publishUsed();
        queue.call?.signal();
      });
    }
    if (stops === "keeps") queue.pending = [];
    queue.ring = undefined;
    session.base = base;
    return base;
  }
}

class Device {
  readonly plan: BackEndPlan;
  readonly loop = new FdLoop();
  readonly file = EventFdNotifier.create();
  readonly #disk: Buffer;
  readonly #listener: UnixListener;
  #session: Session | undefined;
  #sessions = 0;
  #executed = 0;
  #later: { readonly dueMs: number; readonly act: () => void }[] = [];

  constructor(plan: BackEndPlan) {
    this.plan = plan;
    this.#disk = Buffer.alloc(plan.diskBytes);
    this.#listener = UnixListener.listen(plan.path, { backlog: 128 });
    this.loop.watch(this.#listener.fd, () => this.#accept());
    this.loop.watch(0, () => this.#leave());
    process.stdout.write("ready\n");
  }

  run(): void {
    for (;;) {
      const waitMs = this.#session?.step() ?? 60_000;
      const due = this.#later.filter(({ dueMs }) => dueMs <= performance.now());
      this.#later = this.#later.filter((entry) => !due.includes(entry));
      for (const { act } of due) act();
      this.loop.turn(this.#later.length > 0 ? Math.min(waitMs, 1) : waitMs);
    }
  }

  later(act: () => void): void {
    this.#later.push({ dueMs: performance.now() + 20, act });
  }

  end(session: Session): void {
    if (session !== this.#session) return;
    session.close();
    this.#session = undefined;
    this.#later = [];
  }

  /** Copies a request out of the chain; what it returns carries the request out, and says how much it wrote. */
  request({ chain }: DeviceRing, { memory }: GuestTable): () => number {
    const { count, readableCount } = chain;
    const segments = Array.from({ length: count }, (_, i) => [chain.addresses[i]!, chain.lengths[i]!] as const);
    const readable = Buffer.concat(segments.slice(0, readableCount).map(([at, bytes]) => read(at, bytes)));
    const writable = segments.slice(readableCount);
    function read(at: number, bytes: number): Buffer {
      const target = Buffer.alloc(bytes);
      if (!memory.copyOut(at, target)) throw new Error(`no memory at ${at}`);
      return target;
    }
    return () => {
      const room = writable.reduce((sum, [, bytes]) => sum + bytes, 0);
      const answer = this.#execute(readable, room - 1);
      let from = 0;
      for (const [at, bytes] of writable) {
        memory.copyIn(at, answer.subarray(from, from + bytes));
        from += bytes;
      }
      return room;
    };
  }

  /** What a request answers, with the status behind it; a request that makes no sense has an error there. */
  #execute(readable: Buffer, room: number): Buffer {
    this.#executed += 1;
    const answer = Buffer.alloc(Math.max(0, room) + 1);
    try {
      answer[answer.length - 1] = this.#carryOut(readable, answer, room);
    } catch {
      answer[answer.length - 1] = VIRTIO_BLK_S_IOERR;
    }
    return answer;
  }

  #carryOut(readable: Buffer, answer: Buffer, room: number): number {
    const type = readable.readUInt32LE(0);
    const at = Number(readable.readBigUInt64LE(8)) * VIRTIO_BLK_SECTOR_BYTES;
    if (type === VIRTIO_BLK_T_IN) this.#disk.copy(answer, 0, at, at + room);
    else if (type === VIRTIO_BLK_T_OUT) readable.copy(this.#disk, at, 16);
    else if (type === VIRTIO_BLK_T_GET_ID) answer.writeUInt32LE(this.#executed, 0);
    else return VIRTIO_BLK_S_UNSUPP;
    return VIRTIO_BLK_S_OK;
  }

  #accept(): void {
    const socket = this.#listener.accept();
    if (socket === undefined) return;
    if (this.#session !== undefined) this.end(this.#session);
    const manners = this.plan.sessions?.[this.#sessions] ?? {};
    this.#sessions += 1;
    this.#session = new Session(socket, manners, this);
  }

  #leave(): void {
    this.#listener.close();
    process.exit(0);
  }
}

if (process.argv[2] !== undefined) new Device(JSON.parse(process.argv[2]) as BackEndPlan).run();
